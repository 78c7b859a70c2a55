/*
 * queue.h: what is to be done to which group; survives restarts, hand edits and a store
 * that goes away.
 *
 * One interface, two stores behind it: SQLite (queue_sqlite.c: a file, for one machine) and
 * PostgreSQL (queue_pg.c: for several).  Both keep the table `t_tasks` (in PostgreSQL in
 * schema `absurd`) with the columns of the operator's runbook: task_id, task_name, params,
 * status, priority, error, retry_count, worker_id, created_at, claimed_at, last_heartbeat;
 * and beside it t_attempts, t_steps, t_workers and t_queues.
 *
 *   pending --claim--> claimed --end--> completed | failed | cancelled | pending (again, or
 *   handed back)
 *
 * Every operation is one transaction and safe to repeat: whoever is told ERR_STORE_DOWN does
 * not know whether it happened, and calls again with the same arguments.  `fence` is given at
 * each claim and checked by every later word about the task, so that an overtaken worker's
 * word does not count (ERR_LOST_TASK).  An operator may change status and priority by plain
 * SQL at any moment: a task that leaves `claimed` so has lost its worker, and one put back to
 * `pending` has all its retries again.
 *
 * Times are Unix seconds by the store's clock.  Leases are timed by the store alone:
 * PostgreSQL's now(), or the machine's CLOCK_BOOTTIME, which no wall clock moves.
 *
 * Blocking, one thread at a time per struct queue.
 *
 * Status of every operation: 0; ERR_STORE_DOWN when the store does not answer, is locked or
 * full just now; -ENOMEM; -EACCES when it is not permitted; ERR_FORMAT when the file is
 * damaged or the server's tables have become another version's; else a negated errno.  What a
 * function can answer beside these stands at it; where it says "Status: the store's", nothing.
 */
#ifndef CORE_STORE_QUEUE_H
#define CORE_STORE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf;
struct err;
struct queue;

enum {
    QUEUE_ID = 37,
    QUEUE_NAME = 64,
    QUEUE_WORKER = 128,
    QUEUE_TEXT = 256,
};

/* What a task is now.  The store, and JSON, have the words: "pending" and so on. */
enum task_status {
    TASK_NONE, /* no such task; in a filter: whatever it is */
    TASK_PENDING,
    TASK_CLAIMED,
    TASK_COMPLETED,
    TASK_FAILED,
    TASK_CANCELLED,
    TASK_STATUSES,
};
const char *task_status_name(enum task_status status); /* TASK_NONE: "" */
enum task_status task_status_of(const char *word); /* TASK_NONE: not one of the words */

struct task {
    char id[QUEUE_ID];     /* UUID version 7: sorts by creation */
    char name[QUEUE_NAME]; /* of its pipeline */
    char key[QUEUE_TEXT];  /* group or window: with name, unique */
    char *params;          /* JSON; owned, as is result; task_clear frees them */
    char *result;          /* text of whoever completed it; NULL */
    enum task_status status;
    int priority; /* higher first */
    int retry_count, max_retries;
    double timeout_s; /* its own hard limit; 0: the settings' */
    bool cancel;      /* claimed, and asked to stop */
    int64_t fence;
    double run_after;                          /* not claimed before this */
    double created, claimed, heartbeat, ended; /* 0: not yet */
    char error[QUEUE_TEXT];
    char worker[QUEUE_WORKER]; /* who has it, or had it last; "" nobody */
};
void task_clear(struct task *t);

/* ---- life ---- */

enum queue_role {
    QUEUE_AS_DAEMON, /* makes and upgrades the tables; SQLite: one at a time, else -EBUSY */
    QUEUE_AS_WORKER, /* takes part; the tables must be there, else -ENOENT */
    QUEUE_AS_TOOL,   /* looks and edits; as a worker */
};

struct queue_opts {
    /* "sqlite:PATH", or a PostgreSQL connection string (URI or name=value) */
    const char *store;
    const char *name; /* of the queue; NULL: "dsa110-pipeline" */
    enum queue_role role;
    long aging; /* one claim in so many takes the oldest task; 0: none */
    /* no retry of ours waits longer, s; 0: unknown.  What was queued under a wall clock that
       was wrong then waits no longer than this, and not at all when it was never tried. */
    double longest_wait_s;
};

