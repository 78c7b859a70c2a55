/* legacy.c: see legacy.h. */
#include "locks/legacy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/mem.h"
#include "locks/lockfs.h"
#include "locks/crashpoint.h"

enum { LEGACY_MAX = 4096, LEGACY_TRIES = 8 };

struct legacy {
    char *path;
    int fd;
};

static enum legacy_state verdict(struct legacy_view *view, enum legacy_state state,
                                 const char *why)
{
    snprintf(view->why, sizeof view->why, "%s", why);
    view->state = state;
    return state;
}

/* PID and host out of "123", "123\nhost", "123 host" or JSON. */
static bool parse(const char *text, size_t n, struct legacy_view *view)
{
    char *rest;
    json_t *json;
    long long pid;

    json = text[0] == '{' ? json_loadb(text, n, 0, NULL) : NULL;
    if (json != NULL) {
        const char *host = json_string_value(json_object_get(json, "host"));

        if (host == NULL)
            host = json_string_value(json_object_get(json, "hostname"));
        view->pid = json_integer_value(json_object_get(json, "pid"));
        snprintf(view->host, sizeof view->host, "%s", host != NULL ? host : "");
        json_decref(json);
        return view->pid > 0 && view->pid <= INT32_MAX;
    }
    errno = 0;
    pid = strtoll(text, &rest, 10);
    if (rest == text || errno != 0 || pid <= 0 || pid > INT32_MAX ||
        (*rest != '\0' && strchr(" \t\r\n:@", *rest) == NULL))
        return false;
    view->pid = pid;
    sscanf(rest, " %*1[:@] %64s", view->host);
    if (view->host[0] == '\0')
        sscanf(rest, " %64s", view->host);
    return true;
}

/* A file without an owner's start time: only "there is no such process here" is proof, and only
 * when "here" is where the file was written. */
static void judge_pid(int fd, struct legacy_view *view)
{
    struct owner me, him;
    struct lockfs fs;

    if (owner_self(&me, NULL) != 0) {
        verdict(view, LEGACY_ACTIVE, "this process cannot read its own /proc");
        return;
    }
    if (view->host[0] != '\0' && strcmp(view->host, me.host) != 0) {
        snprintf(view->why, sizeof view->why, "process %" PRId64 " of %s", view->pid,
                 view->host);
        view->state = LEGACY_ACTIVE;
        return;
    }
    lockfs_get(fd, &fs);
    if (view->host[0] == '\0' && !fs.local) {
        snprintf(view->why, sizeof view->why,
                 "process %" PRId64
                 " of an unnamed host that shares this %s file system",
                 view->pid, fs.type);
        view->state = LEGACY_ACTIVE;
        return;
    }
    him = me;
    him.pid = view->pid;
    him.start = him.pidfs = 0;
    view->state =
        owner_judge(&him, view->why) == OWNER_DEAD ? LEGACY_DEAD : LEGACY_ACTIVE;
}

/* Judge an open file.  lock: LOCK_SH to look, LOCK_EX to keep it when it is not taken. */
static void judge_fd(int fd, int lock, struct legacy_view *view)
{
    char text[LEGACY_MAX + 1];
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        verdict(view, LEGACY_OPAQUE, "not a regular file");
        return;
    }
    view->age_s = clock_wall_s() - (double)st.st_mtim.tv_sec;
    n = pread(fd, text, LEGACY_MAX, 0);
    text[n > 0 ? n : 0] = '\0';
    if (n > 0 && !parse(text, (size_t)n, view))
        view->pid = 0;
    if (flock(fd, lock | LOCK_NB) != 0)
        verdict(view, LEGACY_ACTIVE, "another program holds its kernel lock");
    else if (n == 0)
        verdict(view, LEGACY_NONE, "empty and not locked");
    else if (n < 0 || view->pid == 0)
        verdict(view, LEGACY_OPAQUE, "no process id in it");
    else
        judge_pid(fd, view);
}

/* -EUCLEAN: no regular file (a link, a socket). */
static int open_legacy(int dirfd, const char *name, int flags)
{
    int fd = -1;

    for (int i = 0; i < 3 && fd == -1;
         i++) { /* a stale handle says nothing: ask again */
        fd = openat(dirfd, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
                    0644);
        if (fd == -1 && errno != ESTALE)
            break;
    }
    if (fd == -1)
        return errno == ELOOP || errno == ENXIO || errno == EISDIR ? -EUCLEAN : -errno;
    return fd;
}

