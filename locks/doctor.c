/* doctor.c: see doctor.h. */
#include "locks/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/path.h"
#include "locks/record.h"

/* NFS clients may show a directory as it was up to acdirmax = 60 s ago. */
#define SEEN_WITHIN_S 65.0

/* The two ways to one directory; b is a itself when there is no peer. */
struct pair {
    int a, b;
    bool peer;
};

const char *coherence_name(enum coherence c)
{
    static const char *const names[] = {[COHERENT] = "coherent",
                                        [NODE_LOCAL] = "node-local",
                                        [UNSUPPORTED] = "unsupported",
                                        [UNPROVED] = "unproved"};

    return names[c];
}

static void forget(const struct pair *p, const char *name)
{
    unlinkat(p->a, name, 0);
}

static int make(int dirfd, const char *name)
{
    return openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
}

/* Wait until `name` is to be seen through b.  Seconds, or < 0. */
static double wait_for_name(const struct pair *p, const char *name)
{
    double start = clock_boot_s();
    struct timespec nap = {.tv_nsec = 2000000};

    while (faccessat(p->b, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
        if (clock_boot_s() - start > SEEN_WITHIN_S)
            return -1;
        nanosleep(&nap, NULL);
    }
    return clock_boot_s() - start;
}

/* A counter written through a, until read through b by a new open. */
static double wait_for_beat(const struct pair *p)
{
    struct timespec nap = {.tv_nsec = 2000000};
    double start, took = -1;
    char text[8] = "";
    int fd = make(p->a, "beat");

    if (fd == -1)
        return -1;
    if (pwrite(fd, "1 1\n", 4, 0) != 4 || wait_for_name(p, "beat") < 0 ||
        pwrite(fd, "1 2\n", 4, 0) != 4)
        goto out;
    start = clock_boot_s();
    while (took < 0 && clock_boot_s() - start < SEEN_WITHIN_S) {
        int other = openat(p->b, "beat", O_RDONLY | O_CLOEXEC);

        if (other != -1 && pread(other, text, 4, 0) == 4 && text[2] == '2')
            took = clock_boot_s() - start;
        else
            nanosleep(&nap, NULL);
        if (other != -1)
            close(other);
    }
out:
    close(fd);
    forget(p, "beat");
    return took;
}

static bool try_excl(const struct pair *p)
{
    int first = make(p->a, "excl"), second = make(p->b, "excl");
    bool ok = first != -1 && second == -1 && errno == EEXIST;

    if (first != -1)
        close(first);
    if (second != -1)
        close(second);
    forget(p, "excl");
    return ok;
}

static bool try_link(const struct pair *p)
{
    int x = make(p->a, "x"), y = make(p->b, "y");
    /* st_nlink is not asked: FUSE keeps it in a cache for a second */
    bool ok = x != -1 && y != -1 && linkat(p->a, "x", p->a, "linked", 0) == 0 &&
              linkat(p->b, "y", p->b, "linked", 0) != 0 && errno == EEXIST;

    if (x != -1)
        close(x);
    if (y != -1)
        close(y);
    forget(p, "x");
    forget(p, "y");
    forget(p, "linked");
    return ok;
}

static bool try_rename(const struct pair *p)
{
    int fd = make(p->a, "from");
    bool ok = fd != -1 && renameat(p->a, "from", p->a, "to") == 0 &&
              wait_for_name(p, "to") >= 0;

    if (fd != -1)
        close(fd);
    forget(p, "from");
    forget(p, "to");
    return ok;
}

static int take_flock(int fd)
{
    return flock(fd, LOCK_EX | LOCK_NB);
}

static int take_ofd(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_SETLK, &whole);
}

/* FUSE tells its server of a close some time after close(2) has returned. */
static bool take_soon(int (*take)(int fd), int fd)
{
    struct timespec nap = {.tv_nsec = 2000000};
    double start = clock_boot_s();

    while (take(fd) != 0) {
        if (clock_boot_s() - start > 2)
            return false;
        nanosleep(&nap, NULL);
    }
    return true;
}