/*
 * queue_open: open the store.  *out is NULL unless 0.
 * Status: 0; -EBUSY a daemon has it (SQLite); -ENOENT no tables yet; ERR_FORMAT another
 * program's tables, or of a newer or (but for the daemon on SQLite) older watcherd;
 * ERR_STORE_DOWN not reached just now; -EINVAL a wrong connection string; -ENOTSUP SQLite
 * on a network file system, or a server before PostgreSQL 15.  Note: the daemon upgrades
 * SQLite's older tables by itself, after a copy `<path>.v<N>`; PostgreSQL's only `taskctl
 * migrate` does, because other machines may still use them.
 */
int queue_open(struct queue **out, const struct queue_opts *opts, struct err *e);
/* What the settings say; opts->store points into `store`, which wants PATH_MAX + 16 bytes.
   Status: 0; -ENAMETOOLONG. */
int queue_conf_opts(struct queue_opts *opts, char *store, size_t size,
                    const struct conf *conf, enum queue_role role, struct err *e);
/* queue_open by the settings.  Status as queue_open. */
int queue_open_conf(struct queue **out, const struct conf *conf, enum queue_role role,
                    struct err *e);
void queue_close(struct queue *q);
/* Where it is, for people, without a password: "SQLite /var/lib/x/queue.sqlite3". */
const char *queue_where(const struct queue *q);

/* ---- making tasks ---- */

struct task_spec {
    const char *name, *key;
    const char *params; /* JSON; NULL: {} */
    int priority, max_retries;
    double timeout_s; /* 0: none of its own */
    double delay_s;   /* of a new one: not before this from now */
    /* an ended one of this name and key goes back to pending with these params */
    bool again;
    bool made; /* returned: there was none, or `again` put it back */
};

/* Make pending tasks, all or none, unless (name, key) exist.  Status: the store's; -EINVAL a
   name, key or params that cannot be: the sentence says which. */
int queue_spawn(struct queue *q, struct task_spec *spec, size_t n, struct err *e);

/* ---- workers ---- */

enum task_how {
    TASK_COMPLETE,
    TASK_FAIL, /* for good */
    TASK_RETRY, /* pending again after delay_s while retry_count < max_retries, else failed */
    TASK_RELEASE, /* handed back: pending after delay_s, no attempt counted */
    TASK_CANCEL,  /* stopped as asked */
};

struct task_end {
    char id[QUEUE_ID];
    int64_t fence;
    enum task_how how;
    const char *text;  /* result of a complete one, else the error; NULL */
    const char *usage; /* JSON of what it used, for t_attempts; NULL */
    double delay_s;
    int rc; /* returned: 0, or ERR_LOST_TASK */
};

enum queue_mode {
    QUEUE_RUNS,
    QUEUE_DRAINS, /* nothing new is queued (by the daemons); what is there is worked off */
    QUEUE_PAUSED, /* nothing is claimed */
};

/* What a worker tells and asks in one transaction, so that a busy one pays for one commit a
   round. */
struct queue_turn {
    const char *worker;
    struct task_end *end; /* [nend] */
    size_t nend;
    size_t want;      /* claim up to so many */
    double lease_s;   /* of those */
    struct task *got; /* [want]; returned: ngot tasks, the caller's */
    size_t ngot;
    enum queue_mode mode; /* returned */
};

/*
 * queue_turn: end tasks, then claim due ones: highest priority, then smallest key, then oldest.
 * Status: 0, also when ngot is 0; or a failure, with nothing done (but see ERR_STORE_DOWN)
 * and ngot 0.  Notes:
 *   1) A task whose cancel was asked for becomes cancelled where else it would become pending.
 *   2) What was claimed by a call whose answer was lost is handed back by the next queue_beat.
 *   3) Only ends are forced to disk: a claim that a power cut forgets was held by nobody.
 */
int queue_turn(struct queue *q, struct queue_turn *turn, struct err *e);

