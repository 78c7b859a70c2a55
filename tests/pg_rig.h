/*
 * pg_rig.h: PostgreSQL servers of a test's own (tests/pg_rig.sh), started, ended, asked from C.
 */
#ifndef TESTS_PG_RIG_H
#define TESTS_PG_RIG_H

#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "core/clock.h"

struct rig {
    char dir[104];     /* its socket, and data/ */
    char admin[256];   /* connection string of its superuser */
    char store[256];   /* of a role that may only make a schema */
    char script[4096]; /* tests/pg_rig.sh */
    pid_t server;      /* 0: not running */
    PGconn *hand;      /* an operator's */
};

/* Until the server lets one in. */
static inline int rig_wait(const struct rig *rig)
{
    double until = clock_boot_s() + PATIENCE_MS / 1000.0;

    while (clock_boot_s() < until) {
        if (PQping(rig->admin) == PQPING_OK)
            return 0;
        if (waitpid(rig->server, NULL, WNOHANG) == rig->server)
            return -1;
        poll(NULL, 0, 10);
    }
    return -1;
}

static inline int rig_start(struct rig *rig)
{
    rig->server = fork();
    if (rig->server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGQUIT);
        execl(rig->script, "pg_rig.sh", "run", rig->dir, (char *)NULL);
        _exit(127);
    }
    return rig->server > 0 ? rig_wait(rig) : -1;
}

/* SIGQUIT: as a power cut would end it; SIGINT: orderly. */
static inline void rig_stop(struct rig *rig, int sig)
{
    if (rig->server > 0) {
        kill(rig->server, sig);
        waitpid(rig->server, NULL, 0);
    }
    rig->server = 0;
}

static inline void rig_end(struct rig *rig)
{
    char cmd[128];

    PQfinish(rig->hand);
    rig->hand = NULL;
    rig_stop(rig, SIGQUIT);
    snprintf(cmd, sizeof cmd, "rm -rf %s", rig->dir);
    if (rig->dir[0] != '\0' && system(cmd) != 0)
        perror(rig->dir);
}

/* What an operator types: the first value of the last row ("" none), or "error: ...". */
static inline const char *rig_ask(struct rig *rig, const char *sql)
{
    static char first[1024];
    char store[400];
    PGresult *r;

    snprintf(store, sizeof store, "%s options='-c search_path=absurd,public'",
             rig->admin);
    /* Our servers go away and come back: is this still the same one? */
    if (rig->hand != NULL)
        PQclear(PQexec(rig->hand, "SELECT 1"));
    for (int i = 0;
         i < 1000 && (rig->hand == NULL || PQstatus(rig->hand) != CONNECTION_OK); i++) {
        PQfinish(rig->hand);
        rig->hand = PQconnectdb(store);
        if (PQstatus(rig->hand) != CONNECTION_OK)
            poll(NULL, 0, 10);
    }
    PQclear(PQexec(rig->hand, "SET client_min_messages = error"));
    r = PQexec(rig->hand, sql);
    first[0] = '\0';
    if (PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) > 0)
        snprintf(first, sizeof first, "%s",
                 PQgetisnull(r, PQntuples(r) - 1, 0)
                     ? "NULL"
                     : PQgetvalue(r, PQntuples(r) - 1, 0));
    else if (PQresultStatus(r) != PGRES_TUPLES_OK &&
             PQresultStatus(r) != PGRES_COMMAND_OK)
        snprintf(first, sizeof first, "error: %s", PQerrorMessage(rig->hand));
    PQclear(r);
    return first;
}

