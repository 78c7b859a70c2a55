#include "watcherd/work/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/path.h"
#include "core/text.h"
#include "locks/orphan.h"
#include "pipeline/pipeline.h"
#include "pipeline/work.h"
#include "watcherd/base/outcome.h"
#include "watcherd/work/job.h"
#include "watcherd/work/sandbox.h"
#include "watcherd/work/usage.h"

struct worker {
    const struct conf *conf;
    FILE *in, *out;     /* tasks, and what is said of them */
    struct usage begin; /* of the task */
};

static volatile sig_atomic_t told_to_stop;

static void on_stop(int sig)
{
    (void)sig;
    told_to_stop = 1;
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
    say(arg, json_pack("{s:s, s:s, s:f, s:o}", "event", "step", "step", step, "took_s",
                       took_s, "detail", text_json(detail)));
}

static const struct {
    const char *outcome;
    int status;
} ends[] = {
    {OUTCOME_DONE, 0},     {OUTCOME_SKIPPED, 0},  {OUTCOME_BUSY, 75},
    {OUTCOME_LOST, 75},    {OUTCOME_STOPPED, 75}, {OUTCOME_BAD, 65},
    {OUTCOME_MACHINE, 75}, {OUTCOME_FAILED, 1},
};

static int say_end(const struct worker *w, const char *outcome, const char *reason,
                   const char *published)
{
    say(w, json_pack("{s:s, s:s, s:o, s:o, s:o}", "event", "end", "outcome", outcome,
                     "reason", text_json(reason), "path", text_json(published), "usage",
                     usage_json(&w->begin)));
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (strcmp(ends[i].outcome, outcome) == 0)
            return ends[i].status;
    return 1;
}

/* ---- one task ---- */

/* The daemon holds the other end of stdout; it may have died before we asked to be told. */
static bool nobody_listens(const struct worker *w)
{
    struct pollfd out = {.fd = fileno(w->out)};

    return poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP)) != 0;
}

static int cancelled(void *arg)
{
    return told_to_stop || nobody_listens(arg);
}

/* Bytes that a worker may take: what the settings say, else nine tenths of the machine's. */
static rlim_t memory_limit(const struct conf *conf)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

    if (conf->workers.memory_mib > 0)
        return (rlim_t)conf->workers.memory_mib << 20;
    return pages > 0 && page > 0 ? (rlim_t)pages / 10 * 9 * (rlim_t)page
                                 : RLIM_INFINITY;
}

/* Who is out of memory because of a limit of ours hears of the limit.  What does not fit into one
 * that an operator has set never will: that is the data's fault, not worth another attempt. */
static void name_limit(const struct worker *w, int rc, const char **outcome,
                       struct err *e)
{
    char text[sizeof e->text];

    if (rc != -ENOMEM)
        return;
    snprintf(text, sizeof text, "%s", e->text);
    err_set(e, rc, "%.150s (%s%llu MiB for a worker)", text,
            w->conf->workers.memory_mib > 0 ? "[workers] memory_mib = " : "",
            (unsigned long long)(memory_limit(w->conf) >> 20));
    if (w->conf->workers.memory_mib > 0)
        *outcome = OUTCOME_BAD;
}

/* Returns the exit status that fits. */
static int work_on(struct worker *w, json_t *task)
{
    struct job job = {
        .conf = w->conf, .step = say_step, .cancelled = cancelled, .arg = w};
    const char *name, *outcome = OUTCOME_BAD;
    struct err e = {0};

    usage_begin(&w->begin);
    if (json_unpack(task, "{s:s, s:s, s:o}", "name", &name, "key", &job.key, "params",
                    &job.params) != 0)
        return say_end(w, OUTCOME_BAD, "the task on stdin is not a JSON task", "");
    job.pipeline = pipeline_by_name(name);
    if (job.pipeline == NULL) {
        err_set(&e, -EINVAL, "there is no pipeline %s", name);
    } else {
        int rc;

        job.work = work_of(job.pipeline);
        rc = job_run(&job, &outcome, &e);
        name_limit(w, rc, &outcome, &e);
    }
    return say_end(w, outcome, e.text, job.published);
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
    struct rlimit limit = {memory_limit(conf), memory_limit(conf)};

#ifdef __SANITIZE_ADDRESS__ /* its shadow counts */
    if (conf->workers.memory_mib == 0)
        return;
#endif
    setrlimit(RLIMIT_DATA, &limit);
}

/* A file that makes a library do what it should not can harm these folders and nothing else.
 * They are made first: what is not there could not be covered. */
static void enter_sandbox(const struct conf *conf)
{
    const char *const dir[] = {conf->paths.state, conf->paths.scratch,
                               conf->paths.products, conf->paths.locks};
    enum { N = sizeof dir / sizeof dir[0] };
    struct err e = {0};
    int rc;

    if (!conf->workers.sandbox)
        return;
    for (size_t i = 0; i < N; i++)
        path_mkdirs(dir[i], NULL); /* who needs it will say why it cannot be */
    rc = sandbox_enter(dir, N, &e);
    if (rc != 0 && rc != -ENOSYS && rc != -EOPNOTSUPP)
        fprintf(stderr, "%s; the task runs without one\n", e.text);
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
    struct worker w = {.conf = conf};
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
    enter_sandbox(conf);
    /* Whoever did not end well is replaced: nobody knows what it has left behind. */
    while (status == 0 && !told_to_stop &&
           (task = json_loadf(w.in, JSON_DISABLE_EOF_CHECK, NULL)) != NULL) {
        status = work_on(&w, task);
        json_decref(task);
    }
    end_orphans(&w);
    fclose(w.in);
    fclose(w.out);
    return status;
}
