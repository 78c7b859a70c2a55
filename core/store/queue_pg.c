/*
 * queue_pg.c: the queue in PostgreSQL, for several machines: life, tasks and workers.
 *
 * Each call is one function of schema absurd (queue_pg_sql.c), one round trip and one
 * transaction; times are the server's alone.  Only transactions that spawn, end or edit
 * wait for the disk.
 */
#include "core/store/queue_pg.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"

static const char sql_spawn[] =
    "SELECT * FROM unnest(absurd.wd_spawn($1,$2::uuid[],$3::text[],$4::text[],"
    "$5::jsonb[],$6::int[],$7::int[],$8::float8[],$9::float8[],$10::boolean[]))";
static const char sql_turn[] =
    "SELECT * FROM absurd.wd_turn($1,$2,$3::int,$4::int,$5::float8,$6::uuid[],"
    "$7::bigint[],$8::text[],$9::text[],$10::text[],$11::json[],$12::float8[])";
static const char sql_beat[] =
    "SELECT dropped, unnest(hold) FROM absurd.wd_beat($1,$2,$3,$4,$5,$6::bigint,"
    "$7::bigint,$8,$9::int,$10::int,$11::float8,$12::uuid[],$13::bigint[])";
static const char sql_beat_only[] =
    "SELECT dropped FROM absurd.wd_beat($1,$2,$3,$4,$5,$6::bigint,"
    "$7::bigint,$8,$9::int,$10::int,$11::float8,'{}','{}')";
static const char sql_bury[] = "SELECT absurd.wd_bury($1,$2)";
static const char sql_reap[] = "SELECT absurd.wd_reap($1)";
/* As in queue_sqlite.c: $2 the longest wait; of a task never tried, what was asked for. */
static const char sql_cap[] =
    "UPDATE absurd.t_tasks t SET run_after = least(t.run_after, now()"
    " + CASE WHEN t.attempts > 0 THEN $2::float8 * interval '1 second'"
    "  WHEN t.run_after - t.created_at < interval '1 second' THEN interval '0'"
    "  ELSE t.run_after - t.created_at END)"
    " WHERE t.queue_name = $1 AND t.status = 'pending'"
    " AND t.run_after > now()";
static const char sql_steps[] = "SELECT absurd.wd_steps($1::uuid[],$2::bigint[],"
                                "$3::text[],$4::float8[],$5::text[])";

/* ---- rows ---- */

int queue_pg_fill(const PGresult *r, int row, int first, struct task *out,
                  struct err *e)
{
    bool has_result = !PQgetisnull(r, row, first + 4);

    memset(out, 0, sizeof *out);
    out->params = strdup(PQgetvalue(r, row, first + 3));
    out->result = has_result ? strdup(PQgetvalue(r, row, first + 4)) : NULL;
    if (out->params == NULL || (has_result && out->result == NULL)) {
        task_clear(out);
        return err_set(e, -ENOMEM, "out of memory reading a task");
    }
    pg_text(r, row, first, out->id, sizeof out->id);
    pg_text(r, row, first + 1, out->name, sizeof out->name);
    pg_text(r, row, first + 2, out->key, sizeof out->key);
    out->status = task_status_of(PQgetvalue(r, row, first + 5));
    out->priority = (int)pg_int(r, row, first + 6);
    out->retry_count = (int)pg_int(r, row, first + 7);
    out->max_retries = (int)pg_int(r, row, first + 8);
    out->timeout_s = pg_real(r, row, first + 9);
    out->cancel = PQgetvalue(r, row, first + 10)[0] == 't';
    out->fence = pg_int(r, row, first + 11);
    out->run_after = pg_real(r, row, first + 12);
    out->created = pg_real(r, row, first + 13);
    out->claimed = pg_real(r, row, first + 14);
    out->heartbeat = pg_real(r, row, first + 15);
    out->ended = pg_real(r, row, first + 16);
    pg_text(r, row, first + 17, out->error, sizeof out->error);
    pg_text(r, row, first + 18, out->worker, sizeof out->worker);
    return 0;
}

