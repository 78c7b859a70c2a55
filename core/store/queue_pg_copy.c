/*
 * queue_pg_copy.c: the queue in PostgreSQL: vacuum, backup, restore, migrate.
 *
 * Backups are made and read by PostgreSQL's own pg_dump and psql, so that they can also be
 * read without us.
 */
#include "core/store/queue_pg.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/err.h"
#include "core/path.h"

/* ---- other programs ---- */

extern char **environ;

/* The environment with a password in it; free array and first element.  NULL: no memory. */
static char **with_password(const char *password)
{
    size_t n = 0;
    char **env;

    while (environ[n] != NULL)
        n++;
    env = calloc(n + 2, sizeof *env);
    if (env == NULL || asprintf(&env[0], "PGPASSWORD=%s", password) < 0) {
        free(env);
        return NULL;
    }
    memcpy(env + 1, environ, n * sizeof *env);
    return env;
}

/* Its first line of complaint, and all the rest away, until it has ended. */
static void hear(int fd, char *line, size_t size)
{
    char more[4096];
    size_t have = 0;
    ssize_t n;

    while ((n = read(fd, more, sizeof more)) > 0 || (n < 0 && errno == EINTR)) {
        size_t room = size - 1 - have, take = n > 0 ? (size_t)n : 0;

        take = take < room ? take : room;
        memcpy(line + have, more, take);
        have += take;
    }
    line[have] = '\0';
    line[strcspn(line, "\n")] = '\0';
}

static int start(pid_t *pid, char *const *argv, char **env, int complaints)
{
    posix_spawn_file_actions_t files;
    int rc = posix_spawn_file_actions_init(&files);

    if (rc != 0)
        return rc;
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&files, complaints, 2);
    rc = posix_spawnp(pid, argv[0], &files, NULL, argv, env);
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

/* Run a program to its end.  0, -ENOENT when it is not installed, -EIO with what it says. */
static int run_program(char *const *argv, const char *password, struct err *e)
{
    char **env = password != NULL ? with_password(password) : environ;
    char line[QUEUE_TEXT] = "";
    int pipe_fd[2] = {-1, -1}, status = 0, rc;
    pid_t pid;

    if (env == NULL)
        return err_set(e, -ENOMEM, "out of memory starting %s", argv[0]);
    rc = pipe2(pipe_fd, O_CLOEXEC) == 0 ? start(&pid, argv, env, pipe_fd[1]) : errno;
    if (env != environ) {
        free(env[0]);
        free(env);
    }
    if (pipe_fd[1] != -1)
        close(pipe_fd[1]);
    if (rc == 0) {
        hear(pipe_fd[0], line, sizeof line);
        while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
            continue;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            rc = err_set(e, -EIO, "%.200s", line[0] != '\0' ? line : argv[0]);
    } else {
        rc = err_set(e, -rc, "cannot start %s: %s%s", argv[0], strerror(rc),
                     rc == ENOENT ? " (Debian: postgresql-client-15)" : "");
    }
    if (pipe_fd[0] != -1)
        close(pipe_fd[0]);
    return rc;
}

/* ---- vacuum, backup ---- */

int queue_pg_vacuum(struct queue *base, struct err *e)
{
    return pg_run(pg_of(base)->pg,
                  "VACUUM (ANALYZE) absurd.t_tasks, absurd.t_attempts, absurd.t_steps,"
                  " absurd.t_workers, absurd.t_queues",
                  0, e);
}

int queue_pg_backup(struct queue *base, const char *path, struct err *e)
{
    struct pg_queue *q = pg_of(base);
    const char *password = NULL;
    char temp[PATH_MAX], *info = NULL;
    double now;
    int rc = queue_pg_now(base, &now, e); /* finds the connection again */

    if (rc != 0)
        return rc;
    if ((size_t)snprintf(temp, sizeof temp, "%s.%ld.part", path, (long)getpid()) >=
        sizeof temp)
        return err_set(e, -ENAMETOOLONG, "path too long: %.80s", path);
    info = pg_conninfo(q->pg, &password);
    if (info == NULL)
        return err_set(e, -ENOMEM, "out of memory making a backup");
    rc = run_program((char *[]){"pg_dump", "--no-owner", "--no-privileges",
                                "--schema=absurd", "--file", temp, "--dbname", info,
                                NULL},
                     password, e);
    if (rc == 0)
        rc = path_replace(temp, path, e);
    else
        unlink(temp);
    free(info);
    return rc;
}

