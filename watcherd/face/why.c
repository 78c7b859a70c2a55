#include "watcherd/face/why.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/control_client.h"
#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/group.h"
#include "core/incoming.h"
#include "core/path.h"
#include "core/store/queue.h"
#include "core/text.h"
#include "locks/observer.h"
#include "pipeline/pipeline.h"
#include "pipeline/product/inputs.h"
#include "pipeline/product/product.h"
#include "watcherd/face/reply.h"
#include "watcherd/face/routes.h"
#include "watcherd/face/show.h"
#include "watcherd/files/quarantine.h"
#include "watcherd/files/roots.h"
#include "watcherd/files/settle.h"
#include "watcherd/files/watch.h"

static const char *string_in(json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));

    return s != NULL ? s : "";
}

static double number_in(json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* ---- without a daemon: what the watched directories say ---- */

struct disk_look {
    struct answers answers;
    struct watch *watch;
};

static void on_dirty(void *arg, const char *path, enum watch_how how)
{
    struct answers *o = arg;

    (void)how;
    settle_dirty(o->settle, path, SETTLE_SCANNED, clock_boot_s());
}

/* Without having watched, the file's own time is the best guess at when it came. */
static void on_settled(void *arg, const struct settle_news *news)
{
    struct answers *o = arg;
    double age = clock_wall_s() - 1e-9 * (double)news->id.mtime_ns;

    if (news->what == SETTLE_IS_SETTLED)
        group_add(o->groups, news->path, &news->id,
                  clock_boot_s() - (age > 0 ? age : 0));
}

static void on_set_aside(void *arg, const char *group)
{
    struct answers *o = arg;

    group_mark(o->groups, group, GROUP_SET_ASIDE);
}

static int look_at_disk(struct disk_look *look, struct err *e)
{
    struct answers *o = &look->answers;
    const struct conf *conf = o->conf;
    struct watch_opts wo = {
        .extensions = conf->watch.extensions, .dirty = on_dirty, .arg = o};
    struct settle_opts so = {.min_bytes = (uint64_t)conf->watch.min_bytes,
                             .max_bytes = (uint64_t)conf->watch.max_bytes};
    struct groupname rule;
    int rc = incoming_groups(&o->groups, &rule, conf, e);

    if (rc != 0)
        return rc;
    o->settle = settle_new(&so);
    if ((rc = watch_new(&look->watch, &wo, e)) == 0 && rule.directory) {
        struct settle_rule roots = watch_rule(look->watch);

        settle_by_directory(o->settle, &roots);
    }
    if (rc != 0 || (rc = roots_open(&o->roots, look->watch, conf, false, e)) != 0)
        return rc;
    quarantine_each(conf->paths.state, on_set_aside, o, NULL);
    watch_scan(look->watch, NULL, NULL);
    for (double now = clock_boot_s(); settle_next_s(o->settle, now) == 0;)
        settle_tick(o->settle, now, on_settled, o);
    return 0;
}

/* Nobody else is there to wait for: the answer comes before routes_answer returns. */
struct own_reply {
    struct reply reply;
    json_t *answer;
};

static void keep_answer(struct reply *r, json_t *answer)
{
    ((struct own_reply *)r)->answer = answer;
}

static json_t *from_disk(const struct conf *conf, json_t *request, struct err *e)
{
    struct disk_look look = {.answers.conf = conf};
    struct own_reply own = {{keep_answer}, NULL};

    if (look_at_disk(&look, e) == 0)
        routes_answer(&look.answers, &own.reply, request);
    roots_close(look.answers.roots);
    watch_free(look.watch);
    settle_free(look.answers.settle);
    group_table_free(look.answers.groups);
    return own.answer;
}

/* The task of what was asked for, as the queue has it; what keeps us from it goes under "store". */
static void add_task(const struct conf *conf, json_t *a, const char *pipeline)
{
    json_t *task = NULL;
    struct queue *q = NULL;
    struct err e = {0};
    int rc = queue_open_conf(&q, conf, QUEUE_AS_TOOL, &e);

    if (rc == 0)
        rc = answer_task(q, pipeline, string_in(a, "name"), &task, &e);
    queue_close(q);
    if (task != NULL)
        json_object_set_new(a, "task", task);
    else if (rc != 0 && rc != -ENOENT)
        json_object_set_new(a, "store", text_json(e.text));
}

/* ---- product and lock ---- */

static json_t *product_of(const char *products, const char *kind, const char *name)
{
    char dir[PATH_MAX], path[PATH_MAX] = "";
    json_t *manifest = NULL, *out;
    struct err e = {0};
    int rc;

    if (path_component(name, "a product", NULL) != 0 ||
        path_join(dir, sizeof dir, products, kind, NULL) != 0)
        return json_pack("{s:b}", "published", 0);
    rc = product_current(&manifest, path, dir, name, 0, &e);
    if (rc == 0)
        out = json_pack("{s:b, s:o, s:O?, s:b, s:O*}", "published", 1, "path",
                        text_json(path), "generation",
                        json_object_get(manifest, "generation"), "stale",
                        (int)inputs_rewritten(manifest), "reasons",
                        json_object_get(json_object_get(manifest, "meta"), "reasons"));
    else
        out = json_pack("{s:b, s:o*}", "published", 0, "wrong",
                        rc == -ENOENT ? NULL : text_json(e.text));
    json_decref(manifest);
    return out;
}

static json_t *lock_of(const char *locks, const char *name)
{
    struct lock_view view;
    struct err e = {0};
    char dir[PATH_MAX];
    json_t *out;
    int fd, rc;

    if (path_component(name, "a claim", NULL) != 0 ||
        path_join(dir, sizeof dir, locks, name, NULL) != 0 ||
        (fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
        return json_pack("{s:s}", "state", "FREE");
    rc = observer_look(NULL, fd, name, &view, &e);
    close(fd);
    if (rc != 0)
        return json_pack("{s:s, s:o}", "state", "UNKNOWN", "why", text_json(e.text));
    out = json_pack("{s:s, s:o}", "state", lock_state_name(view.state), "why",
                    text_json(view.why));
    if (view.state != LOCK_FREE && view.state != LOCK_OPAQUE)
        json_object_update_new(out, json_pack("{s:I, s:i, s:o, s:s}", "generation",
                                              (json_int_t)view.rec.gen, "pid",
                                              (int)view.rec.owner.pid, "host",
                                              text_json(view.rec.owner.host), "taken",
                                              view.rec.t_utc));
    return out;
}

/* ---- in words ---- */

static void put_member(struct text *w, const struct conf *conf, int member)
{
    if (strcmp(conf->group.pattern, "directory") == 0)
        text_put(w, "the directory:");
    else
        text_put(w,
                 strcmp(conf->group.pattern, "subband") == 0 ? "sb%02d" : "member %d",
                 member);
}

enum { MOST_MEMBERS = 4096 };

/* "sb00-sb06 sb09" of the members that are set. */
static void put_members(struct text *w, const struct conf *conf, const bool *is)
{
    bool first = true;

    for (int i = 0; i < MOST_MEMBERS; i++) {
        int last = i;

        if (!is[i])
            continue;
        while (last + 1 < MOST_MEMBERS && is[last + 1])
            last++;
        text_put(w, first ? "" : " ");
        put_member(w, conf, i);
        if (last > i) {
            text_put(w, last > i + 1 ? "-" : " ");
            put_member(w, conf, last);
        }
        first = false;
        i = last;
    }
}

/* Files that have not settled: those for which the same is to be said are said together. */
static void say_unsettled(struct text *w, const struct conf *conf, json_t *unsettled,
                          bool first)
{
    size_t n = json_array_size(unsettled), bad = 0;

    for (size_t i = 0; i < n; i++) {
        json_t *file = json_array_get(unsettled, i);
        const char *why = string_in(file, "why");
        bool is[MOST_MEMBERS] = {false}, said = false;
        size_t same = 0;

        bad += strcmp(string_in(file, "state"), "bad") == 0;
        for (size_t k = 0; k < n; k++) {
            json_t *other = json_array_get(unsettled, k);
            double member = number_in(other, "member");

            if (strcmp(string_in(other, "why"), why) != 0)
                continue;
            said |= k < i;
            same++;
            if (member >= 0 && member < MOST_MEMBERS)
                is[(int)member] = true;
        }
        if (said)
            continue;
        text_put(w, first ? "" : "; ");
        first = false;
        put_members(w, conf, is);
        if (same > 1)
            text_put(w, " (%zu files)", same);
        text_put(w, " %s", why);
    }
    if (bad > 0)
        text_put(w, "; deliver %s again", bad > 1 ? "them" : "it");
}

/* Is one of them by its name a file of this very group, not only near it in time? */
static bool has_own(json_t *unsettled, const char *group)
{
    size_t n = strlen(group);

    for (size_t i = 0; i < json_array_size(unsettled); i++)
        if (strncmp(path_base(string_in(json_array_get(unsettled, i), "path")), group,
                    n) == 0)
            return true;
    return false;
}

/* "15 of 16 members: sb07 growing: 83 of 118 MB; missing sb03" */
static void say_members(struct text *w, const struct conf *conf, json_t *a)
{
    json_t *unsettled = json_object_get(a, "unsettled"), *file, *m;
    bool known = json_object_get(a, "known") != NULL, missing[MOST_MEMBERS] = {false};
    size_t nmissing = 0;
    /* A directory is its own file: that it waits says it all. */
    bool alone =
        strcmp(conf->group.pattern, "directory") == 0 && json_array_size(unsettled) > 0;
    size_t i, k;

    if (known)
        text_put(w, "%.0f of %.0f members have settled", number_in(a, "present"),
                 number_in(a, "expected"));
    else if (!alone && has_own(unsettled, string_in(a, "name")))
        text_put(w, "none of %zu file%s of it is whole", json_array_size(unsettled),
                 json_array_size(unsettled) > 1 ? "s" : "");
    else if (!alone)
        text_put(w, "%s", string_in(a, "words"));
    say_unsettled(w, conf, unsettled, !known && alone);
    json_array_foreach(json_object_get(a, "missing"), i, m)
    {
        bool coming = false;

        json_array_foreach(unsettled, k, file)
        {
            coming |= number_in(file, "member") == json_number_value(m);
        }
        if (coming || json_number_value(m) >= MOST_MEMBERS)
            continue;
        missing[(int)json_number_value(m)] = true;
        nmissing++;
    }
    if (nmissing > 0) {
        text_put(w, "; missing ");
        put_members(w, conf, missing);
    }
    if (json_object_get(a, "unanswered") != NULL)
        text_put(w, "; %s", string_in(a, "unanswered"));
}

static void say_pending(struct text *w, json_t *task, json_t *lock)
{
    char in[32];

    text_age(number_in(task, "due_in_s"), in);
    if (string_in(task, "error")[0] != '\0' && number_in(task, "attempt") <= 1)
        /* a full disk, a service that stopped: no attempt was counted */
        text_put(w, "it waits to be tried again (%s), ", string_in(task, "error"));
    else if (string_in(task, "error")[0] != '\0')
        text_put(w, "attempt %.0f of %.0f failed (%s) and the next is ",
                 number_in(task, "attempt") - 1, number_in(task, "max_attempts"),
                 string_in(task, "error"));
    else
        text_put(w, "it is in the queue, ");
    if (number_in(task, "due_in_s") > 0)
        text_put(w, "due in %s", in);
    else
        text_put(w, "due now");
    if (number_in(task, "ahead") > 0)
        text_put(w, ", behind %.0f other%s", number_in(task, "ahead"),
                 number_in(task, "ahead") > 1 ? "s" : "");
    else
        text_put(w, ", next in turn");
    if (strcmp(string_in(task, "mode"), "paused") == 0)
        text_put(w, "; the queue is paused%s%s",
                 string_in(task, "mode_reason")[0] != '\0' ? ": " : "",
                 string_in(task, "mode_reason"));
    if (string_in(task, "held")[0] != '\0')
        text_put(w, "; no task is started: %s", string_in(task, "held"));
    if (json_object_get(lock, "pid") != NULL)
        text_put(w, "; its claim is held by pid %.0f on %s", number_in(lock, "pid"),
                 string_in(lock, "host"));
}

static void say_running(struct text *w, json_t *task)
{
    json_t *worker = json_object_get(task, "worker");
    char since[32], step[32];

    text_put(w, "it is being worked on");
    if (worker == NULL) {
        text_put(w, " by %s", string_in(task, "by"));
        return;
    }
    text_put(w, " since %s by pid %.0f", text_age(number_in(worker, "since_s"), since),
             number_in(worker, "pid"));
    if (string_in(worker, "finished_step")[0] != '\0')
        text_put(w, ", step %s was finished %s ago", string_in(worker, "finished_step"),
                 text_age(number_in(worker, "step_s"), step));
    else
        text_put(w, ", in its first step");
    if (number_in(task, "attempt") > 1)
        text_put(w, " (attempt %.0f of %.0f)", number_in(task, "attempt"),
                 number_in(task, "max_attempts"));
}

/* What makes the product that was asked for. */
static const struct pipeline *pipeline_of(json_t *a)
{
    const struct pipeline *of = pipeline_for(PIPELINE_WINDOW);

    return strcmp(string_in(a, "kind"), of->data_type) == 0
               ? of
               : pipeline_for(PIPELINE_GROUP);
}

/* Why a product is not to be believed, as its verdict has it. */
static void say_reasons(struct text *w, json_t *reasons)
{
    json_t *reason;
    size_t i;

    json_array_foreach(reasons, i, reason)
    {
        text_put(w, "; %s", json_is_string(reason) ? json_string_value(reason) : "?");
    }
}

/* The one sentence, and whether everything is done. */
static bool because(struct text *w, const struct conf *conf, json_t *a, bool daemon)
{
    const struct pipeline *of = pipeline_of(a);
    json_t *product = json_object_get(a, "product"), *task = json_object_get(a, "task");
    enum task_status status = task_status_of(string_in(task, "status"));
    const char *state = string_in(a, "state");
    bool published = json_is_true(json_object_get(product, "published"));

    if (string_in(a, "name")[0] == '\0') {
        text_put(
            w,
            "its name does not match [group] pattern = %s, so it belongs to no group",
            conf->group.pattern);
    } else if (status == TASK_CLAIMED) {
        say_running(w, task);
    } else if (status == TASK_PENDING) {
        say_pending(w, task, json_object_get(a, "lock"));
    } else if (status == TASK_FAILED) {
        text_put(w, "it failed after %.0f attempt%s: %s", number_in(task, "attempt"),
                 number_in(task, "attempt") > 1 ? "s" : "", string_in(task, "error"));
    } else if (status == TASK_CANCELLED) {
        text_put(w, "it was cancelled by an operator");
    } else if (json_object_get(a, "rewritten") != NULL) {
        text_put(w, "files of it were rewritten: ");
        say_members(w, conf, a);
    } else if (published && of->input == PIPELINE_GROUP &&
               json_is_true(json_object_get(product, "stale"))) {
        text_put(w, "files of it were rewritten after generation %.0f was made of them",
                 number_in(product, "generation"));
    } else if (published) {
        text_put(w, "published as generation %.0f: %s",
                 number_in(product, "generation"), string_in(product, "path"));
        say_reasons(w, json_object_get(product, "reasons"));
        return true;
    } else if (string_in(product, "wrong")[0] != '\0') {
        text_put(w, "its product is broken: %s", string_in(product, "wrong"));
    } else if (strcmp(state, "set aside") == 0) {
        text_put(w, "it was set aside incomplete; its files are listed in %s",
                 string_in(a, "record"));
    } else if (of->input == PIPELINE_WINDOW) {
        text_put(w, "there is no such %s%s; its tiles may still be to come",
                 of->data_type, daemon ? " in the queue" : "");
    } else if (number_in(a, "present") > 0 &&
               number_in(a, "present") == number_in(a, "expected")) {
        text_put(w, "it is complete%s", daemon ? " and not yet in the queue" : "");
        if (json_object_get(a, "waits") != NULL)
            text_put(w, ": it waits, %s", string_in(a, "waits"));
    } else {
        say_members(w, conf, a);
    }
    return false;
}

static void print_more(json_t *a, bool daemon)
{
    json_t *file = json_object_get(a, "file"), *lock = json_object_get(a, "lock");
    json_t *product = json_object_get(a, "product");

    if (file != NULL)
        show("  file     %s: %s%s%s\n", string_in(file, "path"), string_in(file, "why"),
             string_in(file, "role")[0] != '\0' ? "; " : "", string_in(file, "role"));
    if (daemon && json_object_get(a, "known") != NULL)
        show("  group    %s\n", string_in(a, "words"));
    if (json_is_true(json_object_get(product, "published")))
        show("  product  generation %.0f: %s\n", number_in(product, "generation"),
             string_in(product, "path"));
    else if (string_in(product, "wrong")[0] != '\0')
        show("  product  broken: %s\n", string_in(product, "wrong"));
    else
        show("  product  none\n");
    if (json_object_get(lock, "pid") != NULL)
        show("  lock     %s: generation %.0f, pid %.0f on %s since %s; %s\n",
             string_in(lock, "state"), number_in(lock, "generation"),
             number_in(lock, "pid"), string_in(lock, "host"), string_in(lock, "taken"),
             string_in(lock, "why"));
    else
        show("  lock     %s%s%s\n", string_in(lock, "state"),
             string_in(lock, "why")[0] != '\0' ? ": " : "", string_in(lock, "why"));
}

/* A file's path as the daemon knows it; a group's name as it is. */
static void full_name(const char *name, char out[PATH_MAX])
{
    char here[PATH_MAX], dir[PATH_MAX];
    const char *base = path_base(name);

    snprintf(out, PATH_MAX, "%s", name);
    if (strchr(name, '/') == NULL) {
        if (access(name, F_OK) != 0 || strchr(name, '.') == NULL ||
            getcwd(dir, sizeof dir) == NULL)
            return;
    } else {
        snprintf(here, sizeof here, "%.*s", (int)(base - name), name);
        if (realpath(here, dir) == NULL)
            return;
    }
    path_join(out, PATH_MAX, dir, base, NULL);
}

int why_main(const struct conf *conf, const char *name, bool json, double wait_s)
{
    char full[PATH_MAX], text[16384];
    struct text w = {text, sizeof text, 0};
    struct err e = {0}, silent = {0};
    json_t *request, *a = NULL;
    bool daemon, done;
    const char *key;

    full_name(name, full);
    request = json_pack("{s:s, s:o}", "ask", "why", "name", text_json(full));
    daemon = client_call(conf->paths.state, request, wait_s, &a, &silent) == 0;
    if (!daemon)
        a = from_disk(conf, request, &e);
    json_decref(request);
    if (a == NULL || json_object_get(a, "error") != NULL) {
        fprintf(stderr, "watcherd: %s\n", a == NULL ? e.text : string_in(a, "error"));
        json_decref(a);
        return EX_SOFTWARE;
    }
    key = string_in(a, "name");
    if (!daemon && key[0] != '\0')
        add_task(conf, a, pipeline_of(a)->name);
    json_object_set_new(
        a, "product",
        product_of(string_in(a, "products"), pipeline_of(a)->folder, key));
    json_object_set_new(a, "lock", lock_of(string_in(a, "locks"), key));
    done = because(&w, conf, a, daemon);
    if (!done && json_object_get(a, "store") != NULL)
        text_put(&w, "; %s", string_in(a, "store"));
    json_object_set_new(a, "done", json_boolean(done));
    json_object_set_new(a, "daemon", json_boolean(daemon));
    json_object_set_new(a, "because", text_json(text));
    if (!daemon)
        json_object_set_new(a, "no_daemon", text_json(silent.text));
    if (json) {
        json_dumpf(a, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
        putchar('\n');
    } else {
        show("%s: %s: %s\n", key[0] != '\0' ? key : name, done ? "done" : "not done",
             text);
        print_more(a, daemon);
        if (!daemon)
            show("  daemon   %s; this is what the disk says\n", silent.text);
    }
    json_decref(a);
    return done ? 0 : daemon ? 1 : EX_UNAVAILABLE;
}