static int no_memory(struct err *e)
{
    return err_set(e, -ENOMEM, "out of memory asking PostgreSQL");
}

/* The parameters of a call that are arrays: each begun, filled by the caller, then ended
   into `value`. */
enum { MAX_ARRAYS = 9 };
struct arrays {
    struct pg_array a[MAX_ARRAYS];
    size_t n;
};

static void begin_arrays(struct arrays *as, size_t n)
{
    as->n = n;
    for (size_t i = 0; i < n; i++)
        pg_array_begin(&as->a[i]);
}

static int end_arrays(struct arrays *as, const char **value, struct err *e)
{
    for (size_t i = 0; i < as->n; i++)
        if ((value[i] = pg_array_end(&as->a[i])) == NULL)
            return no_memory(e);
    return 0;
}

static void free_arrays(struct arrays *as)
{
    for (size_t i = 0; i < as->n; i++)
        pg_array_free(&as->a[i]);
}

/* ---- tasks ---- */

static int fill_specs(struct arrays *as, const struct task_spec *spec, size_t n,
                      struct err *e)
{
    char id[QUEUE_ID];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = queue_new_id(id, e);
        pg_array_text(&as->a[0], id);
        pg_array_text(&as->a[1], spec[i].name);
        pg_array_text(&as->a[2], spec[i].key);
        pg_array_text(&as->a[3], spec[i].params != NULL ? spec[i].params : "{}");
        pg_array_int(&as->a[4], spec[i].priority);
        pg_array_int(&as->a[5], spec[i].max_retries);
        if (spec[i].timeout_s > 0)
            pg_array_real(&as->a[6], spec[i].timeout_s);
        else
            pg_array_text(&as->a[6], NULL);
        pg_array_real(&as->a[7], spec[i].delay_s);
        pg_array_text(&as->a[8], spec[i].again ? "t" : "f");
    }
    return rc;
}

static int spawn(struct queue *base, struct task_spec *spec, size_t n, struct err *e)
{
    struct pg_queue *q = pg_of(base);
    const char *value[10] = {q->name};
    struct arrays as;
    PGresult *r = NULL;
    int rc;

    begin_arrays(&as, 9);
    rc = fill_specs(&as, spec, n, e);
    if (rc == 0)
        rc = end_arrays(&as, value + 1, e);
    if (rc == 0)
        rc = pg_ask(q->pg, &r, e, sql_spawn, 10, value);
    for (size_t i = 0; rc == 0 && i < n; i++)
        spec[i].made = PQgetvalue(r, (int)i, 0)[0] == 't';
    PQclear(r);
    free_arrays(&as);
    return rc;
}

/* By name, because the functions in the server are older or younger than this enum. */
static const char *const how_names[] = {[TASK_COMPLETE] = "complete",
                                        [TASK_FAIL] = "fail",
                                        [TASK_RETRY] = "retry",
                                        [TASK_RELEASE] = "release",
                                        [TASK_CANCEL] = "cancel"};

static void fill_ends(struct arrays *as, const struct task_end *end, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        pg_array_text(&as->a[0], end[i].id);
        pg_array_int(&as->a[1], end[i].fence);
        pg_array_text(&as->a[2], how_names[end[i].how]);
        pg_array_text(&as->a[3], queue_outcome(end[i].how));
        pg_array_text(&as->a[4], end[i].text);
        pg_array_text(&as->a[5], end[i].usage);
        pg_array_real(&as->a[6], end[i].delay_s);
    }
}

/* "{0,1,0}": which ends were late. */
static void read_lost(const char *text, struct task_end *end, size_t n)
{
    size_t i = 0;

    for (; *text != '\0' && i < n; text++)
        if (*text == '0' || *text == '1')
            end[i++].rc = *text == '1' ? ERR_LOST_TASK : 0;
}

/* The order of claims; the rows come in that of their places on the disk. */
static int before(const void *left, const void *right)
{
    const struct task *a = left, *b = right;
    int c;

    if (a->priority != b->priority)
        return a->priority > b->priority ? -1 : 1;
    c = strcmp(a->key, b->key);
    return c != 0 ? c : strcmp(a->id, b->id);
}

