/* pg.c: see pg.h. */
#include "core/store/pg.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/store/queue.h"

enum {
    OLDEST = 150000, /* PostgreSQL 15, as PQserverVersion tells it */
    CONNECT_S = 10,  /* to connect and to be let in */
    ANSWER_S =
        30,       /* to one statement; the server gives it up before, see session_all */
    LONG_S = 600, /* to one that may change a million rows */
    TRIES = 5,    /* of a statement that collided with another */
    MAX_PREPARED = 64,
};

struct pg {
    struct pg_opts opts;
    PGconn *conn; /* NULL: lost */
    char where[QUEUE_TEXT];
    const char *prepared[MAX_PREPARED]; /* on this connection */
    size_t nprepared;
    double found_s;
    bool connecting;
    bool was_open; /* then what keeps us out passes: wait for it */
    bool lost;     /* told ERR_STORE_DOWN and not yet answered again */
    bool told;
    /* epoll holds the socket and `event`, which is readable while `told` */
    int epoll, event;
};

/* The server gives up what we do not wait for any longer; a plan is made once and for all,
   see core/store/queue_pg_sql.c. */
static const char session_all[] =
    "SET statement_timeout = '20s';"
    "SET idle_in_transaction_session_timeout = '20s';"
    "SET default_transaction_isolation = 'read committed';"
    "SET client_min_messages = 'warning';"
    "SET extra_float_digits = 1;";

/* ---- failures ---- */

/* What an SQLSTATE means to us: the longest start that fits.  Its manual, appendix A. */
static const struct {
    const char *start;
    int code;
} states[] = {
    {"08", ERR_STORE_DOWN},    /* connection */
    {"25006", ERR_STORE_DOWN}, /* read only: a standby, until it takes over */
    {"25P03", ERR_STORE_DOWN}, /* idle for too long */
    {"28", -EACCES},           /* password, role, pg_hba.conf */
    {"22", -EINVAL},           /* a value that cannot be */
    {"23", -EINVAL},
    {"3D000", -ENOENT}, /* no such database */
    {"3F000", -ENOENT}, /* no such schema */
    {"40", -EAGAIN},    /* serialization failure, deadlock */
    {"42501", -EACCES},
    {"42P01", -ENOENT}, /* no such table */
    {"42883", -ENOENT}, /* no such function */
    {"42703", ERR_FORMAT},
    {"53", ERR_STORE_DOWN},    /* disk full, out of memory, too many connections */
    {"55P03", ERR_STORE_DOWN}, /* lock not available */
    {"57", ERR_STORE_DOWN},    /* shut down, crashed, starting up, cancelled */
    {"58", ERR_STORE_DOWN},    /* input or output */
    {"XX001", ERR_FORMAT},     /* data corrupted */
    {"XX002", ERR_FORMAT},
    {"XX",
     ERR_STORE_DOWN}, /* the server's own trouble: so does a lost file or page speak */
};

static int meaning(const char *state)
{
    size_t best = 0;
    int code = -EIO;

    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        size_t n = strlen(states[i].start);

        if (n > best && strncmp(state, states[i].start, n) == 0) {
            best = n;
            code = states[i].code;
        }
    }
    return code;
}

/* The first line of libpq's text, with nothing that could be a piece of a password. */
static void first_line(const char *text, char *out, size_t size)
{
    size_t n = strcspn(text, "\n");

    while (n > 0 && isspace((unsigned char)text[n - 1]))
        n--;
    snprintf(out, size, "%.*s", (int)(n < 180 ? n : 180), text);
}

static void drop(struct pg *pg)
{
    if (pg->conn != NULL)
        PQfinish(pg->conn); /* its socket leaves the epoll by being closed */
    pg->conn = NULL;
    pg->nprepared = 0;
}

static int down(struct pg *pg, const char *what, const char *why, struct err *e)
{
    char line[QUEUE_TEXT];

    first_line(why, line, sizeof line);
    pg->lost = true;
    return err_set(e, ERR_STORE_DOWN, "%s %.60s: %s", what, pg->where, line);
}