/* One process that claims: a daemon, or a worker of its own. */
struct queue_worker {
    char id[QUEUE_WORKER];      /* "host:name:pid" */
    char machine[40], boot[40]; /* as in claims: locks/owner.h */
    char host[64];
    int64_t pid, start;   /* of the process, field 22 of /proc/PID/stat */
    char state[16];       /* "running", "stopping" */
    int slots, running;   /* tasks at the same time; now */
    double started, seen; /* Unix s; returned only */
};

enum task_hold { TASK_HELD, TASK_LOST, TASK_TO_CANCEL };

struct task_ref {
    char id[QUEUE_ID];
    int64_t fence;
    enum task_hold hold; /* returned */
};

/*
 * queue_beat: I am alive and work on these and nothing else.  Their leases and
 * last_heartbeat are renewed; tasks that the store believes this worker to have beside them
 * are handed back (*dropped counts).  Status: the store's; what each task has come to is in
 * ref[i].hold.
 */
int queue_beat(struct queue *q, const struct queue_worker *me, struct task_ref *ref,
               size_t n, double lease_s, size_t *dropped, struct err *e);
/* This worker has ended, or is proved dead: all that it has is handed back (*n) and it is
   forgotten.  Status: the store's; also 0 when nobody knows it. */
int queue_bury(struct queue *q, const char *worker, size_t *n, struct err *e);
/*
 * queue_reap: tasks whose lease has run out are ended as TASK_RETRY without delay; *n of
 * them.
 * Note: not in the first lease_s after the store was opened or found again, so that workers
 * can tell first; of several that call it at the same moment one does it.  Status: the store's.
 */
int queue_reap(struct queue *q, double lease_s, size_t *n, struct err *e);

struct task_step {
    char id[QUEUE_ID];
    int64_t fence;
    const char *step, *detail;
    double took_s;
    double at; /* returned by queue_steps */
};
/* Note finished steps; those of a task that is no longer held are left out silently.
   Status: the store's. */
int queue_put_steps(struct queue *q, const struct task_step *step, size_t n,
                    struct err *e);

/* A descriptor that is readable when the store has something to tell; -1: there is none. */
int queue_fd(const struct queue *q);
/* Has anybody else changed what there is to do since the last call?  SQLite tells of any
   change by another process, PostgreSQL of tasks that became pending and of edits.  Never
   waits.  Status: 1 yes, 0 no, or the store's failure. */
int queue_changed(struct queue *q, struct err *e);

/* ---- looking ---- */

/* Which tasks; all zeros: all of them. */
struct task_filter {
    const char *id; /* or its first characters, at least 4; with id_end its last ones */
    bool id_end;
    const char *name, *key;
    enum task_status status;
    double made_from, made_to; /* created in [from, to), Unix s; 0: any */
    double claimed_before_s;   /* claimed longer ago than this; 0: any */
    double silent_s;           /* last heartbeat longer ago than this; 0: any */
    size_t limit;              /* 0: none */
    bool newest;               /* last created first; else by key */
};
typedef void queue_each_fn(void *arg, const struct task *task);
/* fn borrows the task and may not call the queue.  Status: the store's; -EINVAL an id that is
   too short. */
int queue_each(struct queue *q, const struct task_filter *filter, queue_each_fn *fn,
               void *arg, struct err *e);
/* The task (name, key), the caller's to task_clear.  Status: the store's; -ENOENT there is
   none, and *out is all zero. */
int queue_status(struct queue *q, const char *name, const char *key, struct task *out,
                 struct err *e);

struct task_attempt {
    int attempt;
    int64_t fence;
    char worker[QUEUE_WORKER];
    double claimed, ended; /* ended 0: under way */
    char outcome[16]; /* completed failed released cancelled expired abandoned fenced */
    char error[QUEUE_TEXT];
    char usage[QUEUE_TEXT]; /* JSON or "" */
};
typedef void queue_attempt_fn(void *arg, const struct task_attempt *attempt);
/* All attempts at a task, oldest first; fn as in queue_each.  Status: the store's. */
int queue_attempts(struct queue *q, const char *id, queue_attempt_fn *fn, void *arg,
                   struct err *e);