static int read_turn(const PGresult *r, struct queue_turn *turn, struct err *e)
{
    int rc = 0;

    queue_mode_by_name(PQgetvalue(r, 0, 0), &turn->mode);
    for (size_t i = 0; i < turn->nend; i++)
        turn->end[i].rc = 0;
    read_lost(PQgetvalue(r, 0, 1), turn->end, turn->nend);
    for (int i = 1; rc == 0 && i < PQntuples(r); i++) {
        rc = queue_pg_fill(r, i, 2, &turn->got[turn->ngot], e);
        turn->ngot += rc == 0;
    }
    if (turn->ngot > 1)
        qsort(turn->got, turn->ngot, sizeof *turn->got, before);
    /* What is claimed and not told is handed back by the next beat. */
    while (rc != 0 && turn->ngot > 0)
        task_clear(&turn->got[--turn->ngot]);
    return rc;
}

static int turn(struct queue *base, struct queue_turn *turn, struct err *e)
{
    struct pg_queue *q = pg_of(base);
    char want[24], aged[24], lease[32], *worker = pg_utf8(turn->worker);
    const char *value[12] = {q->name, worker, want, aged, lease};
    long n = (long)turn->want;
    struct arrays as = {.n = 0};
    PGresult *r = NULL;
    int rc = worker != NULL ? 0 : no_memory(e);

    snprintf(want, sizeof want, "%ld", n);
    snprintf(aged, sizeof aged, "%ld",
             q->aging > 0 ? (q->nclaim + n) / q->aging - q->nclaim / q->aging : 0);
    snprintf(lease, sizeof lease, "%.17g", turn->lease_s);
    if (rc == 0 && turn->nend > 0) {
        begin_arrays(&as, 7);
        fill_ends(&as, turn->end, turn->nend);
        rc = end_arrays(&as, value + 5, e);
    }
    if (rc == 0)
        rc = pg_ask(q->pg, &r, e, sql_turn, 12, value);
    if (rc == 0)
        rc = read_turn(r, turn, e);
    q->nclaim += (long)turn->ngot;
    PQclear(r);
    free_arrays(&as);
    free(worker);
    return rc;
}

/* ---- workers ---- */

static void read_beat(const PGresult *r, struct task_ref *ref, size_t n)
{
    static const enum task_hold holds[] = {TASK_HELD, TASK_LOST, TASK_TO_CANCEL};

    for (size_t i = 0; i < n; i++)
        ref[i].hold = holds[pg_int(r, (int)i, 1) % 3];
}

static int beat(struct queue *base, const struct queue_worker *me, struct task_ref *ref,
                size_t n, double lease_s, size_t *dropped, struct err *e)
{
    struct pg_queue *q = pg_of(base);
    char pid[24], start[24], slots[16], running[16], lease[32];
    char *text[] = {pg_utf8(me->id), pg_utf8(me->machine), pg_utf8(me->boot),
                    pg_utf8(me->host), pg_utf8(me->state)};
    const char *value[13] = {q->name, text[0], text[1], text[2], text[3], pid,
                             start,   text[4], slots,   running, lease};
    struct arrays as;
    PGresult *r = NULL;
    int rc;

    snprintf(pid, sizeof pid, "%lld", (long long)me->pid);
    snprintf(start, sizeof start, "%lld", (long long)me->start);
    snprintf(slots, sizeof slots, "%d", me->slots);
    snprintf(running, sizeof running, "%d", me->running);
    snprintf(lease, sizeof lease, "%.17g", lease_s);
    begin_arrays(&as, 2);
    for (size_t i = 0; i < n; i++) {
        pg_array_text(&as.a[0], ref[i].id);
        pg_array_int(&as.a[1], ref[i].fence);
    }
    rc = text[0] != NULL ? end_arrays(&as, value + 11, e) : no_memory(e);
    if (rc == 0)
        rc = n > 0 ? pg_ask(q->pg, &r, e, sql_beat, 13, value)
                   : pg_ask(q->pg, &r, e, sql_beat_only, 11, value);
    if (rc == 0) {
        *dropped = (size_t)pg_int(r, 0, 0);
        read_beat(r, ref, n);
    }
    PQclear(r);
    free_arrays(&as);
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++)
        free(text[i]);
    return rc;
}