/* The failure of a statement: its status, the sentence, and what is left of the connection. */
static int failed(struct pg *pg, const PGresult *r, struct err *e)
{
    const char *state = r != NULL ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
    const char *why = r != NULL ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    int code = state != NULL ? meaning(state) : ERR_STORE_DOWN;

    if (why == NULL)
        why = PQerrorMessage(pg->conn);
    if (code == ERR_STORE_DOWN) {
        code = down(pg, state != NULL ? "not now, says" : "lost", why, e);
        if (state == NULL || strncmp(state, "57P0", 4) == 0 ||
            strncmp(state, "08", 2) == 0)
            drop(pg);
    } else {
        char line[QUEUE_TEXT];

        first_line(why, line, sizeof line);
        err_set(e, code, "%.60s: %s", pg->where, line);
        if (PQstatus(pg->conn) == CONNECTION_BAD)
            drop(pg);
    }
    return code;
}

/* ---- waiting ---- */

/* Until the connection can be read (or written); 0, or -ETIMEDOUT.  until < 0: as long as
   it takes. */
static int wait_for(PGconn *conn, short events, double until)
{
    for (;;) {
        struct pollfd p = {.fd = PQsocket(conn), .events = events};
        double left_s = until < 0 ? -1 : until - clock_boot_s();
        int rc;

        if (until >= 0 && left_s <= 0)
            return -ETIMEDOUT;
        rc = poll(&p, 1, until < 0 ? -1 : (int)(left_s * 1e3) + 1);
        if (rc > 0 || (rc < 0 && errno != EINTR))
            return 0; /* libpq says what is wrong with it */
    }
}

static void set_told(struct pg *pg, bool told)
{
    uint64_t one = 1;

    if (told == pg->told)
        return;
    pg->told = told;
    /* Neither can block: the counter is 0 or 1. */
    if (told ? write(pg->event, &one, sizeof one) != sizeof one
             : read(pg->event, &one, sizeof one) != sizeof one)
        pg->told = told;
}

/* Notes of others; what we changed ourselves we know. */
static void take_notes(struct pg *pg)
{
    PGnotify *note;

    while ((note = PQnotifies(pg->conn)) != NULL) {
        if (note->be_pid != PQbackendPID(pg->conn))
            set_told(pg, true);
        PQfreemem(note);
    }
}

/* The next result of what was sent (NULL: there are no more), or a failure. */
static int next_result(struct pg *pg, double until, PGresult **out, struct err *e)
{
    *out = NULL;
    while (PQisBusy(pg->conn)) {
        if (wait_for(pg->conn, POLLIN, until) != 0) {
            int rc = down(pg, "no answer in time from", "given up", e);

            drop(pg);
            return rc;
        }
        if (!PQconsumeInput(pg->conn))
            return failed(pg, NULL, e);
    }
    *out = PQgetResult(pg->conn);
    return 0;
}

/* All results of what was sent; the last is kept, unless one failed. */
static int last_result(struct pg *pg, double until, PGresult **out, struct err *e)
{
    PGresult *r;
    int rc, bad = 0;

    *out = NULL;
    while ((rc = next_result(pg, until, &r, e)) == 0 && r != NULL) {
        ExecStatusType status = PQresultStatus(r);

        if (bad == 0 && status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
            bad = failed(pg, r, e);
            PQclear(r);
            if (pg->conn == NULL)
                break;
            continue;
        }
        PQclear(*out);
        *out = r;
    }
    if (rc == 0)
        rc = bad;
    if (rc != 0) {
        PQclear(*out);
        *out = NULL;
        return rc;
    }
    take_notes(pg);
    if (pg->lost) {
        pg->lost = false;
        pg->found_s = clock_boot_s();
    }
    return 0;
}

/* ---- connecting ---- */

/* At connect libpq keeps no SQLSTATE but in the text, when it is asked to be verbose:
 * "... FATAL:  28P01: password authentication failed ...". */