typedef void queue_step_fn(void *arg, const struct task_step *step);
/* All finished steps of a task, oldest first; fn as in queue_each.  Status: the store's. */
int queue_steps(struct queue *q, const char *id, queue_step_fn *fn, void *arg,
                struct err *e);
typedef void queue_worker_fn(void *arg, const struct queue_worker *worker);
/* All workers that take part; fn as in queue_each.  Status: the store's. */
int queue_workers(struct queue *q, queue_worker_fn *fn, void *arg, struct err *e);

/* Each (name, status) of which there are tasks, and how many.  Status: the store's. */
typedef void queue_count_fn(void *arg, const char *name, enum task_status status,
                            size_t n);
int queue_counts(struct queue *q, queue_count_fn *fn, void *arg, struct err *e);
/* How many of one status, which is not TASK_NONE.  Status: the store's. */
int queue_count(struct queue *q, enum task_status status, size_t *n, struct err *e);
/* Seconds until the next pending one is due (< 0: none).  Status: the store's. */
int queue_next_due(struct queue *q, double *in_s, struct err *e);
/* Number of pending tasks that are claimed before this pending one, due or not.
   Status: the store's. */
int queue_ahead(struct queue *q, const struct task *task, size_t *n, struct err *e);
/* The smallest key of a pending or claimed task of this name; "" when there is none.  Reads no
 * ended task, and of the pending ones of each priority only those before it.
 * Status: 0; ERR_STORE_DOWN. */
int queue_first_open(struct queue *q, const char *name, char key[QUEUE_TEXT],
                     struct err *e);
/* The store's clock.  Status: the store's. */
int queue_now(struct queue *q, double *unix_s, struct err *e);

/* ---- operators ---- */

enum queue_order {
    QUEUE_RETRY, /* failed and cancelled ones: pending at once, with all their retries */
    QUEUE_CANCEL,   /* pending ones at once, claimed ones are asked to stop */
    QUEUE_PRIORITY, /* of pending and claimed ones */
};
/* *n counts the tasks of the filter to which it applied.  Status: the store's; -EINVAL an id
   that is too short. */
int queue_change(struct queue *q, enum queue_order order,
                 const struct task_filter *filter, int priority, size_t *n,
                 struct err *e);
/* Of the whole queue, for all daemons and workers; reason "" or NULL: none.
   Status: the store's. */
int queue_set_mode(struct queue *q, enum queue_mode mode, const char *reason,
                   struct err *e);
/* reason (may be NULL) is cut to size; *since: Unix s, 0 when it was never set.
   Status: the store's. */
int queue_get_mode(struct queue *q, enum queue_mode *mode, char *reason, size_t size,
                   double *since, struct err *e);
const char *queue_mode_name(enum queue_mode mode); /* "running", "draining", "paused" */

/* ---- upkeep ---- */

/* Give back space and renew the planner's statistics.  Status: the store's. */
int queue_vacuum(struct queue *q, struct err *e);
/* A consistent copy while everything runs: an SQLite file, or what pg_dump makes of schema
 * absurd. Complete under its name or not there.  Status: the store's; -ENAMETOOLONG; -EIO
 * pg_dump failed, the sentence is its first line; else an errno of the file system.  */
int queue_backup(struct queue *q, const char *path, struct err *e);
/* Put a backup in the place of the queue.  Status as queue_open; -EBUSY a daemon or worker is
   alive; -ENOENT or ERR_FORMAT `path` is no backup. */
int queue_restore(const struct queue_opts *opts, const char *path, struct err *e);

struct queue_schema {
    int have; /* 0: no tables */
    int want;
};
typedef void queue_say_fn(void *arg, const char *text);
/*
 * queue_migrate: bring the tables to this program's version, after a backup; `dry` only
 * says what would be done.  say gets one line a step.  Status as queue_open; 0 also when there
 * was nothing to do.
 */
int queue_migrate(const struct queue_opts *opts, bool dry, struct queue_schema *schema,
                  queue_say_fn *say, void *arg, struct err *e);

#endif
