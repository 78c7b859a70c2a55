#include "tools/taskctl/maintenance.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/path.h"
#include "core/store/registry.h"
#include "core/text.h"

int maintenance_vacuum(struct ctl *ctl)
{
    struct err e = {0};
    double from = clock_boot_s();
    int rc = queue_vacuum(ctl->q, &e);

    if (rc != 0)
        return ctl_fail(rc, &e);
    if (ctl->json)
        return ctl_print_json(
            json_pack("{s:b, s:f}", "done", 1, "took_s", clock_boot_s() - from));
    printf("%s: space given back, statistics renewed, in %.1f s\n", queue_where(ctl->q),
           clock_boot_s() - from);
    return EX_OK;
}

/* ---- backup ---- */

void maintenance_name(double unix_s, char out[MAINTENANCE_NAME])
{
    time_t t = (time_t)unix_s;
    struct tm tm;

    gmtime_r(&t, &tm);
    strftime(out, MAINTENANCE_NAME, "%Y-%m-%dT%H%M%SZ", &tm);
}

bool maintenance_is_name(const char *name)
{
    static const char shape[] = "dddd-dd-ddTddddddZ";

    for (size_t i = 0; i < sizeof shape; i++) /* to the NUL */
        if (shape[i] == 'd' ? name[i] < '0' || name[i] > '9' : name[i] != shape[i])
            return false;
    return true;
}

static bool is_sqlite(const struct ctl *ctl)
{
    return strcmp(ctl->conf.queue.store, "sqlite") == 0;
}

static const char *queue_file(const struct ctl *ctl)
{
    return is_sqlite(ctl) ? "queue.sqlite3" : "queue.sql";
}

static int is_old_backup(const struct dirent *entry)
{
    return maintenance_is_name(entry->d_name);
}

/* Of the backups in dir keep the newest so many.  *gone counts the others. */
static int rotate(const char *dir, long keep, size_t *gone, struct err *e)
{
    struct dirent **list = NULL;
    int n = scandir(dir, &list, is_old_backup, alphasort), rc = 0;

    if (n < 0)
        return err_set(e, -errno, "cannot read %s: %s", dir, strerror(errno));
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX];

        if (i < n - keep && rc == 0)
            rc = path_join(path, sizeof path, dir, list[i]->d_name, e);
        if (i < n - keep && rc == 0)
            rc = path_remove_tree(path, e);
        *gone += i < n - keep && rc == 0;
        free(list[i]);
    }
    free(list);
    return rc;
}

/* The queue and the registries into a new directory `fresh`, which is then named `path`. */
static int back_up_all(struct ctl *ctl, const char *fresh, const char *path, size_t *n,
                       struct err *e)
{
    char file[PATH_MAX];
    int rc = path_join(file, sizeof file, fresh, queue_file(ctl), e);

    if (rc == 0)
        rc = path_remove_tree(fresh, e);
    if (rc == 0 && mkdir(fresh, 0700) != 0)
        rc = err_set(e, -errno, "cannot make %s: %s", fresh, strerror(errno));
    if (rc == 0)
        rc = queue_backup(ctl->q, file, e);
    if (rc == 0)
        rc = registry_backup(ctl->conf.paths.state, fresh, n, e);
    if (rc == 0)
        rc = path_fsync_tree(fresh, e);
    if (rc == 0 && rename(fresh, path) != 0)
        rc = err_set(e, -errno, "cannot rename %s to %s: %s", fresh, path,
                     strerror(errno));
    if (rc != 0)
        path_remove_tree(fresh, NULL);
    return rc;
}

struct backup {
    char path[PATH_MAX];
    size_t registries, gone;
};

/* Into a directory of its own in dir, then drop those that are too many. */
static int back_up_into(struct ctl *ctl, const char *dir, struct backup *b,
                        struct err *e)
{
    char name[MAINTENANCE_NAME], fresh[PATH_MAX];
    int rc;

    maintenance_name(clock_wall_s(), name);
    if ((rc = path_join(b->path, sizeof b->path, dir, name, e)) != 0 ||
        (rc = path_join(fresh, sizeof fresh, dir, ".backup.part", e)) != 0)
        return rc;
    if (access(b->path, F_OK) == 0)
        return err_set(e, -EAGAIN, "%s is there already: one backup a second", b->path);
    if ((rc = back_up_all(ctl, fresh, b->path, &b->registries, e)) == 0 &&
        (rc = path_fsync_dir(dir, e)) == 0 && ctl->keep > 0)
        rc = rotate(dir, ctl->keep, &b->gone, e);
    return rc;
}

static int say_backup(const struct ctl *ctl, const struct backup *b)
{
    if (ctl->json) {
        json_t *o = json_pack("{s:I, s:I}", "registries", (json_int_t)b->registries,
                              "removed", (json_int_t)b->gone);

        text_set(o, "path", b->path);
        return ctl_print_json(o);
    }
    printf("%s", b->path);
    if (b->registries > 0)
        printf(": the queue and %zu registries", b->registries);
    if (b->gone > 0)
        printf("; %zu older one%s removed", b->gone, b->gone == 1 ? "" : "s");
    putchar('\n');
    return EX_OK;
}