static int ask_count(struct pg_queue *q, const char *sql, int nvalue,
                     const char *const *value, size_t *n, struct err *e)
{
    PGresult *r;
    int rc = pg_ask(q->pg, &r, e, sql, nvalue, value);

    if (rc == 0)
        *n = (size_t)pg_int(r, 0, 0);
    PQclear(r);
    return rc;
}

static int bury(struct queue *base, const char *worker, size_t *n, struct err *e)
{
    struct pg_queue *q = pg_of(base);
    char *name = pg_utf8(worker);
    const char *const value[] = {q->name, name};
    int rc = name != NULL ? ask_count(q, sql_bury, 2, value, n, e) : no_memory(e);

    free(name);
    return rc;
}

/* Has the server's clock left ours by more than a lease since the last look? */
static int look_at_clocks(struct pg_queue *q, double lease_s, struct err *e)
{
    double server_s, boot_s, jump_s = 0;
    int rc = queue_pg_now(&q->base, &server_s, e);

    if (rc != 0)
        return rc;
    boot_s = clock_boot_s();
    if (q->server_s > 0)
        jump_s = (server_s - q->server_s) - (boot_s - q->boot_s);
    if (fabs(jump_s) > lease_s)
        q->quiet_s = boot_s + lease_s;
    q->server_s = server_s;
    q->boot_s = boot_s;
    return 0;
}

/* What was queued while the server's clock was ahead does not wait for that day. */
static int cap_waits(struct pg_queue *q, struct pg *pg, struct err *e)
{
    char longest[32];
    const char *const value[] = {q->name, longest};
    PGresult *r = NULL;
    int rc = 0;

    snprintf(longest, sizeof longest, "%.17g", q->longest_wait_s);
    if (q->longest_wait_s > 0)
        rc = pg_ask(pg, &r, e, sql_cap, 2, value);
    PQclear(r);
    return rc;
}

static int reap(struct queue *base, double lease_s, size_t *n, struct err *e)
{
    struct pg_queue *q = pg_of(base);
    const char *const value[] = {q->name};
    int rc = look_at_clocks(q, lease_s, e);
    double now = clock_boot_s();

    if (rc == 0)
        rc = cap_waits(q, q->pg, e);

    if (rc != 0 || now - pg_found_s(q->pg) < lease_s || now < q->quiet_s)
        return rc;
    return ask_count(q, sql_reap, 1, value, n, e);
}

static int put_steps(struct queue *base, const struct task_step *step, size_t n,
                     struct err *e)
{
    struct pg_queue *q = pg_of(base);
    const char *value[5];
    struct arrays as;
    PGresult *r = NULL;
    int rc;

    begin_arrays(&as, 5);
    for (size_t i = 0; i < n; i++) {
        pg_array_text(&as.a[0], step[i].id);
        pg_array_int(&as.a[1], step[i].fence);
        pg_array_text(&as.a[2], step[i].step);
        pg_array_real(&as.a[3], step[i].took_s);
        pg_array_text(&as.a[4], step[i].detail);
    }
    rc = end_arrays(&as, value, e);
    if (rc == 0)
        rc = pg_ask(q->pg, &r, e, sql_steps, 5, value);
    PQclear(r);
    free_arrays(&as);
    return rc;
}

/* ---- life ---- */

static int fd(const struct queue *base)
{
    return pg_fd(((const struct pg_queue *)(const void *)base)->pg);
}

static int changed(struct queue *base, struct err *e)
{
    return pg_told(pg_of(base)->pg, e);
}

static void close_queue(struct queue *base)
{
    struct pg_queue *q = pg_of(base);

    pg_close(q->pg);
    free(q->store);
    free(q->listen);
    free(q);
}