static const char *state_in(const char *text)
{
    for (const char *s = strchr(text, ':'); s != NULL; s = strchr(s + 1, ':')) {
        size_t n = strspn(s + 1, " ");

        if (n == 2 && strspn(s + 1 + n, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 &&
            s[n + 6] == ':')
            return s + 1 + n;
    }
    return NULL;
}

static bool has_password(const char *store)
{
    const char *at = strchr(store, '@'), *colon = strstr(store, "://");

    colon = colon != NULL ? strchr(colon + 3, ':') : NULL;
    return strstr(store, "pass") != NULL || (at != NULL && colon != NULL && colon < at);
}

/* Why we were not let in.  Once the store was open everything is worth waiting for. */
static int refused(struct pg *pg, struct err *e)
{
    const char *text = PQerrorMessage(pg->conn), *state = state_in(text);
    char line[QUEUE_TEXT];
    int code = ERR_STORE_DOWN;

    if (state != NULL)
        code = meaning(state);
    else if (PQconnectionNeedsPassword(pg->conn))
        code = -EACCES;
    else if (strncmp(text, "invalid ", 8) == 0) /* an option's value */
        code = -EINVAL;
    if (pg->was_open || (code != -EACCES && code != -ENOENT && code != -EINVAL))
        code = ERR_STORE_DOWN;
    first_line(text, line, sizeof line);
    if (code == -EINVAL && has_password(pg->opts.store))
        line[strcspn(line, "\"")] = '\0';
    pg->lost = true;
    code = err_set(e, code, "cannot connect to %.60s: %s", pg->where, line);
    drop(pg);
    return code;
}

static int let_in(struct pg *pg, struct err *e)
{
    double until = clock_boot_s() + CONNECT_S;
    PostgresPollingStatusType st = PGRES_POLLING_WRITING;

    while (st != PGRES_POLLING_OK) {
        if (st == PGRES_POLLING_FAILED || PQstatus(pg->conn) == CONNECTION_BAD)
            return refused(pg, e);
        if (wait_for(pg->conn, st == PGRES_POLLING_READING ? POLLIN : POLLOUT, until)) {
            int rc = down(pg, "cannot connect to", "no answer in time", e);

            drop(pg);
            return rc;
        }
        st = PQconnectPoll(pg->conn);
    }
    return 0;
}

static int check_version(struct pg *pg, struct err *e)
{
    int v = PQserverVersion(pg->conn);

    if (v >= OLDEST)
        return 0;
    return err_set(e, -ENOTSUP, "%.60s is a server of version %d.%d, watcherd needs %d",
                   pg->where, v / 10000, v % 10000, OLDEST / 10000);
}

static int run(struct pg *pg, const char *sql, double until, struct err *e);

static void keep_quiet(void *arg, const char *text)
{
    (void)arg;
    (void)text;
}

static int connect_now(struct pg *pg, struct err *e)
{
    static const char *const key[] = {"fallback_application_name",
                                      "keepalives",
                                      "keepalives_idle",
                                      "keepalives_interval",
                                      "keepalives_count",
                                      "tcp_user_timeout",
                                      "dbname",
                                      "client_encoding",
                                      NULL};
    const char *const value[] = {pg->opts.app,   "1",    "10", "5", "3", "8000",
                                 pg->opts.store, "UTF8", NULL};
    struct epoll_event ev = {.events = EPOLLIN};
    int rc;

    pg->conn = PQconnectStartParams(key, value, 1);
    if (pg->conn == NULL)
        return err_set(e, -ENOMEM, "out of memory connecting to %s", pg->where);
    PQsetErrorVerbosity(pg->conn, PQERRORS_VERBOSE);
    PQsetNoticeProcessor(pg->conn, keep_quiet, NULL); /* else libpq prints */
    rc = let_in(pg, e);
    if (rc != 0)
        return rc;
    PQsetErrorVerbosity(pg->conn, PQERRORS_DEFAULT);
    rc = check_version(pg, e);
    if (rc == 0)
        rc = run(pg, session_all, clock_boot_s() + ANSWER_S, e);
    if (rc == 0 && pg->opts.session != NULL)
        rc = run(pg, pg->opts.session, clock_boot_s() + ANSWER_S, e);
    if (rc == 0 && pg->opts.found != NULL)
        rc = pg->opts.found(pg->opts.arg, pg, e);
    if (rc == 0 && epoll_ctl(pg->epoll, EPOLL_CTL_ADD, PQsocket(pg->conn), &ev) != 0)
        rc = err_set(e, -errno, "cannot watch %s: %s", pg->where, strerror(errno));
    if (rc != 0) {
        drop(pg);
        return rc;
    }
    set_told(pg, true); /* what was told meanwhile nobody heard */
    pg->found_s = clock_boot_s();
    pg->lost = false;
    pg->was_open = true;
    return 0;
}

static int find(struct pg *pg, struct err *e)
{
    int rc;

    if (pg->conn != NULL && PQstatus(pg->conn) == CONNECTION_BAD)
        drop(pg);
    if (pg->conn != NULL)
        return 0;
    if (pg->connecting) /* asked by `found` */
        return down(pg, "lost", "the connection ended while it was made", e);
    pg->connecting = true;
    rc = connect_now(pg, e);
    pg->connecting = false;
    return rc;
}

/* ---- where ---- */

static void name_place(struct pg *pg, const PQconninfoOption *o)
{
    const char *host = NULL, *port = NULL, *db = NULL, *user = NULL, *addr = NULL;

    for (; o->keyword != NULL; o++) {
        const char *set = o->val != NULL      ? o->val
                          : o->envvar != NULL ? getenv(o->envvar)
                                              : NULL;
        static const char *const names[] = {"host", "port", "dbname", "user",
                                            "hostaddr"};
        const char **const into[] = {&host, &port, &db, &user, &addr};

        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (strcmp(o->keyword, names[i]) == 0 && set != NULL && set[0] != '\0')
                *into[i] = set;
    }
    snprintf(pg->where, sizeof pg->where, "PostgreSQL %.60s at %.120s:%.10s",
             db != NULL     ? db
             : user != NULL ? user
                            : "",
             host != NULL   ? host
             : addr != NULL ? addr
                            : "localhost",
             port != NULL ? port : "5432");
}

/* An @ or / of a password that was not written as %40 or %2F: libpq takes what follows it for
 * the host or the database, which messages name. */
static bool password_spills(const char *store)
{
    const char *user = strncmp(store, "postgres", 8) == 0 ? strstr(store, "://") : NULL;
    const char *at, *end;

    if (user == NULL)
        return false;
    user += 3;
    end = user + strcspn(user, "?");
    at = memchr(user, '@', (size_t)(end - user));
    return at != NULL && (memchr(at + 1, '@', (size_t)(end - at - 1)) != NULL ||
                          memchr(user, '/', (size_t)(at - user)) != NULL);
}

static int read_store(struct pg *pg, struct err *e)
{
    char *why = NULL, line[QUEUE_TEXT];
    PQconninfoOption *o;

    if (password_spills(pg->opts.store))
        return err_set(e, -EINVAL,
                       "wrong connection string of the queue's store: in a user or "
                       "password, write @ as %%40 and / as %%2F");
    o = PQconninfoParse(pg->opts.store, &why);
    if (o != NULL) {
        name_place(pg, o);
        PQconninfoFree(o);
        return 0;
    }
    first_line(why != NULL ? why : "out of memory", line, sizeof line);
    PQfreemem(why);
    if (has_password(pg->opts.store)) /* the text quotes what it could not read */
        line[strcspn(line, "\"")] = '\0';
    return err_set(e, -EINVAL, "wrong connection string of the queue's store: %s",
                   line);
}

/* ---- life ---- */

int pg_open(struct pg **out, const struct pg_opts *opts, struct err *e)
{
    struct pg *pg = calloc(1, sizeof *pg);
    struct epoll_event ev = {.events = EPOLLIN};
    int rc;

    *out = NULL;
    if (pg == NULL)
        return err_set(e, -ENOMEM, "out of memory connecting to PostgreSQL");
    pg->opts = *opts;
    pg->epoll = epoll_create1(EPOLL_CLOEXEC);
    pg->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pg->epoll == -1 || pg->event == -1 ||
        epoll_ctl(pg->epoll, EPOLL_CTL_ADD, pg->event, &ev) != 0) {
        rc = err_set(e, -errno, "cannot watch PostgreSQL: %s", strerror(errno));
        goto fail;
    }
    rc = read_store(pg, e);
    if (rc == 0)
        rc = find(pg, e);
    if (rc != 0)
        goto fail;
    set_told(pg, false);
    *out = pg;
    return 0;

fail:
    pg_close(pg);
    return rc;
}

