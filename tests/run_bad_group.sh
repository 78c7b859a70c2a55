#!/bin/bash
# Groups that are not (yet) what they should be: a missing sub-band, a duplicate one, a file that is
# still being written or still has its unfinished name.  The group beside them is not held up.
# shellcheck source=tests/lib.sh disable=SC2010,SC2012,SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir bad-group
settings '[group]' 'deadline_s = 1' '[watch]' 'max_wait_s = 1' '[mosaic]' 'tiles = 9'
good=2026-01-26T08:01:58
bad=2026-01-26T09:00:00
simulate made "$good" --jitter none
simulate made "$bad" --jitter none

# Missing: 13 of 16.  Held, and said once with the list, until the others come.
cp -p made/"$good"_* made/"$bad"_* in/
mkdir late
mv in/"$bad"_sb0[37].hdf5 in/"$bad"_sb11.hdf5 late/
sums in >before
start
wait_for log 'event=partial'
wait_for log "event=done .*$good"
# On a slow machine a second may pass between two arrivals, so that more are missing when it is said.
lines 1 "event=partial group=$bad reason=\"[0-9]+ of 16 members after 1 s, missing .*sb03.* sb07.* sb11"
lines 0 "event=start .*$bad"
sums in | cmp - before
mv late/* in/
wait_for log "event=done .*$bad"
stop
[ $rc -eq 0 ] || fail "exit $rc"
lines 1 "event=partial group=$bad"
echo "partial: $(grep -o "group=$bad reason=.* of 16.*" log)"

# The same with --once, before the deadline: left, and the exit status tells.
rm -rf root log
sed -i 's/^deadline_s = .*/deadline_s = 86400/' w.conf
mv in/"$bad"_sb0[37].hdf5 late/
once
[ $rc -eq 1 ] || fail "--once with a partial group: exit $rc"
lines 1 "event=left group=$bad reason=.*14 of 16: missing sb03 sb07;"
lines 0 'event=partial'
[ -e "root/products/tiles/$good/image.fits" ] || fail "the good group is missing"
[ ! -e "root/products/tiles/$bad" ] || fail "a partial group was published"
mv late/* in/

# Duplicate: a second sub-band 05 within the tolerance is recorded; the group is done once.
rm -rf root log
cp -p made/"$bad"_sb05.hdf5 in/2026-01-26T09:00:02_sb05.hdf5
sums in >before
once
[ $rc -eq 0 ] || fail "duplicate: exit $rc"
lines 1 "event=(duplicate|late) group=$bad file=[^ ]*_sb05.hdf5 reason="
lines 1 "event=done .*$bad"
[ "$(ls root/products/tiles | grep -c gen)" -eq 2 ] || fail "duplicate: $(ls root/products/tiles)"
sums in | cmp - before
echo "duplicate: $(grep -o -E 'event=(duplicate|late).*' log)"
rm in/2026-01-26T09:00:02_sb05.hdf5

# Still being written: h5py holds one file open, another one has its unfinished name.
rm -rf root log
mv in/"$bad"_sb09.hdf5 in/"$bad"_sb09_incomplete.hdf5
mv in/"$bad"_sb12.hdf5 late/
mkfifo tell
cat >slow.py <<'END'
import h5py, shutil, sys
with h5py.File(sys.argv[1]) as whole, h5py.File(sys.argv[2], "w") as out:
    whole.copy("Header", out)
    out.flush()
    print("open", flush=True)
    sys.stdin.readline()
    whole.copy("Data", out)
END
/usr/bin/python3 slow.py late/"$bad"_sb12.hdf5 in/"$bad"_sb12.hdf5 <tell >said 2>&1 &
writer=$!
exec 5>tell
wait_for said open
start
wait_for log "event=done .*$good"
wait_for log "event=overdue file=[^ ]*_sb12.hdf5 reason="
lines 0 "event=start .*$bad"
lines 0 'file=[^ ]*_sb09_incomplete'
echo go >&5
exec 5>&-
wait "$writer"
mv in/"$bad"_sb09_incomplete.hdf5 in/"$bad"_sb09.hdf5
wait_for log "event=done .*$bad"
lines 1 'event=overdue file=[^ ]*_sb12.hdf5'
lines 0 'event=bad'
stop
[ $rc -eq 0 ] || fail "exit $rc"
echo "still written: $(grep -o 'event=overdue file=[^ ]*_sb12.*' log)"
