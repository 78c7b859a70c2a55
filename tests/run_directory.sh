#!/bin/bash
# [group] pattern = directory: each directory below incoming is one group, once, when all of it is whole.
set -eu
. "$(dirname "$0")/lib.sh"
own_dir directory
settings '[group]' 'pattern = directory' '[watch]' 'stabilization_time_s = 0.4' 'rescan_s = 0.2' '[mosaic]' 'tiles = 9' \
    '[workers]' 'max_retries = 0'
W=$build/watcherd
simulate made 2026-01-26T08:01:58 --jitter none --subbands 1
h5=$(echo made/*.hdf5)

why() { # why STATUS PATTERN NAME: ask until the first line matches
    local want=$1 got=0 end=$((SECONDS + patience_s))
    while [ $SECONDS -lt $end ]; do
        got=0
        "$W" why "$3" -c w.conf >out 2>&1 || got=$?
        ! head -1 out | grep -q -E -e "$2" || break
        read -r -t 0.05 <&9 || true
    done
    head -1 out | grep -q -E -e "$2" || fail "why $3: $(cat out), expected $2"
    [ "$got" -eq "$want" ] || fail "why $3: exit $got, expected $want"
    head -1 out
}
mkfifo never
exec 9<>never
start

# Filled slowly by two writers, each with a file open, in folders below; a third file is whole.
mkdir -p in/slow/scan1/deep in/empty in/later_incomplete
cp "$h5" in/later_incomplete/a.hdf5
exec 7>in/slow/scan1/deep/a.csv 8>in/slow/b.dat
echo x >in/slow/c.csv
echo "1,2" >&7
: >in/slow/EMPTY
why 1 '^slow: not done: the directory: [12] of 4 files have settled; (scan1/deep/a.csv|b.dat) growing: ' slow
why 1 '^slow: not done' in/slow/scan1/deep/a.csv
grep -q 'file .*/a.csv: growing' out || fail "the file's line: $(cat out)"

# Truncated: it never becomes a group.
mkdir in/broken
echo y >in/broken/fine.csv
head -c 5000 "$h5" >in/broken/cut.hdf5
wait_for log 'event=bad_file .*broken/cut.hdf5'
why 1 'not done: the directory: 1 of 2 files have settled; cut.hdf5 bad: .*5000' broken

# Moved in whole, with folders below.
mkdir -p made/whole.obs/a/b
echo 1 >made/whole.obs/1.txt
echo 2 >made/whole.obs/a/b/2.txt
mv made/whole.obs in/
wait_for log 'event=group_complete group=whole.obs files=1 queued=yes'
lines 0 'event=group_complete group=slow'

# One writer ends: still not; then the other.
exec 7>&-
why 1 'the directory: 3 of 4 files have settled; b.dat growing' slow
lines 0 'event=group_complete group=slow'
echo end >&8
exec 8>&-
wait_for log 'event=group_complete group=slow files=1 queued=yes'
[ "$(sql root/state/queue.sqlite3 "select params from t_tasks where task_key = 'slow'")" = \
    "{\"files\":[\"$dir/in/slow\"]}" ] || fail "params: $(sql root/state/queue.sqlite3 'select params from t_tasks')"

# The pipeline for UVH5 files says in one sentence that it is none.
wait_for log 'event=task_failed .*group=slow .*not a regular file'

# A Measurement Set waits for its table.dat.
mkdir in/x.ms
echo 1 >in/x.ms/table.f0
why 1 'the directory: waiting: table.dat is missing' x.ms
lines 0 'event=group_complete group=x.ms'
echo 1 >in/x.ms/table.dat
wait_for log 'event=group_complete group=x.ms'

# Rewritten inside: again.  Read (casacore's readers write into table.lock): not.
twice() { [ "$(count 'event=group_complete group=whole.obs')" -eq 2 ]; }
echo 22 >in/whole.obs/a/b/2.txt
until_true twice
echo x >in/x.ms/table.lock
# Mended: a group.
cp "$h5" in/broken/cut.hdf5
wait_for log 'event=task_failed .*group=broken'
# A file beside the directories is in none; the empty directory and the one in the making are none.
echo 1 >in/beside.csv

# batchctl names the same groups.
"$build/batchctl" check -c w.conf --names >names || true
printf '%s\n' broken slow whole.obs x.ms >want
diff want names || fail "batchctl's names"
sql root/state/queue.sqlite3 'select task_key from t_tasks order by 1' | diff want - || fail "the daemon's names"
lines 5 'event=group_complete'
lines 1 'event=group_complete group=slow'
lines 1 'event=group_complete group=x.ms'
lines 1 'event=group_complete group=broken'
stop

# Asked without a daemon, the disk says the same; --once ends.
mkdir in/z
echo 1 >in/z/1.txt
why 69 '^z: not done: it is complete' z
once
lines 1 'event=group_complete group=z'
lines 6 'event=group_complete'
