#include "watcherd/work/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/path.h"
#include "core/store/registry.h"
#include "locks/claim.h"
#include "locks/observer.h"
#include "locks/orphan.h"
#include "locks/owner.h"
#include "pipeline/continuum/continuum.h"
#include "pipeline/product/product.h"
#include "watcherd/base/outcome.h"
#include "watcherd/base/thread.h"
#include "pipeline/noop/noop.h"

/* Less than this is no room: a FITS block of a row of pixels, an HDF5 table. */
enum { DISK_FULL_BYTES = 256 << 10 };

/* What this process and its children have used since it began. */
struct usage {
    double user_s, sys_s, wall_s;
    long maxrss_kib, in_blocks, out_blocks;
};

struct worker {
    const struct conf *conf;
    FILE *in, *out;     /* tasks, and what is said of them */
    struct usage begin; /* of the task */
    struct registry *registry;
    const char *name, *key;
    json_t *params;
    char kind_dir[PATH_MAX], scratch[PATH_MAX], published[PATH_MAX];
    struct product_input *input;
    size_t ninput;

    pthread_mutex_t mutex; /* claim and lost: the heartbeat thread uses them, too */
    pthread_cond_t wake;
    struct claim *claim;
    bool lost, ending;
};

static volatile sig_atomic_t told_to_stop;

static void on_stop(int sig)
{
    (void)sig;
    told_to_stop = 1;
}

/* ---- what it used ---- */

static double seconds(const struct timeval *t)
{
    return (double)t->tv_sec + 1e-6 * (double)t->tv_usec;
}

static void usage_add(struct usage *u, int who)
{
    struct rusage r;

    if (getrusage(who, &r) != 0)
        return;
    u->user_s += seconds(&r.ru_utime);
    u->sys_s += seconds(&r.ru_stime);
    if (r.ru_maxrss > u->maxrss_kib)
        u->maxrss_kib = r.ru_maxrss;
    u->in_blocks += r.ru_inblock;
    u->out_blocks += r.ru_oublock;
}

static void usage_now(struct usage *u)
{
    *u = (struct usage){.wall_s = clock_boot_s()};
    usage_add(u, RUSAGE_SELF);
    usage_add(u, RUSAGE_CHILDREN);
}

/* The peak of memory begins anew with each task (proc(5), clear_refs). */
static void usage_begin(struct worker *w)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

    if (fd != -1) {
        if (write(fd, "5", 1) == 1)
            w->begin.maxrss_kib = 0;
        close(fd);
    }
    usage_now(&w->begin);
}

static json_t *usage_json(const struct worker *w)
{
    struct usage u;

    usage_now(&u);
    return json_pack("{s:f, s:f, s:I, s:I, s:I, s:f}", "user_s",
                     u.user_s - w->begin.user_s, "sys_s", u.sys_s - w->begin.sys_s,
                     "maxrss_kib", (json_int_t)u.maxrss_kib, "in_blocks",
                     (json_int_t)(u.in_blocks - w->begin.in_blocks), "out_blocks",
                     (json_int_t)(u.out_blocks - w->begin.out_blocks), "wall_s",
                     u.wall_s - w->begin.wall_s);
}

/* ---- what is said on stdout ---- */

static void say(const struct worker *w, json_t *line)
{
    json_dumpf(line, w->out, JSON_COMPACT | JSON_REAL_PRECISION(6));
    putc('\n', w->out);
    fflush(w->out);
    json_decref(line);
}

static void say_step(void *arg, const char *step, double took_s, const char *detail)
{
    say(arg, json_pack("{s:s, s:s, s:f, s:s}", "event", "step", "step", step, "took_s",
                       took_s, "detail", detail));
}

static const struct {
    const char *outcome;
    int status;
} ends[] = {
    {OUTCOME_DONE, 0},     {OUTCOME_SKIPPED, 0},  {OUTCOME_BUSY, 75},
    {OUTCOME_LOST, 75},    {OUTCOME_STOPPED, 75}, {OUTCOME_BAD, 65},
    {OUTCOME_MACHINE, 75}, {OUTCOME_FAILED, 1},
};

