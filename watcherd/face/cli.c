#include "watcherd/face/cli.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/control_client.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/path.h"
#include "core/text.h"
#include "pipeline/pipeline.h"
#include "watcherd/face/show.h"
#include "watcherd/face/why.h"

/* Patience with a busy daemon; it answers within a second unless its loop stands still. */
#define ANSWER_S 5.0

/* A file system that has not answered for longer than this is worth a line. */
#define STUCK_S 0.5

const char cli_usage[] =
    "Ask the running daemon (each with -c FILE and --json):\n"
    "  watcherd why GROUP         why is this group (mosaic, or file) not done yet?  "
    "0: it is\n"
    "  watcherd status            files, groups, tasks, workers\n"
    "  watcherd watch list        what is watched, and how\n"
    "  watcherd watch add DIR [--recursive] [--poll]     watch DIR too, from now on\n"
    "  watcherd watch remove DIR  no longer\n"
    "  watcherd release GROUP     let a group that was set aside be formed again\n"
    "Without -c the settings are those that $WATCHERD_CONF names, else "
    "/etc/watcherd/watcherd.conf.\n";

struct ask {
    struct conf conf;
    bool json, recursive, poll;
    const char *name; /* operand, or NULL */
};

static int wrong_usage(const char *text)
{
    fprintf(stderr, "watcherd: %s; see watcherd --help\n", text);
    return EX_USAGE;
}

static void print_json(json_t *answer)
{
    json_dumpf(answer, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    putchar('\n');
}

static const char *string_in(json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));

    return s != NULL ? s : "";
}

static long long number_in(json_t *object, const char *key)
{
    return (long long)json_number_value(json_object_get(object, key));
}

static const char *age_in(json_t *object, const char *key, char out[32])
{
    return text_age(json_number_value(json_object_get(object, key)), out);
}

/* Ask, and say what went wrong: 0 with an answer, else the exit status.  Consumes the
   request. */
static int ask(const struct ask *a, json_t *request, json_t **answer)
{
    struct err e = {0};
    int rc;

    if (request == NULL) {
        fprintf(stderr, "watcherd: the name is not UTF-8\n");
        return EX_USAGE;
    }
    rc = client_call(a->conf.paths.state, request, ANSWER_S, answer, &e);
    json_decref(request);
    if (rc != 0) {
        fprintf(stderr, "watcherd: %s\n", e.text);
        return EX_UNAVAILABLE;
    }
    if (a->json)
        print_json(*answer);
    if (json_object_get(*answer, "error") == NULL)
        return 0;
    if (!a->json)
        fprintf(stderr, "watcherd: %s\n", string_in(*answer, "error"));
    json_decref(*answer);
    *answer = NULL;
    return 1;
}

/* ---- the commands ---- */

static int run_why(struct ask *a)
{
    if (a->name == NULL)
        return wrong_usage("why is what not done?  why GROUP");
    return why_main(&a->conf, a->name, a->json, ANSWER_S);
}

static void print_queue(json_t *s, json_t *queue)
{
    json_t *store = json_object_get(s, "store"), *held = json_object_get(s, "held");
    char age[32];

    if (json_object_get(queue, "unanswered") != NULL)
        show("tasks     not known: %s\n", string_in(queue, "unanswered"));
    else
        show("tasks     %lld pending, %lld running, %lld completed, %lld failed, "
             "%lld cancelled\n",
             number_in(queue, "pending"), number_in(queue, "claimed"),
             number_in(queue, "completed"), number_in(queue, "failed"),
             number_in(queue, "cancelled"));
    if (strcmp(string_in(queue, "mode"), "running") != 0 &&
        json_object_get(queue, "mode"))
        show("queue     %s%s%s\n", string_in(queue, "mode"),
             string_in(queue, "mode_reason")[0] != '\0' ? ": " : "",
             string_in(queue, "mode_reason"));
    if (json_is_true(json_object_get(store, "up")))
        show("store     %s\n", string_in(store, "where"));
    else
        show("store     DOWN for %s: %s\n", age_in(store, "since_s", age),
             string_in(store, "why"));
    if (string_in(held, "tasks")[0] != '\0')
        show("held      no task is started: %s\n", string_in(held, "tasks"));
    if (string_in(held, "groups")[0] != '\0')
        show("held      no group is queued: %s\n", string_in(held, "groups"));
}