static const struct queue_ops ops = {
    .close = close_queue,
    .spawn = spawn,
    .turn = turn,
    .beat = beat,
    .bury = bury,
    .reap = reap,
    .put_steps = put_steps,
    .fd = fd,
    .changed = changed,
    .each = queue_pg_each,
    .attempts = queue_pg_attempts,
    .steps = queue_pg_steps,
    .workers = queue_pg_workers,
    .counts = queue_pg_counts,
    .count = queue_pg_count,
    .next_due = queue_pg_next_due,
    .ahead = queue_pg_ahead,
    .first_open = queue_pg_first_open,
    .now = queue_pg_now,
    .change = queue_pg_change,
    .set_mode = queue_pg_set_mode,
    .get_mode = queue_pg_get_mode,
    .vacuum = queue_pg_vacuum,
    .backup = queue_pg_backup,
};

/* At each new connection: the tables may have been made, upgraded or replaced meanwhile. */
static int found(void *arg, struct pg *pg, struct err *e)
{
    struct pg_queue *q = arg;
    int version, rc = queue_pg_version(pg, &version, e);

    if (rc == 0 && version == 0 && q->role == QUEUE_AS_DAEMON) {
        rc = queue_pg_upgrade(pg, 0, e);
        version = PG_VERSION;
    }
    if (rc == 0 && version == PG_VERSION && q->role != QUEUE_AS_TOOL)
        rc = cap_waits(q, pg, e);
    if (rc != 0 || version == PG_VERSION)
        return rc;
    if (version == 0)
        return err_set(e, -ENOENT,
                       "no queue in %.80s yet: its tables are made when watcherd "
                       "starts, or by `taskctl migrate`",
                       pg_where(pg));
    if (version > PG_VERSION)
        return err_set(e, ERR_FORMAT,
                       "the queue in %.80s is of a newer watcherd (version %d of the "
                       "tables, this one knows %d)",
                       pg_where(pg), version, PG_VERSION);
    return err_set(e, ERR_FORMAT,
                   "the queue in %.80s is of an older watcherd (version %d of the "
                   "tables): run taskctl migrate",
                   pg_where(pg), version);
}

/* LISTEN "wd_<name>"; a quote in the name is doubled. */
static char *listen_to(const char *name)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    if (f == NULL)
        return NULL;
    fputs("LISTEN \"wd_", f);
    for (; *name != '\0'; name++)
        fprintf(f, "%s%c", *name == '"' ? "\"" : "", *name);
    fputc('"', f);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static int open_queue(struct queue **out, const struct queue_opts *opts, struct err *e)
{
    static const char *const apps[] = {[QUEUE_AS_DAEMON] = "watcherd",
                                       [QUEUE_AS_WORKER] = "watcherd worker",
                                       [QUEUE_AS_TOOL] = "taskctl"};
    const char *name = opts->name != NULL ? opts->name : "dsa110-pipeline";
    struct pg_queue *q = calloc(1, sizeof *q);
    int rc;

    *out = NULL;
    if (q == NULL)
        return no_memory(e);
    q->base.ops = &ops;
    q->role = opts->role;
    q->aging = opts->aging;
    q->longest_wait_s = opts->longest_wait_s;
    q->store = strdup(opts->store);
    q->listen = listen_to(name);
    snprintf(q->name, sizeof q->name, "%s", name);
    if (name[0] == '\0' || strlen(name) > 60)
        rc = err_set(e, -EINVAL, "a queue's name '%.70s' is empty or longer than 60",
                     name);
    else if (q->store == NULL || q->listen == NULL)
        rc = no_memory(e);
    else
        rc = pg_open(&q->pg,
                     &(struct pg_opts){.store = q->store,
                                       .app = apps[opts->role],
                                       .session = q->listen,
                                       .found = found,
                                       .arg = q},
                     e);
    if (rc != 0) {
        close_queue(&q->base);
        return rc;
    }
    snprintf(q->base.where, sizeof q->base.where, "%s", pg_where(q->pg));
    *out = &q->base;
    return 0;
}

const struct queue_kind queue_pg = {open_queue, queue_pg_restore, queue_pg_migrate};