static int say_end(const struct worker *w, const char *outcome, const char *reason)
{
    json_t *text = json_string(reason);

    say(w, json_pack("{s:s, s:s, s:o, s:s, s:o}", "event", "end", "outcome", outcome,
                     "reason", text != NULL ? text : json_string("(not UTF-8)"), "path",
                     w->published, "usage", usage_json(w)));
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (strcmp(ends[i].outcome, outcome) == 0)
            return ends[i].status;
    return 1;
}

/* Whose fault a code is. */
static const char *outcome_of(int code)
{
    static const struct {
        int code;
        const char *outcome;
    } table[] = {
        {0, OUTCOME_DONE},
        {ERR_FORMAT, OUTCOME_BAD},
        {ERR_SHAPE, OUTCOME_BAD},
        {ERR_QUALITY, OUTCOME_BAD},
        {-EBUSY, OUTCOME_BUSY},
        {ERR_LOST, OUTCOME_LOST},
        {-ECANCELED, OUTCOME_STOPPED},
        {-ENOSPC, OUTCOME_MACHINE},
        {-EDQUOT, OUTCOME_MACHINE},
        {-EROFS, OUTCOME_MACHINE},
        {-EACCES, OUTCOME_MACHINE},
        {-EPERM, OUTCOME_MACHINE},
        {-ENOTDIR, OUTCOME_MACHINE},
        {-ENOTSUP, OUTCOME_MACHINE},
        {-EINVAL, OUTCOME_BAD},
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].code == code)
            return table[i].outcome;
    return OUTCOME_FAILED;
}

/* ---- the claim and its heartbeat ---- */

static void *heartbeat(void *arg)
{
    struct worker *w = arg;
    struct timespec until;

    pthread_mutex_lock(&w->mutex);
    while (!w->ending && !w->lost) {
        until = thread_in(w->conf->workers.heartbeat_s);
        pthread_cond_timedwait(&w->wake, &w->mutex, &until);
        if (!w->ending && claim_heartbeat(w->claim, NULL) == ERR_LOST)
            w->lost = true;
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

/* The daemon holds the other end of stdout; it may have died before we asked to be told. */
static bool nobody_listens(const struct worker *w)
{
    struct pollfd out = {.fd = fileno(w->out)};

    return poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP)) != 0;
}

static int cancelled(void *arg)
{
    struct worker *w = arg;
    bool lost;

    pthread_mutex_lock(&w->mutex);
    lost = w->lost;
    pthread_mutex_unlock(&w->mutex);
    return told_to_stop || lost || nobody_listens(w);
}

static int gate_may(void *arg, struct err *e)
{
    struct worker *w = arg;

    pthread_mutex_lock(&w->mutex);
    int rc = claim_may_commit(w->claim, e);

    pthread_mutex_unlock(&w->mutex);
    return rc;
}

static int gate_commit(void *arg, struct err *e)
{
    struct worker *w = arg;

    pthread_mutex_lock(&w->mutex);
    int rc = claim_commit(w->claim, e);

    pthread_mutex_unlock(&w->mutex);
    return rc;
}

/* ---- the registries, from a published manifest ---- */

static const char *text_of(json_t *m, const char *key)
{
    const char *text = json_string_value(json_object_get(m, key));

    return text != NULL ? text : "";
}

static double number_of(json_t *m, const char *key)
{
    return json_number_value(json_object_get(m, key));
}

static void join_tiles(json_t *tiles, char *out, size_t size)
{
    size_t i, used = 0;
    json_t *t;

    out[0] = '\0';
    json_array_foreach(tiles, i, t)
    {
        int n = snprintf(out + used, size - used, "%s%s", i > 0 ? "," : "",
                         json_string_value(t));

        if (n < 0 || (size_t)n >= size - used)
            break;
        used += (size_t)n;
    }
}

static int register_bandpass(struct worker *w, json_t *meta, struct err *e)
{
    json_t *cal = json_object_get(meta, "calibration");
    double mid = 0.5 * (number_of(meta, "mjd_beg") + number_of(meta, "mjd_end"));
    double valid_d = w->conf->calibration.bandpass_valid_h / 24;
    char path[PATH_MAX];
    struct reg_caltable row = {
        .set_name = w->key,
        .path = path,
        .table_type = "bandpass",
        .calibrator = text_of(cal, "name"),
        .telescope = text_of(meta, "telescope"),
        .source_group = w->key,
        .mjd = mid,
        .valid_start_mjd = mid - valid_d,
        .valid_end_mjd = mid + valid_d,
    };
    int rc;

    if (!(number_of(cal, "solved_bandpass") > 0))
        return 0;
    rc = path_join(path, sizeof path, w->published, "bandpass.h5", e);
    return rc != 0 ? rc : registry_caltable(w->registry, &row, e);
}