/* Make a cluster in a new directory, or in `in`, and start it.  1: no PostgreSQL is here. */
static inline int rig_make(struct rig *rig, const char *in, const char *settings)
{
    char cmd[8192];
    int rc;

    memset(rig, 0, sizeof *rig);
    /* a test stands in a directory of its own, the set-up of all still at the top */
    snprintf(cmd, sizeof cmd, "%s%stests/pg_rig.sh", start_dir,
             start_dir[0] != '\0' ? "/" : "");
    if (realpath(cmd, rig->script) == NULL)
        return -1;
    snprintf(rig->dir, sizeof rig->dir, "%s",
             in != NULL ? in : "/tmp/watcherd-pg-XXXXXX");
    if (in == NULL && mkdtemp(rig->dir) == NULL)
        return -1;
    snprintf(rig->admin, sizeof rig->admin, "host=%s user=watcherd dbname=postgres",
             rig->dir);
    snprintf(rig->store, sizeof rig->store, "host=%s user=plain dbname=postgres",
             rig->dir);
    snprintf(cmd, sizeof cmd, "%s make %s %s", rig->script, rig->dir, settings);
    rc = system(cmd);
    if (rc != 0)
        return WIFEXITED(rc) && WEXITSTATUS(rc) == 77 ? 1 : -1;
    if (rig_start(rig) != 0)
        return -1;
    rig_ask(rig, "CREATE ROLE plain LOGIN");
    return rig_ask(rig, "GRANT CREATE ON DATABASE postgres TO plain")[0] == '\0' ? 0
                                                                                 : -1;
}

static inline void rig_write_text(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    chmod(path, mode);
}

/* A role `locked` with password sekrit, in front of pg_hba.conf, which trusts all others. */
static inline void rig_lock_role(struct rig *rig)
{
    char path[128], all[8192];
    FILE *f;
    size_t n;

    rig_ask(rig, "DROP OWNED BY locked");
    rig_ask(rig, "DROP ROLE locked");
    assert_string_equal(rig_ask(rig, "CREATE ROLE locked LOGIN PASSWORD 'sekrit'"), "");
    assert_string_equal(rig_ask(rig, "GRANT CREATE ON DATABASE postgres TO locked"),
                        "");
    snprintf(path, sizeof path, "%s/data/pg_hba.conf", rig->dir);
    f = fopen(path, "r+");
    assert_non_null(f);
    n = fread(all, 1, sizeof all, f);
    rewind(f);
    fputs("local all locked scram-sha-256\n", f);
    fwrite(all, 1, n, f);
    fclose(f);
    rig_ask(rig, "SELECT pg_reload_conf()");
}

/* Eat what is left of the file system; the file to be removed. */
static inline void rig_fill_disk(const char *path)
{
    static char block[65536];
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    size_t size = sizeof block;

    assert_true(fd >= 0);
    while (size >= 4096)
        if (write(fd, block, size) != (ssize_t)size)
            size /= 2;
    close(fd);
}

/* A server that says it is PostgreSQL 14.9, in the words of the manual's chapter 55.7: its
   process. */
static inline pid_t rig_old_server(const char *dir)
{
    static const char hello[] = "R\0\0\0\10\0\0\0\0"
                                "S\0\0\0\30server_version\00014.9\0"
                                "Z\0\0\0\5I";
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd;
    char request[512];
    pid_t pid;

    snprintf(to.sun_path, sizeof to.sun_path, "%.80s/.s.PGSQL.5432", dir);
    if (bind(listener, (struct sockaddr *)&to, sizeof to) != 0 ||
        listen(listener, 1) != 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        fd = accept(listener, NULL, NULL);
        if (read(fd, request, sizeof request) > 0 &&
            write(fd, hello, sizeof hello - 1) == sizeof hello - 1)
            while (read(fd, request, sizeof request) > 0)
                continue;
        _exit(0);
    }
    close(listener);
    return pid;
}

/* Rows and index entries of t_tasks that are read, by a count of the server's. */
static inline long rig_reads(struct rig *rig)
{
    rig_ask(rig, "SELECT pg_stat_clear_snapshot()");
    return atol(rig_ask(
        rig, "SELECT (SELECT seq_tup_read FROM pg_stat_user_tables"
             " WHERE schemaname = 'absurd' AND relname = 't_tasks') + sum(idx_tup_read)"
             " FROM pg_stat_user_indexes WHERE schemaname = 'absurd'"
             " AND relname = 't_tasks'"));
}

/* The backends of ours that have ended have told their counts. */
static inline void rig_wait_for_counts(struct rig *rig)
{
    double until = clock_boot_s() + PATIENCE_MS / 1000.0;

    while (clock_boot_s() < until &&
           strcmp(rig_ask(rig, "SELECT count(*) FROM pg_stat_activity"
                               " WHERE application_name LIKE 'watcherd%'"),
                  "0") != 0)
        poll(NULL, 0, 5);
}

#endif