void pg_close(struct pg *pg)
{
    if (pg == NULL)
        return;
    drop(pg);
    if (pg->epoll != -1)
        close(pg->epoll);
    if (pg->event != -1)
        close(pg->event);
    free(pg);
}

const char *pg_where(const struct pg *pg)
{
    return pg->where;
}

double pg_found_s(const struct pg *pg)
{
    return pg->found_s;
}

/* ---- asking ---- */

/* The name of a prepared statement, made when this connection does not have it yet. */
static int prepare(struct pg *pg, const char *sql, char name[16], struct err *e)
{
    PGresult *r;
    size_t i = 0;
    int rc;

    while (i < pg->nprepared && pg->prepared[i] != sql)
        i++;
    snprintf(name, 16, "s%zu", i);
    if (i < pg->nprepared)
        return 0;
    if (i == MAX_PREPARED)
        return err_set(e, -ENOSPC, "too many prepared statements");
    if (!PQsendPrepare(pg->conn, name, sql, 0, NULL))
        return failed(pg, NULL, e);
    rc = last_result(pg, clock_boot_s() + ANSWER_S, &r, e);
    if (rc == 0)
        pg->prepared[pg->nprepared++] = sql;
    PQclear(r);
    return rc;
}

/* One statement, prepared (`kept`) or not, again while it collides with others. */
static int ask(struct pg *pg, PGresult **out, struct err *e, const char *sql, bool kept,
               int n, const char *const *value, double limit_s)
{
    char name[16];
    int rc = -EAGAIN, sent;

    *out = NULL;
    for (int i = 0; i < TRIES && rc == -EAGAIN; i++) {
        rc = find(pg, e);
        if (rc == 0 && kept)
            rc = prepare(pg, sql, name, e);
        if (rc != 0)
            return rc;
        sent = kept ? PQsendQueryPrepared(pg->conn, name, n, value, NULL, NULL, 0)
                    : PQsendQueryParams(pg->conn, sql, n, NULL, value, NULL, NULL, 0);
        if (!sent)
            return failed(pg, NULL, e);
        rc = last_result(pg, clock_boot_s() + limit_s, out, e);
    }
    if (rc == -EAGAIN)
        rc =
            down(pg, "not now, says", "too many collisions with other transactions", e);
    return rc;
}