/* Say in the databases what the manifest says; safe to repeat. */
static int register_product(struct worker *w, json_t *manifest, struct err *e)
{
    json_t *meta = json_object_get(manifest, "meta");
    json_t *tiles = json_object_get(meta, "tiles");
    char fits[PATH_MAX], preview[PATH_MAX], *text = json_dumps(meta, JSON_COMPACT);
    size_t size = 64 * json_array_size(tiles) + 1;
    char *list = malloc(size);
    struct reg_product p = {
        .data_type = text_of(meta, "kind"),
        .data_id = w->key,
        .generation = (uint64_t)number_of(manifest, "generation"),
        .path = w->published,
        .fits = fits,
        .preview = preview,
        .qa_status = text_of(meta, "qa_status"),
        .metadata_json = text,
        .start_mjd = number_of(meta, "mjd_beg"),
        .end_mjd = number_of(meta, "mjd_end"),
        .ra_deg = number_of(meta, "ra_deg"),
        .dec_deg = number_of(meta, "dec_deg"),
        .noise_jy = number_of(meta, "noise_jy"),
        .dynamic_range = number_of(meta, "dynamic_range"),
        .bmaj_arcsec = number_of(meta, "bmaj_arcsec"),
        .bmin_arcsec = number_of(meta, "bmin_arcsec"),
        .bpa_deg = number_of(meta, "bpa_deg"),
        .n_tiles = (long)json_array_size(tiles),
        .tiles = list,
    };
    int rc = list == NULL || text == NULL
                 ? err_set(e, -ENOMEM, "out of memory registering %s", w->key)
                 : 0;

    if (rc == 0)
        join_tiles(tiles, list, size);
    if (rc == 0 &&
        (rc = path_join(fits, sizeof fits, w->published, text_of(meta, "fits"), e)) ==
            0 &&
        (rc = path_join(preview, sizeof preview, w->published, text_of(meta, "preview"),
                        e)) == 0)
        rc = registry_product(w->registry, &p, e);
    if (rc == 0 && strcmp(p.data_type, "image") == 0)
        rc = register_bandpass(w, meta, e);
    if (rc == 0 && strcmp(p.data_type, "mosaic") == 0)
        rc = registry_mosaic_group(w->registry, w->key, list, "mosaicked", "completed",
                                   e);
    free(list);
    free(text);
    return rc;
}

/* ---- one task ---- */

/* 1 when a complete product of exactly these inputs is there (and registered), 0 when not. */
static int skip(struct worker *w, struct err *e)
{
    json_t *manifest;
    int rc = product_current(&manifest, w->published, w->kind_dir, w->key, 0, NULL);

    if (rc != 0)
        return 0; /* none, or broken: make it (again) */
    rc = product_same_inputs(manifest, w->input, w->ninput);
    if (rc == 1) {
        int put = register_product(w, manifest, e);

        rc = put != 0 ? put : 1;
    }
    json_decref(manifest);
    return rc;
}

/* The strings of a JSON array, borrowed. */
static const char **strings_of(json_t *array, size_t *n)
{
    const char **list = calloc(json_array_size(array) + 1, sizeof *list);

    *n = 0;
    for (size_t i = 0; list != NULL && i < json_array_size(array); i++) {
        const char *s = json_string_value(json_array_get(array, i));

        if (s != NULL)
            list[(*n)++] = s;
    }
    return list;
}

