/* claim.c: see claim.h; the protocol's reasons are in etc/man/lockctl.1, PROTOCOL. */
#include "locks/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/text.h"
#include "locks/forget_old.h"
#include "locks/legacy.h"
#include "locks/observer.h"
#include "locks/orphan.h"
#include "locks/record.h"
#include "locks/crashpoint.h"

enum {
    ATTEMPTS = 8, /* rounds lost to faster claimers before we answer "busy" */
};

struct claim {
    char *dir;            /* for sentences */
    int dirfd;            /* the group's lock directory */
    int recfd;            /* g.N, flocked */
    int beatfd;           /* h.N; -1 until the first heartbeat */
    struct legacy *other; /* `<dir>.lock`; NULL without opts.foreign */
    struct record rec;
    dev_t dev; /* of the record's file, to know it again by name */
    ino_t ino;
    uint64_t beats;
    double last_beat_s; /* CLOCK_BOOTTIME */
    int relaxed;
    struct lockfs fs; /* as found at the start */
};

static void claim_free(struct claim *claim)
{
    if (claim == NULL)
        return;
    legacy_release(claim->other);
    if (claim->beatfd != -1)
        close(claim->beatfd);
    if (claim->recfd != -1)
        close(claim->recfd); /* the kernel lock goes last of all */
    if (claim->dirfd != -1)
        close(claim->dirfd);
    free(claim->dir);
    free(claim);
}

static int scan(const struct claim *claim, struct generations *out)
{
    return claim->fs.local ? generations_scan_local(claim->dirfd, out)
                           : generations_scan(claim->dirfd, out);
}

static int write_all(int fd, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, text, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        text += done;
        n -= (size_t)done;
    }
    return 0;
}

static int open_dir(struct claim *claim, struct err *e)
{
    int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    int rc;

    claim->dirfd = open(claim->dir, flags);
    if (claim->dirfd == -1 && errno == ENOENT) {
        crash_step("directory");
        rc = path_mkdirs(claim->dir, e);
        if (rc != 0)
            return rc;
        claim->dirfd = open(claim->dir, flags);
    }
    if (claim->dirfd == -1)
        return err_set(e, -errno, "cannot open lock directory %s: %s", claim->dir,
                       strerror(errno));
    return 0;
}

/* May the group be claimed?  Status: 0; -EBUSY, -EUCLEAN with a sentence that says why not. */
static int may_take(const struct lock_view *view, const struct claim_opts *opts,
                    struct record *mine, struct err *e)
{
    const struct owner *o = &view->rec.owner;

    switch (view->state) {
    case LOCK_FREE:
        mine->after = 0;
        return 0;
    case LOCK_OPAQUE:
        return err_set(e, -EUCLEAN,
                       "%s: record of generation %" PRIu64 " cannot be judged: %s",
                       mine->group, view->gens.g, view->why);
    case LOCK_EXPIRED:
        if (opts->strict)
            break;
        __attribute__((fallthrough));
    case LOCK_DEAD:
        mine->after = view->gens.g;
        snprintf(mine->evidence, sizeof mine->evidence, "%s", view->why);
        return 0;
    case LOCK_HELD:
    case LOCK_SUSPECT:
        break;
    }
    return err_set(e, -EBUSY,
                   "%s is held by %s on %s, process %" PRId64 ", generation %" PRIu64
                   ", since %s%s%s",
                   mine->group, o->exe, o->host, o->pid, view->gens.g, view->rec.t_utc,
                   view->why[0] != '\0' ? ": " : "", view->why);
}

/* Remove our own temporary file and forget its descriptor. */
static void drop_temp(struct claim *claim, const char *temp)
{
    crash_step("own undo");
    unlinkat(claim->dirfd, temp, 0);
    if (claim->recfd != -1)
        close(claim->recfd);
    claim->recfd = -1;
}

/* Which file is this?  Its times are not asked for: when they have been read, Linux 6.13 writes
 * the inode again at the next change. */
static int identify(int dirfd, const char *name, int flags, dev_t *dev, ino_t *ino)
{
    struct statx st;

    if (statx(dirfd, name, flags, STATX_TYPE | STATX_INO, &st) != 0)
        return -errno;
    *dev = makedev(st.stx_dev_major, st.stx_dev_minor);
    *ino = st.stx_ino;
    return 0;
}