/* Hold through a, try through b; let go, try again. */
static enum coherence try_lock(const struct pair *p, int (*take)(int fd))
{
    enum coherence found = UNSUPPORTED;
    int first = make(p->a, "lock"), second = -1;

    if (first == -1 || wait_for_name(p, "lock") < 0)
        goto out;
    second = openat(p->b, "lock", O_RDWR | O_CLOEXEC);
    if (second == -1 || take(first) != 0)
        goto out;
    if (take(second) == 0) {
        found = NODE_LOCAL;
    } else if (errno == EWOULDBLOCK || errno == EACCES) {
        close(first);
        first = -1;
        /* it was the lock that refused us if it goes with its holder */
        if (take_soon(take, second))
            found = p->peer ? COHERENT : UNPROVED;
    }
out:
    if (first != -1)
        close(first);
    if (second != -1)
        close(second);
    forget(p, "lock");
    return found;
}

static void try_sync(const struct pair *p, struct doctor *out)
{
    struct stat st;
    int fd = make(p->a, "sync");

    out->fsync_file = fd != -1 && write(fd, "x", 1) == 1 && fsync(fd) == 0;
    out->fsync_dir = fsync(p->a) == 0;
    if (fd != -1 && fstat(fd, &st) == 0)
        out->clock_s = (double)st.st_mtim.tv_sec + (double)st.st_mtim.tv_nsec * 1e-9 -
                       clock_wall_s();
    if (fd != -1)
        close(fd);
    forget(p, "sync");
}

/* Mount options of the file system of fd: fields 6 and after "-" of mountinfo (proc(5)). */
static void mount_options(int fd, char *out, size_t size)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char line[4096], want[32];
    struct stat st;

    out[0] = '\0';
    if (file == NULL || fstat(fd, &st) != 0)
        goto out;
    snprintf(want, sizeof want, "%u:%u", major(st.st_dev), minor(st.st_dev));
    while (fgets(line, sizeof line, file) != NULL) {
        char device[32], here[256], super[512];
        const char *dash = strstr(line, " - ");

        if (dash == NULL ||
            sscanf(line, "%*s %*s %31s %*s %*s %255s", device, here) != 2 ||
            strcmp(device, want) != 0)
            continue;
        super[0] = '\0';
        sscanf(dash, " - %*s %*s %511s", super);
        snprintf(out, size, "%s%s%.200s", here, super[0] != '\0' ? "," : "", super);
    }
out:
    if (file != NULL)
        fclose(file);
}

static enum claim_mode follows(const struct doctor *d, bool peer)
{
    if (!d->excl)
        return MODE_REFUSE;
    if (!d->link)
        return MODE_EXCL;
    if (peer)
        return d->flock == COHERENT ? MODE_FLOCK : MODE_GEN;
    return d->mode == MODE_FLOCK && d->flock == UNPROVED ? MODE_FLOCK : MODE_GEN;
}

/* Open `<base>/.watcherd/<name>`. */
static int open_probe(const char *base, const char *name, struct err *e)
{
    char path[4096];
    int fd;

    snprintf(path, sizeof path, "%s/.watcherd/%s", base, name);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd != -1 ? fd
                    : err_set(e, -errno, "cannot open %s: %s", path, strerror(errno));
}