/* Inputs of a tile are its files, of a mosaic the manifests of its tiles. */
static int stat_inputs(struct worker *w, const char *const *item, size_t n,
                       char (*name)[PATH_MAX], struct err *e)
{
    int rc = 0;

    w->ninput = n;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (strcmp(w->name, "mosaic") == 0) {
            char text[PATH_MAX];

            if ((size_t)snprintf(text, sizeof text, "tiles/%s/manifest.json",
                                 item[i]) >= sizeof text)
                return err_set(e, -ENAMETOOLONG, "tile name %s is too long", item[i]);
            rc = path_join(name[i], PATH_MAX, w->conf->paths.products, text, e);
        } else if ((size_t)snprintf(name[i], PATH_MAX, "%s", item[i]) >= PATH_MAX) {
            rc = err_set(e, -ENAMETOOLONG, "path %s is too long", item[i]);
        }
        if (rc == 0)
            rc = product_input_stat(&w->input[i], name[i], e);
    }
    return rc;
}

/* An input that changed while it was read makes the result worthless. */
static int inputs_unchanged(const struct worker *w, struct err *e)
{
    for (size_t i = 0; i < w->ninput; i++) {
        struct product_input now;
        int rc = product_input_stat(&now, w->input[i].path, e);

        if (rc != 0)
            return rc;
        if (now.size != w->input[i].size || now.mtime_ns != w->input[i].mtime_ns)
            return err_set(e, -EAGAIN, "%s was rewritten while it was processed",
                           w->input[i].path);
    }
    return 0;
}

static int make_product(struct worker *w, const char *const *item, size_t n,
                        struct err *e)
{
    struct continuum_env env = {.conf = w->conf,
                                .registry = w->registry,
                                .scratch = w->scratch,
                                .step = say_step,
                                .cancelled = cancelled,
                                .arg = w};
    struct product_gate gate = {gate_may, gate_commit, w};
    struct product_new made = {.scratch = w->scratch,
                               .kind_dir = w->kind_dir,
                               .name = w->key,
                               .generation = claim_generation(w->claim),
                               .input = w->input,
                               .ninput = w->ninput};
    int rc;

    /* Where nothing can be published, nothing need be worked out. */
    if ((rc = path_mkdirs(w->kind_dir, e)) != 0)
        return rc;
    if (access(w->kind_dir, W_OK | X_OK) != 0)
        return err_set(e, -errno, "cannot publish below %s: %s", w->kind_dir,
                       strerror(errno));
    if ((rc = path_remove_tree(w->scratch, e)) != 0 ||
        (rc = path_mkdirs(w->scratch, e)) != 0)
        return rc;
    rc = strcmp(w->name, "mosaic") == 0
             ? continuum_mosaic(&env, w->key, item, n, &made.meta, e)
             : continuum_tile(&env, w->key, item, n, &made.meta, e);
    if (rc == 0)
        rc = inputs_unchanged(w, e);
    if (rc == 0)
        rc = product_publish(&made, &gate, e);
    json_decref(made.manifest);
    json_decref(made.meta);
    if (rc == -ECANCELED && w->lost)
        return err_set(e, ERR_LOST, "the claim on %s was taken over", w->key);
    return rc;
}

/*
 * The libraries that write FITS and HDF5 do not say why a write failed.  When what they had
 * written so far has filled the disk, that was it.
 */
static int name_full_disk(const struct worker *w, int rc, struct err *e)
{
    char text[sizeof e->text];
    uint64_t left;

    if (strcmp(outcome_of(rc), OUTCOME_FAILED) != 0 ||
        path_free_bytes(w->scratch, &left, NULL) != 0 || left >= DISK_FULL_BYTES)
        return rc;
    snprintf(text, sizeof text, "%s", e->text);
    return err_set(e, -ENOSPC, "No space left on the disk of scratch: %s", text);
}

/* Claim, work, publish, release; w->claim is NULL again afterwards. */
static int claim_and_make(struct worker *w, const char *const *item, size_t n,
                          struct err *e)
{
    char dir[PATH_MAX], memory[PATH_MAX], text[PATH_MAX];
    struct claim_opts opts = {.task = w->name,
                              .lease_s = w->conf->workers.lease_s,
                              .heartbeat_s = w->conf->workers.heartbeat_s,
                              .above = product_newest(w->kind_dir, w->key)};
    pthread_t thread;
    int rc, end;