int maintenance_backup(struct ctl *ctl)
{
    struct backup b = {.registries = 0};
    struct err e = {0};
    struct stat st;
    size_t n;
    int rc;

    if (ctl->nword != 1)
        return ctl_wrong("where to?  taskctl backup FILE, or backup DIR [--keep N]");
    n = strlen(ctl->word[0]);
    if (n > 0 && ctl->word[0][n - 1] == '/' &&
        (rc = path_mkdirs(ctl->word[0], &e)) != 0)
        return ctl_fail(rc, &e);
    if (stat(ctl->word[0], &st) == 0 && S_ISDIR(st.st_mode)) {
        rc = back_up_into(ctl, ctl->word[0], &b, &e);
    } else if (ctl->keep >= 0) {
        return ctl_wrong("--keep belongs to a directory, and %s is none", ctl->word[0]);
    } else {
        snprintf(b.path, sizeof b.path, "%s", ctl->word[0]);
        rc = queue_backup(ctl->q, b.path, &e);
    }
    return rc != 0 ? ctl_fail(rc, &e) : say_backup(ctl, &b);
}

/* ---- restore ---- */

/* Yes on a terminal, or --yes. */
static int confirm(const struct ctl *ctl, const char *where, const char *path)
{
    char answer[16] = "";

    if (ctl->yes)
        return EX_OK;
    if (!isatty(STDIN_FILENO))
        return ctl_wrong("restore replaces the whole queue: say --yes");
    fprintf(stderr, "Replace the queue in %s by %s?  Type yes: ", where, path);
    if (fgets(answer, sizeof answer, stdin) != NULL && strcmp(answer, "yes\n") == 0)
        return EX_OK;
    fputs("taskctl: nothing was changed\n", stderr);
    return EX_NOT_DONE;
}

int maintenance_restore(struct ctl *ctl)
{
    char store[PATH_MAX + 16], path[PATH_MAX];
    struct queue_opts opts;
    struct err e = {0};
    struct stat st;
    int rc, code;

    if (ctl->nword != 1)
        return ctl_wrong("restore what?  taskctl restore FILE, or a directory that "
                         "backup DIR made");
    if (stat(ctl->word[0], &st) != 0) {
        fprintf(stderr, "taskctl: cannot read %s: %s\n", ctl->word[0], strerror(errno));
        return EX_NOINPUT;
    }
    rc = S_ISDIR(st.st_mode)
             ? path_join(path, sizeof path, ctl->word[0], queue_file(ctl), &e)
             : path_join(path, sizeof path, ctl->word[0][0] == '/' ? "/" : ".",
                         ctl->word[0] + (ctl->word[0][0] == '/'), &e);
    if (rc == 0)
        rc = queue_conf_opts(&opts, store, sizeof store, &ctl->conf, QUEUE_AS_TOOL, &e);
    if (rc != 0)
        return ctl_fail(rc, &e);
    code =
        confirm(ctl, is_sqlite(ctl) ? store + strlen("sqlite:") : "PostgreSQL", path);
    if (code != EX_OK)
        return code;
    rc = queue_restore(&opts, path, &e);
    if (rc != 0)
        return ctl_fail(rc, &e);
    if (ctl->json) {
        json_t *o = json_object();

        text_set(o, "restored", path);
        return ctl_print_json(o);
    }
    printf("the queue is that of %s\n", path);
    return EX_OK;
}

/* ---- migrate ---- */

static void say_step(void *arg, const char *text)
{
    if (arg != NULL)
        json_array_append_new(arg, json_string(text));
    else
        puts(text);
}

int maintenance_migrate(struct ctl *ctl)
{
    char store[PATH_MAX + 16];
    struct queue_schema schema = {0};
    struct queue_opts opts;
    struct err e = {0};
    json_t *steps = ctl->json ? json_array() : NULL;
    int rc = queue_conf_opts(&opts, store, sizeof store, &ctl->conf, QUEUE_AS_TOOL, &e);

    if (rc == 0 && is_sqlite(ctl) && !ctl->dry_run)
        rc = path_mkdirs(ctl->conf.paths.state, &e);
    if (rc == 0)
        rc = queue_migrate(&opts, ctl->dry_run, &schema, say_step, steps, &e);
    if (rc != 0) {
        json_decref(steps);
        return ctl_fail(rc, &e);
    }
    if (ctl->json)
        return ctl_print_json(json_pack("{s:i, s:i, s:b, s:o}", "have", schema.have,
                                        "want", schema.want, "dry_run",
                                        (int)ctl->dry_run, "steps", steps));
    if (schema.have == schema.want)
        printf("nothing to do: the tables have version %d\n", schema.have);
    else
        printf("%s version %d to %d\n", ctl->dry_run ? "would go from" : "went from",
               schema.have, schema.want);
    return EX_OK;
}
