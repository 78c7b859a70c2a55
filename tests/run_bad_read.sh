#!/bin/bash
# A disk that cannot read one file back (EIO): it is bad with its reason, the others go on; delivered again on a
# sound disk, its group is done.
# matrix: watch 17 EIO
# shellcheck source=tests/lib.sh disable=SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
! grep -qc __asan_init "$build/watcherd" || skip "sanitizers do not like LD_PRELOAD"
own_dir bad-read
cat >eio.c <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Files whose name holds $EIO cannot be read, as long as the file $EIO_WHILE is there. */
ssize_t pread(int fd, void *buf, size_t n, off_t at)
{
    char path[64], name[4096];
    ssize_t m;

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    m = readlink(path, name, sizeof name - 1);
    name[m > 0 ? m : 0] = '\0';
    if (strstr(name, getenv("EIO")) != NULL && access(getenv("EIO_WHILE"), F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    return ((ssize_t (*)(int, void *, size_t, off_t))dlsym(RTLD_NEXT, "pread"))(fd, buf, n, at);
}

ssize_t pread64(int fd, void *buf, size_t n, off_t at)
{
    return pread(fd, buf, n, at);
}
C
${CC:-cc} -shared -fPIC -o eio.so eio.c -ldl || skip "no compiler for the interposer"
settings '[calibration]' 'calibrator = none' '[group]' 'expected = 3' '[mosaic]' 'tiles = 9'
g=2026-01-26T08:01:58 h=2026-01-26T09:00:00
for t in "$g" "$h"; do simulate made "$t" --jitter none --subbands 3; done
touch while
export EIO="${g}_sb01" EIO_WHILE=$dir/while LD_PRELOAD=$dir/eio.so
start
unset LD_PRELOAD
cp made/* in/
wait_for log "event=bad_file .*${g}_sb01[^ ]* .*reason=\"[^\"]*Input/output error"
wait_for log "event=done .*$h"
lines 1 "event=bad_file"
lines 0 "event=start .*$g"
"$build/watcherd" why "$g" -c w.conf >out && fail "why: exit 0"
grep -q '2 of 3 members have settled; sb01 bad: cannot be read: Input.output error' out || fail "why: $(cat out)"
rm while
cp made/"${g}_sb01.hdf5" in/again_incomplete.hdf5
mv in/again_incomplete.hdf5 in/"${g}_sb01.hdf5"
wait_for log "event=done .*$g"
stop
[ $rc -eq 0 ] || fail "exit $rc"
