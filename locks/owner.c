/* owner.c: see owner.h. */
#include "locks/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/err.h"
#include "locks/lockfs.h"
#include "locks/machine.h"

#ifndef VERSION
#define VERSION "0"
#endif

#define TIME_INIT_INO 0xEFFFFFFAU /* the first time namespace, linux/proc_ns.h */
#define PID_FS_MAGIC  0x50494446  /* "PIDF", linux/magic.h from 6.9 on */
#define BOOTS_MAX     65536       /* bytes of history read: the last 900 boots */

/* This process, read once (owner_self); `self_pid` tells a forked child that it is stale. */
static pthread_mutex_t self_lock = PTHREAD_MUTEX_INITIALIZER;
static struct owner self;
static pid_t self_pid;
/* The boot history, read once with it: lines of "MACHINE BOOT". */
static char boots[BOOTS_MAX + 1];
static char boots_path[4096] = OWNER_STATE "/boots"; /* set once, by owner_set_boots */

static const char *fake_proc(void)
{
    const char *root = getenv("WATCHERD_PROC");

    return root != NULL && root[0] != '\0' ? root : NULL;
}

/* Read a small file whole, without its last newline; its length, or a negated errno. */
static ssize_t slurp(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd == -1)
        return -errno;
    n = read(fd, buf, size - 1);
    if (n < 0)
        n = -errno;
    close(fd);
    if (n < 0)
        return n;
    if (n > 0 && buf[n - 1] == '\n')
        n--;
    buf[n] = '\0';
    return n;
}

static ssize_t slurp_proc(const char *name, char *buf, size_t size)
{
    const char *root = fake_proc();
    char path[4096];
    ssize_t n;

    if (root != NULL) {
        snprintf(path, sizeof path, "%s/%s", root, name);
        n = slurp(path, buf, size);
        if (n >= 0)
            return n;
    }
    snprintf(path, sizeof path, "/proc/%s", name);
    return slurp(path, buf, size);
}

/* The inode of the namespace ("pid", "time") in which we live; 0 unknown. */
static uint64_t own_namespace(const char *kind)
{
    const char *root = fake_proc(), *digits;
    char path[4096], text[64] = "";
    ssize_t n = -1;

    if (root != NULL) {
        snprintf(path, sizeof path, "%s/self/ns/%s", root, kind);
        n = readlink(path, text, sizeof text - 1);
    }
    if (n < 0) {
        snprintf(path, sizeof path, "/proc/self/ns/%s", kind);
        n = readlink(path, text, sizeof text - 1);
    }
    if (n < 0)
        return 0;
    text[n] = '\0';
    digits = strchr(text, '[');
    return digits != NULL ? strtoull(digits + 1, NULL, 10) : 0;
}

uint64_t owner_timens(void)
{
    return own_namespace("time");
}

/* Does /proc show start times as the kernel counts them? */
static int true_starts(void)
{
    uint64_t ns = owner_timens();

    return ns == 0 || ns == TIME_INIT_INO;
}

/* What /proc/PID/stat says of a process. */
struct stat_line {
    char state;     /* field 3 */
    long threads;   /* field 20 */
    uint64_t start; /* field 22, ticks */
};

static int read_stat_line(int64_t pid, struct stat_line *out)
{
    const char *root = fake_proc();
    char path[4096], text[1024], *p, *rest;
    ssize_t n;

    snprintf(path, sizeof path, "%s/%" PRId64 "/stat", root != NULL ? root : "/proc",
             pid);
    n = slurp(path, text, sizeof text);
    if (n < 0)
        return (int)n;
    p = strrchr(text, ')'); /* the name before it may hold anything, ')' too */
    if (p == NULL || p[1] != ' ' || p[2] == '\0')
        return -EPROTO;
    out->state = p[2];
    p += 3;
    for (int field = 4; field <= 22; field++) {
        unsigned long long value = strtoull(p, &rest, 10);

        if (rest == p)
            return -EPROTO;
        if (field == 20)
            out->threads = (long)value;
        if (field == 22)
            out->start = value;
        p = rest;
    }
    return 0;
}

/* 0 where pidfds have no inode of their own.  With a fake /proc the file PID/pidfs says. */
static uint64_t pidfs_inode(int64_t pid)
{
    const char *root = fake_proc();
    struct statfs fs;
    struct stat st;
    uint64_t ino = 0;
    int fd;

    if (root != NULL) {
        char path[4096], text[32];

        snprintf(path, sizeof path, "%s/%" PRId64 "/pidfs", root, pid);
        return slurp(path, text, sizeof text) > 0 ? strtoull(text, NULL, 10) : 0;
    }
    fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (fd == -1)
        return 0;
    if (fstatfs(fd, &fs) == 0 && fs.f_type == PID_FS_MAGIC && fstat(fd, &st) == 0)
        ino = st.st_ino;
    close(fd);
    return ino;
}

static int history_has(const char *machine, const char *boot)
{
    char line[OWNER_ID + OWNER_BOOT + 2];

    if (machine[0] == '\0' || boot[0] == '\0')
        return 0;
    snprintf(line, sizeof line, "%s %s\n", machine, boot);
    return strstr(boots, line) != NULL;
}

/* Read the history and add this boot to it.  A machine that cannot keep one goes without. */
static void keep_history(const struct owner *me)
{
    const char *path = getenv("WATCHERD_BOOTS");
    char line[OWNER_ID + OWNER_BOOT + 2];
    struct stat st;
    off_t from;
    ssize_t n;
    int fd;

    boots[0] = '\0';
    if (path == NULL)
        path = boots_path;
    if (path[0] == '\0' || me->machine[0] == '\0')
        return;
    fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
              0644);
    if (fd == -1)
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd == -1)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && lockfs_is_local(fd)) {
        from = st.st_size > BOOTS_MAX ? st.st_size - BOOTS_MAX : 0;
        n = pread(fd, boots, BOOTS_MAX, from);
        boots[n > 0 ? n : 0] = '\0';
        snprintf(line, sizeof line, "%s %s\n", me->machine, me->boot);
        if (strstr(boots, line) == NULL && write(fd, line, strlen(line)) > 0)
            fsync(fd);
    }
    close(fd);
}

