/* queue.c: see queue.h; what both stores share, and the way to the one of the settings. */
#include "core/store/queue.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/path.h"
#include "core/store/queue_store.h"

void task_clear(struct task *t)
{
    free(t->params);
    free(t->result);
    memset(t, 0, sizeof *t);
}

static const char *const status_names[TASK_STATUSES] = {
    [TASK_NONE] = "",           [TASK_PENDING] = "pending",
    [TASK_CLAIMED] = "claimed", [TASK_COMPLETED] = "completed",
    [TASK_FAILED] = "failed",   [TASK_CANCELLED] = "cancelled"};

const char *task_status_name(enum task_status status)
{
    return status_names[status];
}

enum task_status task_status_of(const char *word)
{
    int i = TASK_STATUSES - 1;

    while (i > TASK_NONE && strcmp(status_names[i], word) != 0)
        i--;
    return (enum task_status)i;
}

/* ---- which store ---- */

static const struct queue_kind *kind_of(const struct queue_opts *opts)
{
    return strncmp(opts->store, "sqlite:", 7) == 0 ? &queue_sqlite : &queue_pg;
}

int queue_open(struct queue **out, const struct queue_opts *opts, struct err *e)
{
    *out = NULL;
    return kind_of(opts)->open(out, opts, e);
}

/* The longest that a task waits before it is tried again: slot.c adds up to a fifth. */
static double longest_wait_s(const struct conf *conf)
{
    return 1.2 * conf->workers.retry_max_s + 1;
}

int queue_conf_opts(struct queue_opts *opts, char *store, size_t size,
                    const struct conf *conf, enum queue_role role, struct err *e)
{
    char path[PATH_MAX];
    int rc = path_join(path, sizeof path, conf->paths.state, "queue.sqlite3", e);

    if (rc != 0)
        return rc;
    if (strcmp(conf->queue.store, "sqlite") == 0)
        rc = snprintf(store, size, "sqlite:%s", path);
    else
        rc = snprintf(store, size, "%s", conf->queue.store);
    if (rc < 0 || (size_t)rc >= size)
        return err_set(e, -ENAMETOOLONG, "path too long: %.80s", path);
    *opts = (struct queue_opts){.store = store,
                                .name = conf->queue.name,
                                .role = role,
                                .aging = conf->queue.aging,
                                .longest_wait_s = longest_wait_s(conf)};
    return 0;
}

int queue_open_conf(struct queue **out, const struct conf *conf, enum queue_role role,
                    struct err *e)
{
    char store[PATH_MAX + 16];
    struct queue_opts opts;
    int rc = queue_conf_opts(&opts, store, sizeof store, conf, role, e);

    *out = NULL;
    return rc != 0 ? rc : queue_open(out, &opts, e);
}

int queue_restore(const struct queue_opts *opts, const char *path, struct err *e)
{
    return kind_of(opts)->restore(opts, path, e);
}

int queue_migrate(const struct queue_opts *opts, bool dry, struct queue_schema *schema,
                  queue_say_fn *say, void *arg, struct err *e)
{
    return kind_of(opts)->migrate(opts, dry, schema, say, arg, e);
}

void queue_close(struct queue *q)
{
    if (q != NULL)
        q->ops->close(q);
}

const char *queue_where(const struct queue *q)
{
    return q->where;
}

/* ---- what a task may be ---- */

int queue_check_spec(const struct task_spec *spec, struct err *e)
{
    json_error_t why;
    json_t *params;

    if (spec->name[0] == '\0' || strlen(spec->name) >= QUEUE_NAME)
        return err_set(e, -EINVAL, "a task's name '%.70s' is empty or too long",
                       spec->name);
    if (spec->key[0] == '\0' || strlen(spec->key) >= QUEUE_TEXT)
        return err_set(e, -EINVAL, "a task's key '%.80s' is empty or too long",
                       spec->key);
    if (spec->params == NULL)
        return 0;
    params = json_loads(spec->params, 0, &why);
    json_decref(params);
    if (params == NULL)
        return err_set(e, -EINVAL, "the params of task %s are no JSON: %s", spec->key,
                       why.text);
    return 0;
}

/*
 * UUID version 7 (RFC 9562, 5.7 and 6.2 method 1): 48 bits of Unix milliseconds, a 12-bit
 * counter that starts anew in its lower half each millisecond, 62 random bits.  Grows from call
 * to call, also when the clock is set back; what is remembered for that is this thread's.
 */
int queue_new_id(char id[QUEUE_ID], struct err *e)
{
    static _Thread_local uint64_t last_ms;
    static _Thread_local unsigned seq;
    uint64_t ms = (uint64_t)(clock_wall_s() * 1e3), r[2];

    if (getrandom(r, sizeof r, 0) != sizeof r)
        return err_set(e, -EIO, "no random numbers for a task's name");
    if (ms > last_ms) {
        last_ms = ms;
        seq = (unsigned)(r[1] & 0x7ff);
    } else if (++seq > 0xfff) {
        last_ms++;
        seq = 0;
    }
    snprintf(id, QUEUE_ID, "%08llx-%04llx-7%03x-%04llx-%012llx",
             (unsigned long long)(last_ms >> 16 & 0xffffffff),
             (unsigned long long)(last_ms & 0xffff), seq & 0xfff,
             (unsigned long long)((r[0] >> 48 & 0x3fff) | 0x8000),
             (unsigned long long)(r[0] & 0xffffffffffff));
    return 0;
}