    if ((rc = path_join(dir, sizeof dir, w->conf->paths.locks, w->key, e)) != 0 ||
        (rc = path_join(memory, sizeof memory, w->conf->paths.state, "observer.json",
                        e)) != 0)
        return rc;
    if (path_join(text, sizeof text, w->conf->paths.state, "boots", e) == 0)
        owner_set_boots(text);
    opts.observer = observer_new();
    observer_load(opts.observer, memory, NULL);
    rc = claim_acquire(&w->claim, dir, w->key, &opts, e);
    if (rc == -EBUSY)
        observer_save(opts.observer, memory, NULL);
    observer_free(opts.observer);
    if (rc != 0)
        return rc;
    setenv(ORPHAN_MARK, claim_mark(w->claim), 1);
    snprintf(text, sizeof text, "%.255s/%llu", w->key,
             (unsigned long long)claim_generation(w->claim));
    rc = path_join(w->scratch, sizeof w->scratch, w->conf->paths.scratch, text, e);
    if (rc == 0 && (end = pthread_create(&thread, NULL, heartbeat, w)) != 0)
        rc = err_set(e, -end, "cannot start the heartbeat: %s", strerror(end));
    if (rc == 0) {
        rc = skip(w, e); /* somebody may have finished while we waited */
        if (rc == 0)
            rc = name_full_disk(w, make_product(w, item, n, e), e);
        pthread_mutex_lock(&w->mutex);
        w->ending = true;
        pthread_cond_signal(&w->wake);
        pthread_mutex_unlock(&w->mutex);
        pthread_join(thread, NULL);
    }
    if (rc >= 0 && claim_check(w->claim, NULL) == 0) {
        /* Nobody else works on this group, so what killed workers left of it goes, too. */
        path_join(text, sizeof text, w->conf->paths.scratch, w->key, NULL);
        path_remove_tree(text, NULL);
    } else if (rc != ERR_LOST) { /* a loser's scratch is kept for the winner to clear */
        path_remove_tree(w->scratch, NULL);
    }
    /* A committed product stays, even when the claim was broken a moment later. */
    claim_release(w->claim,
                  rc >= 0            ? "done"
                  : rc == -ECANCELED ? "released"
                                     : "failed",
                  NULL);
    w->claim = NULL;
    unsetenv(ORPHAN_MARK);
    return rc;
}

static int run_task(struct worker *w, const char **outcome, struct err *e)
{
    bool mosaic = strcmp(w->name, "mosaic") == 0;
    size_t n;
    const char **item =
        strings_of(json_object_get(w->params, mosaic ? "tiles" : "files"), &n);
    char(*name)[PATH_MAX] = calloc(n + 1, sizeof *name);
    json_t *manifest = NULL;
    int rc = 0;

    w->input = calloc(n + 1, sizeof *w->input);
    if (item == NULL || name == NULL || w->input == NULL)
        rc = err_set(e, -ENOMEM, "out of memory for task %s", w->key);
    if (rc == 0 && n == 0)
        rc = err_set(e, -EINVAL, "task %s %s has no inputs", w->name, w->key);
    if (rc == 0)
        rc = path_join(w->kind_dir, sizeof w->kind_dir, w->conf->paths.products,
                       mosaic ? "mosaics" : "tiles", e);
    if (rc == 0)
        rc = registry_open(&w->registry, w->conf->paths.state, e);
    if (rc == 0)
        rc = stat_inputs(w, item, n, name, e);
    if (rc == 0)
        rc = skip(w, e);
    if (rc == 0)
        rc = claim_and_make(w, item, n, e);
    *outcome = rc == 1 ? OUTCOME_SKIPPED : outcome_of(rc);
    if (rc == 0)
        rc = product_current(&manifest, w->published, w->kind_dir, w->key, 0, e);
    if (rc == 0 && manifest != NULL)
        rc = register_product(w, manifest, e);
    if (rc < 0 && strcmp(*outcome, OUTCOME_DONE) == 0)
        *outcome = outcome_of(rc);
    if (rc >= 0)
        e->text[0] = '\0'; /* what was tried in vain on the way is no news */
    json_decref(manifest);
    registry_close(w->registry);
    free(w->input);
    free(name);
    free(item);
    return rc;
}

/* The peer of a task that is nothing but a trial. */
static int run_noop(struct worker *w, const char **outcome, struct err *e)
{
    struct noop_env env = {.step = say_step, .cancelled = cancelled, .arg = w};
    int rc = noop_run(&env, w->params, e);

    *outcome = outcome_of(rc);
    return rc;
}

