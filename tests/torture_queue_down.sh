#!/bin/bash
# The queue's store does not answer (somebody holds its write lock for longer than we wait): said once; a task that
# runs goes on and its end is told when the store is back; files are taken up meanwhile; operators get an answer at
# once; TERM ends the daemon all the same, and the next one has the task again.
# matrix: queue 4 store that does not answer, SQLite
# shellcheck source=tests/lib.sh disable=SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir store-down
settings '[workers]' 'heartbeat_s = 0.2' 'lease_s = 30' 'stop_grace_s = 0'
one=2026-01-26T08:01:58
simulate made "$one" --jitter none
mkfifo hold

hold() { # take the write lock of the queue until release
    : >held
    /usr/bin/python3 -c 'import sqlite3, sys
c = sqlite3.connect("root/state/queue.sqlite3", isolation_level=None)
c.execute("PRAGMA busy_timeout = 5000")
c.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()' <hold >held &
    exec 5>hold
    wait_for held held
}
release() { exec 5>&-; }

start
noop runs '{"ms": 300}'
wait_for log 'event=start task=noop group=runs'
hold
wait_for log 'event=store_down'
mv made/*.hdf5 in/
until_true eval '"$build/watcherd" status -c w.conf | grep -q "^files .* 16 settled"'
"$build/watcherd" status -c w.conf >said
grep -q '^store     DOWN for' said || fail "status: $(cat said)"
grep -q '^tasks     not known: the queue.s store has not answered' said || fail "status: $(cat said)"
rc=0
"$build/watcherd" why "$one" -c w.conf >said || rc=$?
[ $rc -eq 1 ] && grep -q 'waits, for the answer of the queue.s store.*has not answered' said || fail "why: $rc $(cat said)"
release
wait_for log 'event=store_up'
wait_for log 'event=done task=noop group=runs'
is_state runs 'completed completed' || fail "runs: $(state_of runs)"
wait_for log "event=done task=continuum group=$one"
lines 1 'event=store_down'
lines 0 'event=(lost|late_word|recovered)'

# Down again, and told to stop.
noop stays '{"ms": 60000}'
wait_for log 'event=start task=noop group=stays'
hold
wait_for log 'event=store_down.*'
until_true eval '[ "$(count event=store_down)" -eq 2 ]'
stop
[ $rc -eq 0 ] || fail "TERM: exit $rc"
lines 1 'event=stopping reason=.*store does not answer'
release
start
wait_for log 'event=recovered tasks=1'
wait_for log 'event=start task=noop group=stays attempt=1'
stop
[ $rc -eq 0 ] || fail "exit $rc"