static void print_status(json_t *s)
{
    json_t *files = json_object_get(s, "files"), *groups = json_object_get(s, "groups");
    json_t *queue = json_object_get(s, "queue"), *watch = json_object_get(s, "watch");
    json_t *n, *run;
    const char *word;
    char age[32];
    size_t i;

    show("watcherd %s, pid %lld, up %s\n", string_in(s, "version"), number_in(s, "pid"),
         age_in(s, "uptime_s", age));
    show("watching  %lld roots (%lld missing), %lld overflows\n",
         number_in(watch, "roots"), number_in(watch, "missing"),
         number_in(watch, "overflows"));
    if (json_number_value(json_object_get(s, "ingest_stuck_s")) > STUCK_S)
        show("STUCK     the watched file systems have not answered for %s\n",
             age_in(s, "ingest_stuck_s", age));
    show("files     %lld known: %lld settled, %lld not yet (%lld overdue), %lld bad; "
         "%lld foreign\n",
         number_in(files, "known"), number_in(files, "settled"),
         number_in(files, "waiting"), number_in(files, "overdue"),
         number_in(files, "bad"), number_in(files, "foreign"));
    show("groups   ");
    json_object_foreach(groups, word, n)
    {
        show(" %lld %s%s", (long long)json_integer_value(n),
             strcmp(word, "set_aside") == 0 ? "set aside" : word,
             strcmp(word, "set_aside") == 0 ? "\n" : ",");
    }
    print_queue(s, queue);
    json_array_foreach(json_object_get(s, "running"), i, run)
    {
        show("running   %s %s, attempt %lld, pid %lld, since %s%s%s\n",
             string_in(run, "task"), string_in(run, "name"), number_in(run, "attempt"),
             number_in(run, "pid"), age_in(run, "since_s", age),
             string_in(run, "finished_step")[0] != '\0' ? ", finished step " : "",
             string_in(run, "finished_step"));
    }
}

static int run_status(struct ask *a)
{
    json_t *answer = NULL;
    int rc = a->name != NULL ? wrong_usage("status takes no name")
                             : ask(a, json_pack("{s:s}", "ask", "status"), &answer);

    if (rc == 0 && !a->json)
        print_status(answer);
    json_decref(answer);
    return rc;
}

static int run_list(struct ask *a)
{
    json_t *answer = NULL, *root;
    size_t i;
    int rc = a->name != NULL ? wrong_usage("watch list takes no name")
                             : ask(a, json_pack("{s:s}", "ask", "watch-list"), &answer);

    json_array_foreach(json_object_get(answer, "roots"), i, root)
    {
        json_t *scanned = json_object_get(root, "scanned_s");
        char age[32];

        if (a->json)
            break;
        show("%s\n    %s%s, %s, %lld directories watched, %lld polled, scanned %s%s, "
             "from "
             "%s\n",
             string_in(root, "path"), string_in(root, "mode"),
             json_is_true(json_object_get(root, "recursive")) ? ", recursive" : "",
             json_is_true(json_object_get(root, "attached")) ? "attached"
                                                             : "MISSING (waited for)",
             number_in(root, "directories"), number_in(root, "polled"),
             json_is_number(scanned) ? age_in(root, "scanned_s", age) : "not yet",
             json_is_number(scanned) ? " ago" : "", string_in(root, "from"));
    }
    if (rc == 0 && !a->json)
        show("%lld overflows\n", number_in(answer, "overflows"));
    json_decref(answer);
    return rc;
}

/* Absolute, and without links when it is there. */
static void absolute(const char *name, char out[PATH_MAX])
{
    char here[PATH_MAX];

    if (realpath(name, out) != NULL)
        return;
    if (name[0] == '/' || getcwd(here, sizeof here) == NULL ||
        path_join(out, PATH_MAX, here, name, NULL) != 0)
        snprintf(out, PATH_MAX, "%s", name);
    for (size_t n = strlen(out); n > 1 && out[n - 1] == '/'; n--)
        out[n - 1] = '\0';
}