static int read_self(struct owner *me, struct err *e)
{
    struct stat_line line = {0};
    ssize_t n;

    memset(me, 0, sizeof *me);
    n = slurp_proc("sys/kernel/random/boot_id", me->boot, sizeof me->boot);
    if (n <= 0)
        return err_set(e, n < 0 ? (int)n : -EIO, "cannot read the boot id in /proc: %s",
                       n < 0 ? err_text((int)n) : "it is empty");
    machine_id(me->machine);
    if (gethostname(me->host, sizeof me->host - 1) != 0)
        snprintf(me->host, sizeof me->host, "unknown");
    me->pid = getpid();
    if (read_stat_line(me->pid, &line) == 0 && true_starts())
        me->start = line.start;
    me->pidfs = pidfs_inode(me->pid);
    me->pidns = own_namespace("pid");
    me->uid = (uint32_t)geteuid();
    snprintf(me->exe, sizeof me->exe, "%.48s %.12s", program_invocation_short_name,
             VERSION);
    return 0;
}

void owner_set_boots(const char *path)
{
    struct owner me;

    if (path == NULL)
        path = OWNER_STATE "/boots";
    pthread_mutex_lock(&self_lock);
    snprintf(boots_path, sizeof boots_path, "%s",
             strlen(path) < sizeof boots_path ? path : "");
    self_pid = 0; /* read and note it anew */
    pthread_mutex_unlock(&self_lock);
    owner_self(&me, NULL);
}

static _Thread_local const struct owner *pretended; /* set by tests only */

void owner_pretend(const struct owner *me)
{
    pretended = me;
}

int owner_self(struct owner *out, struct err *e)
{
    int rc = 0;

    if (pretended != NULL) {
        *out = *pretended;
        return 0;
    }
    pthread_mutex_lock(&self_lock);
    if (self_pid != getpid()) {
        rc = read_self(&self, e);
        if (rc == 0) {
            keep_history(&self);
            self_pid = getpid();
        }
    }
    if (rc == 0)
        *out = self;
    pthread_mutex_unlock(&self_lock);
    return rc;
}

static enum owner_life verdict(enum owner_life life, char why[OWNER_WHY],
                               const char *text)
{
    snprintf(why, OWNER_WHY, "%s", text);
    return life;
}

/* Of a process of our own boot and PID namespace. */
static enum owner_life judge_process(const struct owner *who, char why[OWNER_WHY])
{
    struct stat_line line;
    uint64_t pidfs;
    int rc;

    if (who->pid <= 0 || who->pid > INT32_MAX)
        return verdict(OWNER_UNKNOWN, why, "its process id is impossible");
    if (fake_proc() == NULL && kill((pid_t)who->pid, 0) != 0 && errno == ESRCH)
        return verdict(OWNER_DEAD, why, "process no longer exists");
    pidfs = pidfs_inode(who->pid);
    if (who->pidfs != 0 && pidfs != 0 && pidfs != who->pidfs)
        return verdict(OWNER_DEAD, why, "process id now belongs to another process");
    rc = read_stat_line(who->pid, &line);
    if (rc == -ENOENT && fake_proc() != NULL)
        return verdict(OWNER_DEAD, why, "process no longer exists");
    if (rc != 0) /* it ended just now, or /proc hides other users' processes */
        return who->pidfs != 0 && pidfs == who->pidfs
                   ? verdict(OWNER_ALIVE, why, "process is running")
                   : verdict(OWNER_UNKNOWN, why, "process cannot be looked at");
    if (who->start != 0 && line.start != who->start && true_starts())
        return verdict(OWNER_DEAD, why, "process id now belongs to another process");
    if ((line.state == 'Z' && line.threads <= 1) || line.state == 'X')
        return verdict(OWNER_DEAD, why, "process has ended and was not waited for");
    if (line.state == 'T' || line.state == 't')
        return verdict(OWNER_UNKNOWN, why, "process is stopped");
    if ((who->start == 0 || !true_starts()) && (who->pidfs == 0 || pidfs == 0))
        return verdict(OWNER_UNKNOWN, why,
                       "process id exists, its start is not recorded");
    return verdict(OWNER_ALIVE, why, "process is running");
}

enum owner_life owner_judge(const struct owner *who, char why[OWNER_WHY])
{
    struct owner me;

    if (owner_self(&me, NULL) != 0)
        return verdict(OWNER_UNKNOWN, why, "this process cannot read its own /proc");
    if (strcmp(who->boot, me.boot) != 0) {
        if (strcmp(who->machine, me.machine) == 0 && history_has(me.machine, who->boot))
            return verdict(OWNER_DEAD, why, "machine was rebooted since");
        return verdict(OWNER_UNKNOWN, why,
                       strcmp(who->machine, me.machine) == 0
                           ? "boot is not known to this machine (a cloned image?)"
                           : "on another machine");
    }
    if (who->pidns == 0 || who->pidns != me.pidns)
        return verdict(OWNER_UNKNOWN, why, "in another PID namespace");
    return judge_process(who, why);
}

int owner_same_boot(const struct owner *who)
{
    struct owner me;

    return owner_self(&me, NULL) == 0 && strcmp(me.boot, who->boot) == 0;
}