/* Make the probe directory through dir and find it through peer. */
static int open_pair(struct pair *p, const char *dir, const char *peer,
                     const char *name, struct err *e)
{
    struct pair outer = {-1, -1, peer != NULL};
    char path[4096];
    struct stat st;
    int rc;

    if (stat(dir, &st) != 0)
        return err_set(e, -errno, "cannot look at %s: %s", dir, strerror(errno));
    snprintf(path, sizeof path, "%s/.watcherd/%s", dir, name);
    rc = path_mkdirs(path, e);
    if (rc != 0)
        return rc;
    p->peer = peer != NULL;
    p->a = open_probe(dir, name, e);
    if (p->a < 0)
        return p->a;
    if (peer != NULL) {
        outer.b = open(peer, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (outer.b == -1)
            return err_set(e, -errno, "cannot open %s: %s", peer, strerror(errno));
        snprintf(path, sizeof path, ".watcherd/%s", name);
        rc = faccessat(outer.b, ".watcherd", F_OK, 0) == 0 &&
                     wait_for_name(&outer, path) >= 0
                 ? 0
                 : err_set(e, -EXDEV, "%s is not the same directory as %s", peer, dir);
        close(outer.b);
        if (rc != 0)
            return rc;
    }
    p->b = open_probe(peer != NULL ? peer : dir, name, e);
    return p->b < 0 ? p->b : 0;
}

int doctor_examine(struct doctor *out, const char *dir, const char *peer, struct err *e)
{
    struct pair p = {-1, -1, false};
    char name[16 + RECORD_NONCE], path[4096];
    struct record rec;
    struct lockfs fs;
    int fd, rc = record_init(&rec, e); /* for its nonce */

    memset(out, 0, sizeof *out);
    if (rc != 0)
        return rc;
    snprintf(name, sizeof name, "probe-%s", rec.nonce);
    rc = open_pair(&p, dir, peer, name, e);
    if (rc != 0)
        goto out;
    if (peer != NULL) {
        lockfs_get(p.b, &fs);
        snprintf(out->peer_type, sizeof out->peer_type, "%s", fs.type);
    }
    lockfs_get(p.a, &fs); /* from inside .watcherd: no earlier findings in the way */
    snprintf(out->type, sizeof out->type, "%s", fs.type);
    out->mode = fs.mode;
    mount_options(p.a, out->options, sizeof out->options);
    fd = make(p.a, "name");
    out->name_s = fd != -1 ? wait_for_name(&p, "name") : -1;
    if (fd != -1)
        close(fd);
    forget(&p, "name");
    out->excl = try_excl(&p);
    out->link = try_link(&p);
    out->rename = try_rename(&p);
    out->flock = try_lock(&p, take_flock);
    out->ofd = try_lock(&p, take_ofd);
    out->beat_s = wait_for_beat(&p);
    try_sync(&p, out);
    out->mode = follows(out, p.peer);
out:
    if (p.a >= 0)
        close(p.a);
    if (p.b >= 0)
        close(p.b);
    snprintf(path, sizeof path, "%s/.watcherd/%s", dir, name);
    rmdir(path);
    return rc;
}

int doctor_write(const struct doctor *d, const char *dir, const char *peer,
                 struct err *e)
{
    char path[4096], now[32];
    json_t *json;
    char *text;
    int rc;

    clock_iso(clock_wall_s(), now);
    json = json_pack(
        "{s:s, s:s, s:s?, s:s, s:b, s:b, s:b, s:b, s:b, s:s, s:s, s:f, s:f, s:f, "
        "s:s, s:s}",
        "mode", lockfs_mode_name(d->mode), "type", d->type, "peer", peer, "peer_type",
        d->peer_type, "excl", (int)d->excl, "link", (int)d->link, "rename",
        (int)d->rename, "fsync_file", (int)d->fsync_file, "fsync_dir",
        (int)d->fsync_dir, "flock", coherence_name(d->flock), "ofd",
        coherence_name(d->ofd), "name_s", d->name_s, "beat_s", d->beat_s, "clock_s",
        d->clock_s, "options", d->options, "examined", now);
    text =
        json != NULL ? json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(json);
    if (text == NULL)
        return err_set(e, -EILSEQ, "the findings on %s cannot be written as JSON", dir);
    snprintf(path, sizeof path, "%s/.watcherd/fs.json", dir);
    rc = path_write(path, text, strlen(text), e);
    free(text);
    return rc;
}