static int run_add(struct ask *a)
{
    char path[PATH_MAX];
    json_t *answer = NULL;
    int rc;

    if (a->name == NULL)
        return wrong_usage("watch add DIR");
    absolute(a->name, path);
    rc = ask(a,
             json_pack("{s:s, s:s, s:b, s:b}", "ask", "watch-add", "path", path,
                       "recursive", (int)a->recursive, "poll", (int)a->poll),
             &answer);
    if (rc == 0 && !a->json)
        show("%s is watched from now on%s\n", path,
             json_is_true(json_object_get(answer, "there"))
                 ? ""
                 : "; it is not there yet and waited for");
    json_decref(answer);
    return rc;
}

static int run_remove(struct ask *a)
{
    char path[PATH_MAX];
    json_t *answer = NULL;
    int rc;

    if (a->name == NULL)
        return wrong_usage("watch remove DIR");
    absolute(a->name, path);
    rc = ask(a, json_pack("{s:s, s:s}", "ask", "watch-remove", "path", path), &answer);
    if (rc == 0 && !a->json)
        show("%s is no longer watched; %lld of its files were waiting and are "
             "forgotten\n",
             path, number_in(answer, "files"));
    json_decref(answer);
    return rc;
}

static int run_release(struct ask *a)
{
    json_t *answer = NULL;
    int rc;

    if (a->name == NULL)
        return wrong_usage("release GROUP");
    rc = ask(a, json_pack("{s:s, s:s}", "ask", "release", "name", a->name), &answer);
    if (rc == 0 && !a->json)
        show("%s may be formed again\n", a->name);
    json_decref(answer);
    return rc;
}

static const struct {
    const char *command, *sub; /* sub: the second word, or NULL */
    int (*run)(struct ask *a);
} commands[] = {
    {"why", NULL, run_why},          {"status", NULL, run_status},
    {"watch", "list", run_list},     {"watch", "add", run_add},
    {"watch", "remove", run_remove}, {"release", NULL, run_release},
};

bool cli_is_command(const char *word)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(word, commands[i].command) == 0)
            return true;
    return false;
}

int cli_no_such(const char *word)
{
    static const char *const names[] = {"why", "status", "watch", "release", "worker"};
    const char *near = text_nearest(word, names, sizeof names / sizeof names[0]);
    char text[256];

    text_escape(text, sizeof text, word);
    if (near != NULL)
        fprintf(stderr, "watcherd: there is no such command: %s; the nearest is %s\n",
                text, near);
    else
        fprintf(stderr, "watcherd: there is no such command: %s; see watcherd --help\n",
                text);
    return EX_USAGE;
}

/* ---- options ---- */

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"conf", required_argument, NULL, 'c'},
    {"json", no_argument, NULL, 'j'},
    {"recursive", no_argument, NULL, 'r'},
    {"poll", no_argument, NULL, 'p'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int load_settings(struct ask *a, const char *file)
{
    char path[PATH_MAX];
    struct err e = {0};

    conf_defaults(&a->conf, NULL, &pipeline_settings);
    if (conf_find(path, file, &e) != 0 ||
        conf_load(&a->conf, path, &pipeline_settings, &e) != 0) {
        fprintf(stderr, "watcherd: %s\n", e.text);
        return EX_CONFIG;
    }
    return 0;
}

int cli_main(int argc, char **argv)
{
    static struct ask a; /* large; one for the program */
    const char *file = NULL;
    int c, rc;

    while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (c == 'c') {
            file = optarg;
        } else if (c == 'j') {
            a.json = true;
        } else if (c == 'r') {
            a.recursive = true;
        } else if (c == 'p') {
            a.poll = true;
        } else if (c == 'h') {
            fputs(cli_usage, stdout);
            return 0;
        } else {
            return wrong_usage("there is no such option");
        }
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        int operand = optind + (commands[i].sub != NULL);

        if (strcmp(argv[0], commands[i].command) != 0 ||
            (commands[i].sub != NULL &&
             (optind >= argc || strcmp(argv[optind], commands[i].sub) != 0)))
            continue;
        if (argc > operand + 1)
            return wrong_usage("one name at a time");
        a.name = operand < argc ? argv[operand] : NULL;
        if ((a.recursive || a.poll) && commands[i].run != run_add)
            return wrong_usage("--recursive and --poll belong to watch add");
        rc = load_settings(&a, file);
        rc = rc != 0 ? rc : commands[i].run(&a);
        return fflush(stdout) != 0 && rc == 0 ? EX_IOERR : rc;
    }
    return wrong_usage("watch list, watch add DIR or watch remove DIR");
}
