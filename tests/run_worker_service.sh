#!/bin/bash
# `watcherd worker`: works for a daemon that has no workers of its own; killed, its tasks are free at once by its
# pidfd; a name runs once; the daemon killed and started again while a worker goes on; TERM.
# matrix: queue 1 worker service killed, daemon killed
# matrix: queue 11 two of one name
# shellcheck source=tests/lib.sh disable=SC2010,SC2012,SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir service
# A lease and a look of half a minute: nothing here can come of waiting for one.
settings '[workers]' 'count = 0' 'stop_grace_s = 0' 'lease_s = 60' 'heartbeat_s = 30' '[queue]' 'poll_s = 30'

service() { # service NAME: in the background, $! its pid, its log in log-NAME
    "$build/watcherd" worker -c w.conf --name "$1" --slots 2 2>>"log-$1" &
    workers[$1]=$!
}
declare -A workers

# It waits for a daemon that makes the tables.
service one
wait_for log-one 'event=ready .*Polling for tasks on queue dsa110-pipeline'
wait_for log-one 'event=store_down'
start
wait_for log-one 'event=store_up'
rc=0
"$build/watcherd" worker -c w.conf --name one 2>said || rc=$?
[ $rc -eq 75 ] && grep -q 'name one runs already' said || fail "a second of the name: exit $rc, $(cat said)"
rc=0
"$build/watcherd" worker -c w.conf --name ../one 2>said || rc=$?
[ $rc -eq 78 ] || fail "a bad name: exit $rc, $(cat said)"
noop first
wait_for log-one 'event=done task=noop group=first'
queue "SELECT worker_id FROM t_tasks WHERE task_key = 'first'" | grep -q ":one:${workers[one]}$" || fail "by whom?"

# Killed: known by its pidfd, handed back without an attempt, and the next one has it.
noop taken '{"ms": 3600000}'
wait_for log-one 'event=start task=noop group=taken'
until_true eval '[ "$(queue "SELECT count(*) FROM t_workers")" -eq 2 ]'
wait_for log 'event=watching worker=[^ ]*:one:'
orphan=$(pgrep -P "${workers[one]}")
kill -KILL "${workers[one]}"
wait_for log 'event=recovered tasks=1 worker=[^ ]*:one:'
gone "$orphan"
is_state taken 'pending abandoned' || fail "taken: $(state_of taken)"
queue "UPDATE t_tasks SET params = '{\"ms\": 400}' WHERE task_key = 'taken'"
service two
wait_for log-two 'event=start task=noop group=taken attempt=1'

# The daemon dies and comes back; the worker neither loses its task nor stops.
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null || true
wait_for log-two 'event=done task=noop group=taken'
noop meanwhile
wait_for log-two 'event=done task=noop group=meanwhile'
noop held '{"ms": 3600000}'
wait_for log-two 'event=start task=noop group=held'
start
wait_for log 'event=watching worker=[^ ]*:two:'
is_state held claimed || fail "held: $(state_of held)"

# TERM: handed back, forgotten, exit 0.
rc=0
kill -TERM "${workers[two]}"
wait "${workers[two]}" || rc=$?
[ $rc -eq 0 ] || fail "TERM: exit $rc"
is_state held 'pending released' || fail "held: $(state_of held)"
[ "$(queue 'SELECT count(*) FROM t_workers')" -eq 1 ] || fail "$(queue 'SELECT * FROM t_workers')"

# --once works off what is there.
queue "UPDATE t_tasks SET params = '{}' WHERE task_key = 'held'"
rc=0
timeout "$patience_s" "$build/watcherd" worker -c w.conf --once 2>log-once || rc=$?
[ $rc -eq 0 ] || fail "--once: exit $rc: $(cat log-once)"
is_state held 'completed released completed' || fail "held: $(state_of held)"
stop
[ $rc -eq 0 ] || fail "exit $rc"