/* ---- restore, migrate: without a queue that must be there ---- */

static int open_bare(struct pg **pg, const struct queue_opts *opts, int *version,
                     struct err *e)
{
    int rc = pg_open(pg, &(struct pg_opts){.store = opts->store, .app = "taskctl"}, e);

    if (rc == 0)
        rc = queue_pg_version(*pg, version, e);
    return rc;
}

static const char sql_alive[] =
    "SELECT worker_id, extract(epoch FROM clock_timestamp() - last_seen)::bigint"
    " FROM absurd.t_workers"
    " WHERE last_seen > clock_timestamp() - 2 * lease_sec * interval '1 second'"
    " ORDER BY last_seen DESC LIMIT 1";

static int nobody_works(struct pg *pg, struct err *e)
{
    PGresult *r = NULL;
    int rc = pg_ask(pg, &r, e, sql_alive, 0, NULL);

    if (rc == 0 && PQntuples(r) > 0)
        rc = err_set(e, -EBUSY,
                     "worker %.80s of %.60s told of itself %s s ago: stop the workers "
                     "first",
                     PQgetvalue(r, 0, 0), pg_where(pg), PQgetvalue(r, 0, 1));
    PQclear(r);
    return rc;
}

/* What the backup says was claimed has no worker any more. */
static const char sql_settle[] =
    "DO $$ BEGIN IF (SELECT max(version) FROM absurd.t_schema) > %d THEN"
    " RAISE EXCEPTION 'the backup is of a newer watcherd'; END IF;"
    " DELETE FROM absurd.t_workers;"
    " PERFORM absurd.wd_take(queue_name, array_agg(task_id), 'release', 'abandoned',"
    "  NULL) FROM absurd.t_tasks WHERE status = 'claimed' GROUP BY queue_name; END $$";

int queue_pg_restore(const struct queue_opts *opts, const char *path, struct err *e)
{
    const char *password = NULL;
    char settle[1024], *info = NULL;
    struct pg *pg = NULL;
    struct err why = {0};
    int version = 0, rc;

    if (access(path, R_OK) != 0)
        return err_set(e, -errno, "cannot read %s: %s", path, strerror(errno));
    rc = open_bare(&pg, opts, &version, e);
    if (rc == 0 && version > 0)
        rc = nobody_works(pg, e);
    if (rc != 0)
        goto out;
    info = pg_conninfo(pg, &password);
    if (info == NULL) {
        rc = err_set(e, -ENOMEM, "out of memory restoring %s", path);
        goto out;
    }
    snprintf(settle, sizeof settle, sql_settle, PG_VERSION);
    rc = run_program((char *[]){"psql", "--no-psqlrc", "--quiet",
                                "--set=ON_ERROR_STOP=1", "--single-transaction",
                                "--dbname", info, "--command",
                                "DROP SCHEMA IF EXISTS absurd CASCADE", "--file",
                                (char *)path, "--command", settle, NULL},
                     password, &why);
    if (rc != 0)
        rc = err_set(e, rc == -EIO ? ERR_FORMAT : rc,
                     "cannot restore %.80s, the queue is as it was: %.120s", path,
                     why.text);

out:
    free(info);
    pg_close(pg);
    return rc;
}

int queue_pg_migrate(const struct queue_opts *opts, bool dry,
                     struct queue_schema *schema, queue_say_fn *say, void *arg,
                     struct err *e)
{
    char line[QUEUE_TEXT + 64];
    struct pg *pg = NULL;
    int rc;

    *schema = (struct queue_schema){.want = PG_VERSION};
    rc = open_bare(&pg, opts, &schema->have, e);
    if (rc == 0 && schema->have > PG_VERSION)
        rc = err_set(e, ERR_FORMAT,
                     "the queue in %.80s is of a newer watcherd (version %d of the "
                     "tables, this one knows %d)",
                     pg_where(pg), schema->have, PG_VERSION);
    /* Version 1 is the first: there is no older one yet that would have to be copied before. */
    for (int v = schema->have; rc == 0 && v < PG_VERSION; v++) {
        snprintf(line, sizeof line, "make version %d of the tables in %s", v + 1,
                 pg_where(pg));
        say(arg, line);
        if (!dry)
            rc = queue_pg_upgrade(pg, v, e);
    }
    pg_close(pg);
    return rc;
}