static const struct {
    const char *name;
    int (*run)(struct worker *w, const char **outcome, struct err *e);
} pipelines[] = {
    {"continuum", run_task},
    {"mosaic", run_task},
    {NOOP_NAME, run_noop},
};

/* Who is out of memory because of our setting hears of the setting. */
static void name_limit(const struct worker *w, int rc, struct err *e)
{
    char text[sizeof e->text];

    if (rc != -ENOMEM || w->conf->workers.memory_mib == 0)
        return;
    snprintf(text, sizeof text, "%s", e->text);
    err_set(e, rc, "%.180s ([workers] memory_mib = %ld)", text,
            w->conf->workers.memory_mib);
}

/* Returns the exit status that fits. */
static int work_on(struct worker *w, json_t *task)
{
    const char *outcome = OUTCOME_BAD;
    struct err e = {0};
    size_t i, n = sizeof pipelines / sizeof pipelines[0];

    w->published[0] = w->scratch[0] = '\0';
    w->registry = NULL;
    w->lost = w->ending = false;
    usage_begin(w);
    if (json_unpack(task, "{s:s, s:s, s:o}", "name", &w->name, "key", &w->key, "params",
                    &w->params) != 0)
        return say_end(w, OUTCOME_BAD, "the task on stdin is not a JSON task");
    for (i = 0; i < n && strcmp(pipelines[i].name, w->name) != 0;)
        i++;
    if (i == n)
        err_set(&e, -EINVAL, "there is no pipeline %s", w->name);
    else
        name_limit(w, pipelines[i].run(w, &outcome, &e), &e);
    return say_end(w, outcome, e.text);
}

/*
 * Nothing that a task starts, or a library prints, may come between us and the daemon:
 * stdin and stdout move to descriptors that are closed on exec, and leave /dev/null and the
 * task's log in their places.
 */
static int open_ends(struct worker *w)
{
    int in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (in == -1 || out == -1 || null == -1 || (w->in = fdopen(in, "r")) == NULL ||
        (w->out = fdopen(out, "w")) == NULL || dup2(null, STDIN_FILENO) == -1 ||
        dup2(STDERR_FILENO, STDOUT_FILENO) == -1)
        return -errno;
    close(null);
    return 0;
}

static void limit_memory(const struct conf *conf)
{
    rlim_t bytes = (rlim_t)conf->workers.memory_mib << 20;

    if (bytes > 0)
        setrlimit(RLIMIT_DATA, &(struct rlimit){bytes, bytes});
}

/* Each dying thread of the daemon may signal us. */
static bool becomes(int fd, short events, int wait_ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    int rc;

    while ((rc = poll(&p, 1, wait_ms)) == -1 && errno == EINTR)
        continue;
    return rc == 1;
}

/*
 * A daemon that lives kills what a task has left; of one that died nobody else does.  The
 * signal of its death comes when its first thread has ended, its descriptors are closed
 * with the last: so wait for the end of stdin, which a daemon that lives closes, too.
 */
static void end_orphans(const struct worker *w)
{
    const char *mark = getenv(ORPHAN_TASK);

    if (mark != NULL && becomes(fileno(w->in), POLLIN, 1000) &&
        becomes(fileno(w->out), 0, 20))
        orphan_kill(mark);
}

int worker_main(const struct conf *conf)
{
    struct worker w = {.conf = conf, .mutex = PTHREAD_MUTEX_INITIALIZER};
    struct sigaction sa = {.sa_handler = on_stop};
    json_t *task;
    int status = 0;

    prctl(PR_SET_PDEATHSIG, SIGTERM); /* a dead daemon's workers hand back and end */
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    if (open_ends(&w) != 0)
        return 1;
    limit_memory(conf);
    thread_cond_init(&w.wake);
    /* Whoever did not end well is replaced: nobody knows what it has left behind. */
    while (status == 0 && !told_to_stop &&
           (task = json_loadf(w.in, JSON_DISABLE_EOF_CHECK, NULL)) != NULL) {
        status = work_on(&w, task);
        json_decref(task);
    }
    end_orphans(&w);
    pthread_cond_destroy(&w.wake);
    fclose(w.in);
    fclose(w.out);
    return status;
}