int pg_ask(struct pg *pg, PGresult **out, struct err *e, const char *sql, int n,
           const char *const *value)
{
    return ask(pg, out, e, sql, true, n, value, ANSWER_S);
}

static int run(struct pg *pg, const char *sql, double until, struct err *e)
{
    PGresult *r;
    int rc = find(pg, e);

    if (rc != 0)
        return rc;
    if (!PQsendQuery(pg->conn, sql))
        return failed(pg, NULL, e);
    rc = last_result(pg, until, &r, e);
    PQclear(r);
    return rc == -EAGAIN ? down(pg, "not now, says", "a collision", e) : rc;
}

/* The server's patience with what comes next; 0: endless. */
static int allow(struct pg *pg, double limit_s, struct err *e)
{
    char text[64];

    snprintf(text, sizeof text, "SET statement_timeout = '%.0fs'", limit_s);
    return run(pg, text, clock_boot_s() + ANSWER_S, e);
}

static void allow_as_ever(struct pg *pg)
{
    if (pg->conn != NULL && run(pg, session_all, clock_boot_s() + ANSWER_S, NULL) != 0)
        drop(pg);
}

int pg_run(struct pg *pg, const char *sql, double limit_s, struct err *e)
{
    int rc = allow(pg, limit_s, e);

    if (rc == 0)
        rc = run(pg, sql, limit_s > 0 ? clock_boot_s() + limit_s + 5 : -1, e);
    allow_as_ever(pg);
    return rc;
}

int pg_ask_once(struct pg *pg, PGresult **out, struct err *e, const char *sql, int n,
                const char *const *value)
{
    int rc = allow(pg, LONG_S, e);

    *out = NULL;
    if (rc == 0)
        rc = ask(pg, out, e, sql, false, n, value, LONG_S + 5);
    allow_as_ever(pg);
    return rc;
}