static int write_line(struct claim *claim)
{
    size_t n;
    char *line = mem_must(record_format(&claim->rec, &n));
    int rc;

    rc = write_all(claim->recfd, line, n);
    free(line);
    return rc;
}

/* Open `name`, lock it and put the record into it.  EXCL mode's name is the public one. */
static int write_record(struct claim *claim, const char *name, struct err *e)
{
    int rc;

    crash_step(name[0] == 't' ? "own record" : "claim");
    claim->recfd =
        openat(claim->dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (claim->recfd == -1)
        return errno == EEXIST
                   ? -EEXIST
                   : err_set(e, -errno, "cannot write in lock directory %s: %s",
                             claim->dir, strerror(errno));
    if (claim->rec.mode == MODE_FLOCK && flock(claim->recfd, LOCK_EX | LOCK_NB) != 0)
        claim->rec.mode = MODE_GEN; /* ENOLCK, ENOSYS: no kernel locks here after all */
    crash_step("own line");
    rc = write_line(claim);
    crash_step("own fsync");
    if (rc == 0 && !claim->relaxed && fsync(claim->recfd) != 0)
        rc = -errno;
    if (rc != 0)
        err_set(e, rc, "cannot write a claim in %s: %s", claim->dir, err_text(rc));
    return rc;
}

/* Did our link happen although the call failed?  On NFS the reply can be lost. */
static int linked_after_all(struct claim *claim, const char *name)
{
    struct stat st;

    if (fstat(claim->recfd, &st) == 0 && st.st_nlink == 2)
        return 1;
    return record_has_nonce(claim->dirfd, name, claim->rec.nonce) == 1;
}

/*
 * Make g.N visible, complete and locked at once.
 * Status: 0; -EEXIST somebody was faster; -EOPNOTSUPP no links here; other errnos with a
 * sentence.
 */
static int publish_link(struct claim *claim, const char *name, struct err *e)
{
    char temp[8 + RECORD_NONCE];
    int rc;

    snprintf(temp, sizeof temp, "t.%s", claim->rec.nonce);
    rc = write_record(claim, temp, e);
    if (rc != 0)
        goto fail;
    crash_step("claim");
    rc = linkat(claim->dirfd, temp, claim->dirfd, name, 0) == 0 ? 0 : -errno;
    if (rc != 0 && linked_after_all(claim, name))
        rc = 0;
    if (rc == -EPERM || rc == -ENOSYS || rc == -EMLINK)
        rc = -EOPNOTSUPP;
    if (rc != 0)
        goto fail;
    crash_step("own temporary");
    unlinkat(claim->dirfd, temp, 0);
    return 0;
fail:
    drop_temp(claim, temp);
    if (rc != -EEXIST && rc != -EOPNOTSUPP)
        err_set(e, rc, "cannot claim in %s: %s", claim->dir, err_text(rc));
    return rc;
}

/* For file systems without link(2).  While the record is being written others see an opaque
 * one. */
static int publish_excl(struct claim *claim, const char *name, struct err *e)
{
    int rc = write_record(claim, name, e);

    if (rc == -EEXIST && record_has_nonce(claim->dirfd, name, claim->rec.nonce) == 1)
        rc = 0;
    if (rc != 0 && rc != -EEXIST && claim->recfd != -1)
        drop_temp(claim, name); /* ours by O_EXCL, and nobody can have judged it yet */
    return rc;
}

static int publish(struct claim *claim, struct err *e)
{
    char name[RECORD_NAME];
    int rc = -EOPNOTSUPP;

    record_name(name, 'g', claim->rec.gen);
    if (claim->rec.mode != MODE_EXCL)
        rc = publish_link(claim, name, e);
    if (rc == -EOPNOTSUPP) {
        claim->rec.mode = MODE_EXCL;
        rc = publish_excl(claim, name, e);
    }
    if (rc != 0)
        return rc;
    crash_step("own fsync of the directory");
    if (!claim->relaxed)
        fsync(claim->dirfd); /* some file systems refuse; the record itself is safe */
    rc = identify(claim->recfd, "", AT_EMPTY_PATH, &claim->dev, &claim->ino);
    if (rc != 0)
        err_set(e, rc, "cannot look at %s/%s: %s", claim->dir, name, err_text(rc));
    return rc;
}

/* Make the end marker of a generation.  -EEXIST when there is one already. */
static int mark_end(int dirfd, uint64_t gen, const char *line)
{
    char name[RECORD_NAME];
    int fd, rc;

    record_name(name, 'r', gen);
    crash_step("end");
    fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd == -1)
        return -errno;
    crash_step("own line of the end");
    rc = write_all(fd, line, strlen(line)); /* for people: the name is what counts */
    close(fd);
    return rc == -ENOSPC || rc == -EDQUOT ? 0 : rc;
}