const char *queue_outcome(enum task_how how)
{
    static const char *const words[] = {[TASK_COMPLETE] = "completed",
                                        [TASK_FAIL] = "failed",
                                        [TASK_RETRY] = "failed",
                                        [TASK_RELEASE] = "released",
                                        [TASK_CANCEL] = "cancelled"};

    return words[how];
}

static const char *const mode_names[] = {
    [QUEUE_RUNS] = "running", [QUEUE_DRAINS] = "draining", [QUEUE_PAUSED] = "paused"};

const char *queue_mode_name(enum queue_mode mode)
{
    return mode_names[mode];
}

bool queue_mode_by_name(const char *name, enum queue_mode *mode)
{
    for (size_t i = 0; i < sizeof mode_names / sizeof mode_names[0]; i++)
        if (strcmp(mode_names[i], name) == 0) {
            *mode = (enum queue_mode)i;
            return true;
        }
    return false;
}

/* ---- to the store ---- */

int queue_spawn(struct queue *q, struct task_spec *spec, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        int rc = queue_check_spec(&spec[i], e);

        spec[i].made = false;
        if (rc != 0)
            return rc;
    }
    return n == 0 ? 0 : q->ops->spawn(q, spec, n, e);
}

int queue_turn(struct queue *q, struct queue_turn *turn, struct err *e)
{
    turn->ngot = 0;
    return q->ops->turn(q, turn, e);
}

int queue_beat(struct queue *q, const struct queue_worker *me, struct task_ref *ref,
               size_t n, double lease_s, size_t *dropped, struct err *e)
{
    *dropped = 0;
    return q->ops->beat(q, me, ref, n, lease_s, dropped, e);
}

int queue_bury(struct queue *q, const char *worker, size_t *n, struct err *e)
{
    *n = 0;
    return q->ops->bury(q, worker, n, e);
}

int queue_reap(struct queue *q, double lease_s, size_t *n, struct err *e)
{
    *n = 0;
    return q->ops->reap(q, lease_s, n, e);
}

int queue_put_steps(struct queue *q, const struct task_step *step, size_t n,
                    struct err *e)
{
    return n == 0 ? 0 : q->ops->put_steps(q, step, n, e);
}

int queue_fd(const struct queue *q)
{
    return q->ops->fd(q);
}

int queue_changed(struct queue *q, struct err *e)
{
    return q->ops->changed(q, e);
}

int queue_each(struct queue *q, const struct task_filter *filter, queue_each_fn *fn,
               void *arg, struct err *e)
{
    return q->ops->each(q, filter, fn, arg, e);
}

/* The one task that a filter finds; the fn of queue_each may only borrow it. */
static void keep_task(void *arg, const struct task *task)
{
    struct task *out = arg;

    task_clear(out);
    *out = *task;
    out->params = task->params != NULL ? strdup(task->params) : NULL;
    out->result = task->result != NULL ? strdup(task->result) : NULL;
}

int queue_status(struct queue *q, const char *name, const char *key, struct task *out,
                 struct err *e)
{
    struct task_filter filter = {.name = name, .key = key};
    int rc;

    memset(out, 0, sizeof *out);
    rc = queue_each(q, &filter, keep_task, out, e);
    if (rc == 0 && out->id[0] == '\0')
        rc = err_set(e, -ENOENT, "there is no task %s %s", name, key);
    return rc;
}

int queue_attempts(struct queue *q, const char *id, queue_attempt_fn *fn, void *arg,
                   struct err *e)
{
    return q->ops->attempts(q, id, fn, arg, e);
}

int queue_steps(struct queue *q, const char *id, queue_step_fn *fn, void *arg,
                struct err *e)
{
    return q->ops->steps(q, id, fn, arg, e);
}

int queue_workers(struct queue *q, queue_worker_fn *fn, void *arg, struct err *e)
{
    return q->ops->workers(q, fn, arg, e);
}

int queue_counts(struct queue *q, queue_count_fn *fn, void *arg, struct err *e)
{
    return q->ops->counts(q, fn, arg, e);
}

int queue_count(struct queue *q, enum task_status status, size_t *n, struct err *e)
{
    *n = 0;
    return q->ops->count(q, status, n, e);
}

int queue_next_due(struct queue *q, double *in_s, struct err *e)
{
    *in_s = -1;
    return q->ops->next_due(q, in_s, e);
}

int queue_ahead(struct queue *q, const struct task *task, size_t *n, struct err *e)
{
    *n = 0;
    return q->ops->ahead(q, task, n, e);
}

int queue_first_open(struct queue *q, const char *name, char key[QUEUE_TEXT],
                     struct err *e)
{
    key[0] = '\0';
    return q->ops->first_open(q, name, key, e);
}

int queue_now(struct queue *q, double *unix_s, struct err *e)
{
    return q->ops->now(q, unix_s, e);
}

int queue_change(struct queue *q, enum queue_order order,
                 const struct task_filter *filter, int priority, size_t *n,
                 struct err *e)
{
    *n = 0;
    return q->ops->change(q, order, filter, priority, n, e);
}

int queue_set_mode(struct queue *q, enum queue_mode mode, const char *reason,
                   struct err *e)
{
    return q->ops->set_mode(q, mode, reason, e);
}

int queue_get_mode(struct queue *q, enum queue_mode *mode, char *reason, size_t size,
                   double *since, struct err *e)
{
    return q->ops->get_mode(q, mode, reason, size, since, e);
}

int queue_vacuum(struct queue *q, struct err *e)
{
    return q->ops->vacuum(q, e);
}

int queue_backup(struct queue *q, const char *path, struct err *e)
{
    return q->ops->backup(q, path, e);
}