int legacy_look(int dirfd, const char *name, struct legacy_view *view, struct err *e)
{
    int fd;

    memset(view, 0, sizeof *view);
    fd = open_legacy(dirfd, name, O_RDONLY);
    if (fd == -ENOENT)
        return 0;
    if (fd == -EUCLEAN || fd == -EACCES) {
        verdict(view, LEGACY_OPAQUE,
                fd == -EACCES ? "may not be read" : "not a regular file");
        return 0;
    }
    if (fd < 0)
        return err_set(e, fd, "cannot open %s: %s", name, err_text(fd));
    judge_fd(fd, LOCK_SH, view);
    close(fd);
    return 0;
}

/* Does `name` still name what we have open (and locked)? */
static bool names_fd(int dirfd, const char *name, int fd)
{
    struct stat open_st, name_st;

    return fstat(fd, &open_st) == 0 && open_st.st_nlink > 0 &&
           fstatat(dirfd, name, &name_st, AT_SYMLINK_NOFOLLOW) == 0 &&
           open_st.st_dev == name_st.st_dev && open_st.st_ino == name_st.st_ino;
}

int legacy_break(int dirfd, const char *name, struct legacy_view *view, struct err *e)
{
    int fd, rc;

    memset(view, 0, sizeof *view);
    fd = open_legacy(dirfd, name, O_RDWR);
    if (fd < 0)
        return err_set(e, fd, "cannot open %s: %s", name, err_text(fd));
    crash_step("legacy judge");
    judge_fd(fd, LOCK_EX, view); /* reads again what is judged, under the lock */
    if (view->state == LEGACY_DEAD && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
        names_fd(dirfd, name, fd)) {
        crash_step("legacy remove");
        rc = unlinkat(dirfd, name, 0) == 0 ? 0 : -errno;
        if (rc != 0)
            err_set(e, rc, "cannot remove %s: %s", name, err_text(rc));
    } else {
        rc = err_set(e, -EBUSY, "%s is not dead: %s", name, view->why);
    }
    close(fd);
    return rc;
}

static int write_pid(int fd)
{
    struct owner me;
    struct stat st;
    char line[128];
    int n;

    if (owner_self(&me, NULL) != 0 || fstat(fd, &st) != 0)
        return -EIO;
    n = snprintf(line, sizeof line, "%" PRId64 "\n%s\n", me.pid, me.host);
    crash_step("legacy pid");
    /* Not for a new file: ext4 writes one that was truncated to disk when it is closed. */
    if (st.st_size > 0 && ftruncate(fd, 0) != 0)
        return -EIO;
    return pwrite(fd, line, (size_t)n, 0) == n ? 0 : -EIO;
}

int legacy_acquire(struct legacy **out, const char *path, struct err *e)
{
    struct legacy_view view;
    struct legacy *legacy;
    int fd = -1, rc = -EBUSY;

    *out = NULL;
    for (int i = 0; i < LEGACY_TRIES; i++) {
        memset(&view, 0, sizeof view);
        crash_step("legacy open");
        fd = open_legacy(AT_FDCWD, path, O_RDWR | O_CREAT);
        if (fd < 0)
            return err_set(e, fd, "cannot open %s: %s", path, err_text(fd));
        crash_step("legacy lock");
        judge_fd(fd, LOCK_EX, &view);
        if (view.state == LEGACY_ACTIVE || view.state == LEGACY_OPAQUE) {
            rc =
                err_set(e, -EBUSY, "%s is held by another program: %s", path, view.why);
            break;
        }
        if (names_fd(AT_FDCWD, path, fd)) {
            rc = write_pid(fd);
            break;
        }
        close(fd); /* what we locked has lost its name: start again */
        fd = -1;
    }
    if (rc != 0) {
        if (fd != -1)
            close(fd);
        return rc == -EBUSY
                   ? err_set(e, rc, "%s is held by another program: %s", path, view.why)
                   : err_set(e, rc, "cannot write %s", path);
    }
    legacy = mem_calloc(1, sizeof *legacy);
    legacy->path = mem_strdup(path);
    legacy->fd = fd;
    *out = legacy;
    return 0;
}

void legacy_release(struct legacy *legacy)
{
    if (legacy == NULL)
        return;
    crash_step("legacy release");
    if (names_fd(AT_FDCWD, legacy->path, legacy->fd))
        unlink(legacy->path);
    close(legacy->fd);
    free(legacy->path);
    free(legacy);
}