int pg_rows(struct pg *pg, const char *sql, int n, const char *const *value,
            pg_row_fn *fn, void *arg, struct err *e)
{
    PGresult *r;
    int rc = find(pg, e), bad = 0;

    if (rc != 0)
        return rc;
    if (!PQsendQueryParams(pg->conn, sql, n, NULL, value, NULL, NULL, 0) ||
        !PQsetSingleRowMode(pg->conn))
        return failed(pg, NULL, e);
    while ((rc = next_result(pg, clock_boot_s() + ANSWER_S, &r, e)) == 0 && r != NULL) {
        ExecStatusType status = PQresultStatus(r);

        if (bad == 0 && status == PGRES_SINGLE_TUPLE)
            bad = fn(arg, r, e);
        else if (bad == 0 && status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
            bad = failed(pg, r, e);
        PQclear(r);
        if (pg->conn == NULL)
            return bad;
    }
    if (rc == 0)
        take_notes(pg);
    return rc != 0 ? rc : bad;
}

/* ---- being told ---- */

int pg_fd(const struct pg *pg)
{
    return pg->epoll;
}

int pg_told(struct pg *pg, struct err *e)
{
    int told;

    if (pg->conn == NULL)
        return err_set(e, ERR_STORE_DOWN, "no connection to %s", pg->where);
    if (!PQconsumeInput(pg->conn))
        return failed(pg, NULL, e);
    /* Results that nobody asked for: what a server says last. */
    take_notes(pg);
    told = pg->told;
    set_told(pg, false);
    return told;
}

/* ---- for other programs ---- */

char *pg_conninfo(struct pg *pg, const char **password)
{
    static const char *const skip[] = {"passfile", "replication", "client_encoding",
                                       "fallback_application_name"};
    PQconninfoOption *all = pg->conn != NULL ? PQconninfo(pg->conn) : NULL;
    char *text = NULL;
    size_t size;
    FILE *f = all != NULL ? open_memstream(&text, &size) : NULL;

    *password = NULL;
    for (PQconninfoOption *o = all; f != NULL && o->keyword != NULL; o++) {
        bool left_out = /* '*': libpq's mark of what is secret */
            o->val == NULL || o->val[0] == '\0' || strchr(o->dispchar, '*') != NULL;

        for (size_t i = 0; i < sizeof skip / sizeof skip[0]; i++)
            left_out = left_out || strcmp(o->keyword, skip[i]) == 0;
        if (left_out)
            continue;
        fprintf(f, "%s='", o->keyword);
        for (const char *c = o->val; *c != '\0'; c++)
            fprintf(f, "%s%c", *c == '\'' || *c == '\\' ? "\\" : "", *c);
        fputs("' ", f);
    }
    if (f != NULL && fclose(f) != 0) {
        free(text);
        text = NULL;
    }
    PQconninfoFree(all);
    if (text != NULL && PQpass(pg->conn) != NULL && PQpass(pg->conn)[0] != '\0')
        *password = PQpass(pg->conn);
    return text;
}

/* ---- values ---- */

/* Length of the UTF-8 sequence at s (RFC 3629), 0: none. */
static size_t utf8_at(const unsigned char *s)
{
    size_t n = s[0] < 0x80                    ? 1
               : s[0] >= 0xc2 && s[0] <= 0xdf ? 2
               : (s[0] & 0xf0) == 0xe0        ? 3
               : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4
                                              : 0;

    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

char *pg_utf8(const char *s)
{
    char *out = s != NULL ? strdup(s) : NULL;

    for (size_t i = 0; out != NULL && out[i] != '\0';) {
        size_t n = utf8_at((const unsigned char *)out + i);

        if (n == 0)
            out[i] = '?';
        i += n > 0 ? n : 1;
    }
    return out;
}

void pg_array_begin(struct pg_array *a)
{
    *a = (struct pg_array){0};
    a->f = open_memstream(&a->text, &a->size);
    if (a->f != NULL)
        fputc('{', a->f);
}

static bool next_one(struct pg_array *a)
{
    if (a->f != NULL && a->more)
        fputc(',', a->f);
    a->more = true;
    return a->f != NULL;
}

void pg_array_text(struct pg_array *a, const char *s)
{
    if (!next_one(a))
        return;
    if (s == NULL) {
        fputs("NULL", a->f);
        return;
    }
    fputc('"', a->f);
    while (*s != '\0') {
        size_t n = utf8_at((const unsigned char *)s);

        if (*s == '"' || *s == '\\')
            fputc('\\', a->f);
        if (n == 0)
            fputc('?', a->f);
        else
            fwrite(s, 1, n, a->f);
        s += n > 0 ? n : 1;
    }
    fputc('"', a->f);
}

void pg_array_int(struct pg_array *a, int64_t v)
{
    if (next_one(a))
        fprintf(a->f, "%lld", (long long)v);
}

void pg_array_real(struct pg_array *a, double v)
{
    if (next_one(a))
        fprintf(a->f, "%.17g", v);
}

const char *pg_array_end(struct pg_array *a)
{
    if (a->f == NULL)
        return NULL;
    fputc('}', a->f);
    if (fclose(a->f) != 0) {
        free(a->text);
        a->text = NULL;
    }
    a->f = NULL;
    return a->text;
}

void pg_array_free(struct pg_array *a)
{
    if (a->f != NULL)
        fclose(a->f);
    free(a->text);
    *a = (struct pg_array){0};
}

void pg_text(const PGresult *r, int row, int column, char *out, size_t size)
{
    snprintf(out, size, "%s", PQgetvalue(r, row, column));
}

double pg_real(const PGresult *r, int row, int column)
{
    return strtod(PQgetvalue(r, row, column), NULL);
}

int64_t pg_int(const PGresult *r, int row, int column)
{
    return strtoll(PQgetvalue(r, row, column), NULL, 10);
}