/* After the link: is ours the newest?  A claimer that slept between its scan and its link may
 * have taken a number that had been given out, ended and collected meanwhile. */
static int confirm(struct claim *claim, const struct claim_opts *opts, struct err *e)
{
    struct generations gens;
    int rc = scan(claim, &gens);

    if (rc != 0)
        return err_set(e, rc, "cannot read lock directory %s: %s", claim->dir,
                       err_text(rc));
    if (gens.top != claim->rec.gen) {
        mark_end(claim->dirfd, claim->rec.gen, "released overtaken before it began\n");
        return err_set(e, -EBUSY,
                       "%s: generation %" PRIu64 " came while claiming %" PRIu64,
                       claim->rec.group, gens.top, claim->rec.gen);
    }
    forget_old(claim->dirfd, claim->recfd, &gens, claim->rec.gen, opts->keep);
    return 0;
}

/*
 * The newest generation is in the kept file g.`series` and free.  Processes of an earlier
 * version may still claim in that file, under its kernel lock, as long as it also has the name
 * `k`: remove that name while holding the lock, then look again.
 * Status: 0 nobody can claim in it any more; -EEXIST look again; other errnos with a sentence.
 */
static int leave_kept(struct claim *claim, uint64_t series, struct err *e)
{
    char name[RECORD_NAME];
    int fd, rc = 0;

    record_name(name, 'g', series);
    fd = openat(claim->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    crash_step("leave");
    if (fd == -1 || flock(fd, LOCK_SH | LOCK_NB) != 0 ||
        unlinkat(claim->dirfd, "k", 0) == 0)
        rc = -EEXIST;
    else if (errno != ENOENT)
        rc = err_set(e, -errno, "cannot remove %s/k: %s", claim->dir, strerror(errno));
    if (fd != -1)
        close(fd);
    return rc;
}

/* One round: look, link, look again.  -EEXIST: somebody was faster. */
static int try_once(struct claim *claim, const struct claim_opts *opts, struct err *e)
{
    const struct lockfs *fs = &claim->fs;
    struct generations gens;
    struct lock_view view;
    int rc;

    claim->rec.after = 0;
    lockfs_get(claim->dirfd, &claim->fs);
    snprintf(claim->rec.fs, sizeof claim->rec.fs, "%s", fs->type);
    rc = scan(claim, &gens);
    if (rc == 0)
        rc = observer_judge(opts->observer, claim->dirfd, claim->rec.group, fs, &gens,
                            &view);
    if (rc != 0) /* perhaps a file was deleted between our two looks: look anew */
        rc = observer_look(opts->observer, claim->dirfd, claim->rec.group, &view, e);
    if (rc == 0 && view.state == LOCK_DEAD && owner_same_boot(&view.rec.owner))
        orphan_kill(view.rec.nonce);
    if (rc == 0)
        rc = may_take(&view, opts, &claim->rec, e);
    if (rc == 0 && view.kept != 0)
        rc = leave_kept(claim, view.kept, e);
    if (rc != 0)
        return rc;
    if (fs->mode == MODE_REFUSE)
        return err_set(
            e, -ENOTSUP,
            "%s: file names are not exclusive on this %s file system, nothing "
            "can be claimed here",
            claim->dir, fs->type);
    claim->rec.mode = fs->mode;
    claim->rec.gen = (view.gens.top > opts->above ? view.gens.top : opts->above) + 1;
    rc = publish(claim, e);
    return rc == 0 ? confirm(claim, opts, e) : rc;
}

static int honour_legacy(struct claim *claim, const struct claim_opts *opts,
                         struct err *e)
{
    struct legacy_view view;
    char path[4096];
    int rc;

    if (snprintf(path, sizeof path, "%s.lock", claim->dir) >= (int)sizeof path)
        return err_set(e, -ENAMETOOLONG, "lock directory's name is too long: %.100s...",
                       claim->dir);
    if (opts->foreign)
        return legacy_acquire(&claim->other, path, e);
    rc = legacy_look(AT_FDCWD, path, &view, e);
    if (rc == 0 && (view.state == LEGACY_ACTIVE || view.state == LEGACY_OPAQUE))
        rc = err_set(e, -EBUSY, "%s is held by another program through %s: %s",
                     claim->rec.group, path, view.why);
    return rc;
}

int claim_acquire(struct claim **out, const char *dir, const char *group,
                  const struct claim_opts *opts, struct err *e)
{
    static const struct claim_opts none;
    struct claim *claim = mem_calloc(1, sizeof *claim);
    size_t n = strlen(dir);
    int rc;

    *out = NULL;
    claim->dir = mem_strdup(dir);
    while (n > 1 && claim->dir[n - 1] == '/')
        claim->dir[--n] = '\0';
    claim->dirfd = claim->recfd = claim->beatfd = -1;
    if (opts == NULL)
        opts = &none;
    claim->relaxed = opts->relaxed;
    rc = record_init(&claim->rec, e);
    if (rc != 0)
        goto fail;
    text_escape(claim->rec.group, sizeof claim->rec.group, group);
    text_escape(claim->rec.task, sizeof claim->rec.task,
                opts->task != NULL ? opts->task : "");
    claim->rec.lease_s = opts->lease_s > 0 ? opts->lease_s : 60;
    claim->rec.heartbeat_s = opts->heartbeat_s > 0 ? opts->heartbeat_s : 15;
    rc = open_dir(claim, e);
    if (rc == 0)
        rc = honour_legacy(claim, opts, e);
    if (rc != 0)
        goto fail;
    for (int i = 0; i < ATTEMPTS; i++) {
        rc = try_once(claim, opts, e);
        if (rc != -EEXIST)
            break;
    }
    if (rc == -EEXIST)
        rc = err_set(e, -EBUSY,
                     "%s is being claimed by others, who were faster each time",
                     claim->rec.group);
    if (rc != 0)
        goto fail;
    claim->last_beat_s = clock_boot_s();
    *out = claim;
    return 0;
fail:
    claim_free(claim);
    return rc;
}

uint64_t claim_generation(const struct claim *claim)
{
    return claim->rec.gen;
}

const char *claim_mark(const struct claim *claim)
{
    return claim->rec.nonce;
}

double claim_silence_s(const struct claim *claim)
{
    return clock_boot_s() - claim->last_beat_s;
}

static int lost(const struct claim *claim, struct err *e, const char *why)
{
    return err_set(e, ERR_LOST, "claim %" PRIu64 " of %s is lost: %s", claim->rec.gen,
                   claim->rec.group, why);
}

/* Does g.N still name our file?  A stale handle (ESTALE) proves nothing: ask again. */
static int still_there(const struct claim *claim, struct err *e)
{
    char name[RECORD_NAME];
    dev_t dev = 0;
    ino_t ino = 0;
    int rc = 0;

    record_name(name, 'g', claim->rec.gen);
    crash_look("still there?");
    for (int i = 0; i < 3; i++) {
        rc = identify(claim->dirfd, name, AT_SYMLINK_NOFOLLOW, &dev, &ino);
        if (rc != -ESTALE)
            break;
    }
    if (rc == -ENOENT || (rc == 0 && (dev != claim->dev || ino != claim->ino)))
        return lost(claim, e, "its record was deleted");
    if (rc != 0)
        return err_set(e, rc, "cannot look at %s/%s: %s", claim->dir, name,
                       err_text(rc));
    return 0;
}

static int check(const struct claim *claim, struct generations *gens, struct err *e)
{
    char why[80];
    int rc = still_there(claim, e);

    if (rc != 0)
        return rc;
    rc = scan(claim, gens);
    if (rc != 0)
        return err_set(e, rc, "cannot read lock directory %s: %s", claim->dir,
                       err_text(rc));
    if (gens->g > claim->rec.gen || gens->c > claim->rec.gen) {
        snprintf(why, sizeof why, "generation %" PRIu64 " has taken over", gens->top);
        return lost(claim, e, why);
    }
    if (gens->ended)
        return lost(claim, e, "it was broken");
    return 0;
}

int claim_check(struct claim *claim, struct err *e)
{
    struct generations gens;

    return check(claim, &gens, e);
}

static int beat(struct claim *claim, struct err *e)
{
    char name[RECORD_NAME], text[48];
    int n;

    record_name(name, 'h', claim->rec.gen);
    if (claim->beatfd == -1) {
        crash_step("beat");
        claim->beatfd = openat(claim->dirfd, name,
                               O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    }
    n = snprintf(text, sizeof text, "%" PRIu64 " %-20" PRIu64 "\n", claim->rec.gen,
                 claim->beats + 1);
    crash_step("beat");
    if (claim->beatfd == -1 || pwrite(claim->beatfd, text, (size_t)n, 0) != n)
        return err_set(e, errno != 0 ? -errno : -EIO,
                       "cannot write heartbeat %s/%s: %s", claim->dir, name,
                       strerror(errno));
    claim->beats++;
    claim->last_beat_s = clock_boot_s();
    return 0;
}

int claim_heartbeat(struct claim *claim, struct err *e)
{
    int rc = claim_check(claim, e);

    return rc == 0 ? beat(claim, e) : rc;
}

static int may_commit(struct claim *claim, struct generations *gens, struct err *e)
{
    if (claim_silence_s(claim) > claim->rec.lease_s) {
        int rc = claim_heartbeat(claim, e);

        if (rc != 0)
            return rc;
    }
    return check(claim, gens, e);
}

int claim_may_commit(struct claim *claim, struct err *e)
{
    struct generations gens;

    return may_commit(claim, &gens, e);
}

/* The commit marker exists.  Did we make it, in an earlier call or in one whose reply was
 * lost? */
static int commit_again(struct claim *claim, const char *name, struct err *e)
{
    int ours = record_has_nonce(claim->dirfd, name, claim->rec.nonce);

    return ours == 1 ? 0 : lost(claim, e, "its commit marker is another's");
}

int claim_commit(struct claim *claim, struct err *e)
{
    char name[RECORD_NAME], line[RECORD_NONCE + 1];
    struct generations gens;
    int fd, rc;

    rc = may_commit(claim, &gens, e);
    if (rc != 0)
        return rc;
    record_name(name, 'c', claim->rec.gen);
    snprintf(line, sizeof line, "%s\n", claim->rec.nonce);
    crash_step("commit");
    fd = openat(claim->dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd == -1 && errno == EEXIST)
        return commit_again(claim, name, e);
    rc = fd == -1 ? -errno : write_all(fd, line, strlen(line));
    crash_step("own fsync of the commit");
    if (rc == 0 && fsync(fd) != 0)
        rc = -errno;
    if (fd != -1)
        close(fd);
    if (rc != 0)
        return err_set(e, rc, "cannot write commit marker %s/%s: %s", claim->dir, name,
                       err_text(rc));
    crash_step("own fsync of the directory");
    fsync(claim->dirfd);
    rc = scan(claim, &gens);
    if (rc == 0 && gens.c > claim->rec.gen)
        return lost(claim, e, "a later generation has committed");
    return rc;
}

int claim_release(struct claim *claim, const char *outcome, struct err *e)
{
    char line[64];
    int rc;

    if (claim == NULL)
        return 0;
    rc = claim_check(claim, e);
    if (rc == 0) {
        snprintf(line, sizeof line, "%.20s %s\n", outcome, claim->rec.nonce);
        rc = mark_end(claim->dirfd, claim->rec.gen, line);
        if (rc == -EEXIST || rc == -ENOENT)
            rc = lost(claim, e, "it was broken");
        else if (rc != 0)
            err_set(e, rc, "cannot mark the end of claim %" PRIu64 " in %s: %s",
                    claim->rec.gen, claim->dir, err_text(rc));
    }
    crash_step("let go");
    claim_free(claim);
    return rc;
}

int claim_break(int dirfd, uint64_t gen, const char *evidence, struct err *e)
{
    struct owner me;
    char line[512];
    int rc = owner_self(&me, e);

    if (rc != 0)
        return rc;
    snprintf(line, sizeof line, "broken-by %s %s %" PRId64 ": %s\n", me.machine,
             me.host, me.pid, evidence);
    rc = mark_end(dirfd, gen, line);
    if (rc != 0)
        return err_set(e, rc, "cannot end generation %" PRIu64 ": %s", gen,
                       err_text(rc));
    return 0;
}
