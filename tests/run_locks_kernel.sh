#!/bin/bash
# A kernel and file servers that answer oddly: LD_PRELOAD puts itself in between.
# matrix: locks 12 flock not supported
# matrix: locks 14 stale handles
# matrix: locks 15 reply of link lost
# matrix: locks 17 no quota left for the record
# matrix: locks 18 no inodes left
. tests/locks_rig.sh
cat >odd.c <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int odd(const char *what)
{
    const char *e = getenv("ODD");

    return e != NULL && strcmp(e, what) == 0;
}

int flock(int fd, int op)
{
    (void)fd, (void)op;
    errno = odd("enosys") ? ENOSYS : ENOLCK;
    if (odd("enosys") || odd("enolck"))
        return -1;
    return ((int (*)(int, int))dlsym(RTLD_NEXT, "flock"))(fd, op);
}

/* No quota for what a lock directory would hold; our own output goes on. */
ssize_t write(int fd, const void *buf, size_t n)
{
    if (fd > 2 && odd("edquot")) {
        errno = EDQUOT;
        return -1;
    }
    return ((ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write"))(fd, buf, n);
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t at)
{
    if (odd("edquot")) {
        errno = EDQUOT;
        return -1;
    }
    return ((ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite"))(fd, buf, n, at);
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off_t at)
{
    return pwrite(fd, buf, n, at);
}

int linkat(int a, const char *from, int b, const char *to, int flags)
{
    int rc = ((int (*)(int, const char *, int, const char *, int))dlsym(RTLD_NEXT, "linkat"))(
        a, from, b, to, flags);

    if (rc == 0 && odd("link-eexist")) {
        errno = EEXIST;
        return -1;
    }
    if (rc == 0 && odd("link-eio")) {
        errno = EIO;
        return -1;
    }
    if (odd("no-link")) {
        if (rc == 0)
            unlinkat(b, to, 0);
        errno = EPERM;
        return -1;
    }
    return rc;
}

/* Every first (stale-once) or every (stale) reading of a directory or record meets ESTALE. */
int openat(int dir, const char *path, int flags, ...)
{
    static int count;
    va_list ap;
    int mode;

    va_start(ap, flags);
    mode = va_arg(ap, int);
    va_end(ap);
    if (!(flags & O_CREAT) && strncmp(path, "..", 2) != 0 &&
        (odd("stale") || (odd("stale-once") && count++ % 2 == 0))) {
        errno = ESTALE;
        return -1;
    }
    return ((int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat"))(dir, path, flags,
                                                                              mode);
}
C
${CC:-cc} -shared -fPIC -o odd.so odd.c -ldl || skip "no compiler for the interposer"
sanitized && skip "sanitizers do not like LD_PRELOAD"
odd() { # WHAT COMMAND...
    local what=$1
    shift
    ODD=$what LD_PRELOAD=$rig/odd.so "$@"
}

for what in enosys enolck; do
    odd $what "$lockctl" run d $what -- true || fail "$what: not claimable"
    grep -q '"mode":"gen"' d/$what/g.1 || fail "$what: $(cat d/$what/g.1)"
    odd $what "$lockctl" doctor d --dry-run | grep -qx 'mode: gen' || fail "$what: doctor"
done

for what in link-eexist link-eio; do
    odd $what "$lockctl" run d $what -- true || fail "$what: the claim was ours"
    [ "$(ls d/$what | tr '\n' ' ')" = "g.1 r.1 " ] || fail "$what left $(ls d/$what)"
done

# without links: by O_EXCL, and still one at a time
start env ODD=no-link "LD_PRELOAD=$rig/odd.so" "$lockctl" run d nl --heartbeat 0.05 -- sleep 3600
until_true test -s d/nl/h.1
grep -q '"mode":"excl"' d/nl/g.1 || fail "no-link: $(cat d/nl/g.1)"
odd no-link "$lockctl" run d nl -- true 2>/dev/null
[ $? = 75 ] || fail "no-link: two holders"
kill_hard "$pid"
odd no-link "$lockctl" run d nl -- true || fail "no-link: a dead owner stays"
[ -e d/nl/g.2 ] || fail "no-link: no second generation"
odd no-link "$lockctl" doctor d --dry-run | grep -qx 'mode: excl' || fail "no-link: doctor"

start "$lockctl" run d st --heartbeat 0.05 -- sleep 3600
until_true test -s d/st/h.1
odd stale-once "$lockctl" run d st -- true 2>err
[ $? = 75 ] || fail "stale once: $(cat err)"
odd stale "$lockctl" run d st -- true 2>err
[ $? = 74 ] && grep -q 'Stale' err || fail "stale for good must be an error, never free: $(cat err)"
[ ! -e d/st/g.2 ] || fail "a stale handle was taken for a free group"
kill_hard "$pid"

# 17: no quota for a new record
odd edquot "$lockctl" run d quota -- true 2>err && fail "claimed without quota"
grep -q 'quota exceeded' err || fail "no quota: $(cat err)"
[ -z "$(ls -A d/quota)" ] || fail "no quota left $(ls -A d/quota)"
"$lockctl" run d quota -- true || fail "not claimable when there is quota again"

# 18: a file system without a free inode
[ "$(id -u)" = 0 ] && mkdir small && mount -t tmpfs -o nr_inodes=8 none small 2>/dev/null ||
    skip "all but inode exhaustion passed: cannot mount a tmpfs"
mounts+=("$rig/small")
mkdir -p small/d/g
n=0
while : >"small/fill$n"; do n=$((n + 1)); done 2>/dev/null
"$lockctl" run small/d g -- true 2>err && fail "claimed without an inode for it"
grep -q 'No space left' err || fail "no inodes: $(cat err)"
[ -z "$(ls -A small/d/g)" ] || fail "no inodes: $(ls small/d/g)"
rm small/fill*
"$lockctl" run small/d g -- true || fail "not claimable when inodes are back"
exit 0
