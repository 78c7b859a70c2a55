#!/bin/bash
# The file system of incoming hangs, as a hard NFS mount does: the daemon still answers, takes signals
# and finishes what it has; when the file system is back nothing is lost.  And it ends while it hangs.
# matrix: locks 13 file system hangs
# shellcheck source=tests/lib.sh disable=SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
command -v bindfs >/dev/null || skip "bindfs is not installed"
[ -c /dev/fuse ] && [ "$(id -u)" = 0 ] || skip "FUSE mounts need /dev/fuse and root"
own_dir hung
settings '[calibration]' 'calibrator = none' '[group]' 'expected = 3' '[mosaic]' 'tiles = 9' '[watch]' 'rescan_s = 0.2' "also = $dir/also" '[workers]' \
    'stop_grace_s = 0'
g=2026-01-26T08:01:58 h=2026-01-26T09:00:00 k=2026-01-26T10:00:00 m=2026-01-26T11:00:00
for t in "$g" "$h" "$k" "$m"; do simulate made "$t" --jitter none --subbands 3; done
mkdir -p back also
bindfs -f back in &
fuse=$!
mounted=$dir/in
until_true mountpoint -q in
W=$build/watcherd
export WATCHERD_STUCK_AFTER_S=2 # 10 takes too long for a test

# hang, and wait until the daemon's thread is in it; unhang.
hang() {
    kill -STOP "$fuse"
    until_true stuck
}
stuck() { "$W" status -c w.conf | grep -q 'STUCK .*have not answered for'; }
unhang() { kill -CONT "$fuse"; }
# Whoever is in the file system cannot be ended before it goes on.
trap 'kill -CONT "$fuse" 2>/dev/null; end_all' EXIT

start
cp made/"$g"_sb00.hdf5 made/"$g"_sb01.hdf5 back/
until_true sh -c "'$W' why $g -c w.conf | grep -q '2 of 3'"
hang
# What is asked is answered, with what the loop knows, before the client gives up (20 s each).
cp made/"$g"_sb02.hdf5 made/"$h"_* back/
"$W" status -c w.conf --json >out
"$W" why "$g" -c w.conf >>out && fail "why: exit 0"
"$W" watch list -c w.conf >>out 2>&1 && fail "watch list: exit 0"
/usr/bin/python3 - out <<'END2' || fail "status: $(cat out)"
import json, sys
s = json.JSONDecoder().raw_decode(open(sys.argv[1]).read())[0]
assert s["ingest_stuck_s"] > 0.5 and s["files"]["settled"] == 2 and s["watch"]["roots"] == 2, s
END2
grep -q "^$g: not done: 2 of 3 members have settled; missing sb02; the watched file systems have not answered" out ||
    fail "why: $(cat out)"
grep -q '^watcherd: the watched file systems have not answered for' out || fail "watch list: $(cat out)"
"$W" watch add "$dir/also2" -c w.conf 2>out && fail "watch add while it hangs"
# Signals.
kill -HUP "$daemon"
wait_for log 'event=reload file='
# Said once, and that it is back once.
wait_for log 'event=stuck'
lines 0 "event=(settled|start) .*$h"
unhang
wait_for log 'event=unstuck'
wait_for log "event=done .*$g"
wait_for log "event=done .*$h"
lines 1 'event=stuck'
lines 2 'event=start'

# Workers are watched over meanwhile: one is killed, its task is done by the next.
cp made/"$k"_* also/
wait_for log "event=done .*$k"
noop long '{"ms": 3600000}'
wait_for log "event=start .*group=long"
hang
queue "UPDATE t_tasks SET params = '{}' WHERE task_key = 'long'" # of the next attempt
pkill -KILL -P "$daemon"
wait_for log "event=failed .*group=long .*signal 9"
wait_for log "event=done .*group=long"
lines 2 "event=start .*group=long"

if grep -qc __asan_init "$build/watcherd"; then # the leak checker would wait for the thread that hangs
    unhang
    stop
    exit 0
fi

# TERM: it ends, although its thread cannot, and whatever came meanwhile is found by the next one.
cp made/"$m"_* back/
kill -TERM "$daemon"
wait_for log 'event=ended reason=.*does not answer'
# All of it ends but the thread, which FUSE lets go only with the answer when bindfs has read its request.
gone "$daemon"
[ ! -e root/state/control.sock ] || fail "the socket is left"
unhang
wait "$daemon" || rc=$?
[ $rc -eq 0 ] || fail "TERM while it hangs: exit $rc"
start
wait_for log "event=done .*$m"
stop
[ $rc -eq 0 ] || fail "exit $rc"
[ "$(sql root/state/queue.sqlite3 "SELECT count(*) FROM t_tasks WHERE status = 'completed'")" -eq 5 ] ||
    fail "queue: $(sql root/state/queue.sqlite3 .dump)"
