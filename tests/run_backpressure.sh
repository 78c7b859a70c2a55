#!/bin/bash
# Back-pressure: a disk too full, or paused, and nothing is started; so many pending tasks, or drained, and no group is
# queued; why and status tell; all goes on by itself.
# shellcheck source=tests/lib.sh disable=SC2010,SC2012,SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir backpressure
settings '[queue]' 'max_pending = 1' '[mosaic]' 'tiles = 9'
one=2026-01-26T08:01:58 two=2026-01-26T08:07:07 three=2026-01-26T08:12:16
simulate made "$one" --jitter none --groups 3

mode() { # mode MODE REASON: what taskctl pause, drain and resume do
    queue "INSERT OR REPLACE INTO t_queues VALUES ('dsa110-pipeline', '$1', '$2', '2026-11-27T00:00:00Z')"
}
says() { # says PATTERN COMMAND...: of watcherd
    local pattern=$1
    shift
    "$build/watcherd" "$@" -c w.conf >said 2>&1 || true
    grep -q -e "$pattern" said
}

start
mode paused 'new disk'
wait_for log 'event=queue_mode mode=paused'
mv made/"$one"*.hdf5 in/
wait_for log "event=group_complete group=$one .*queued=yes"
mv made/"$two"*.hdf5 in/
wait_for log 'event=intake reason=.*max_pending'
until_true says 'waits, as many tasks are pending as \[queue\] max_pending allows' why "$two"
until_true says 'in the queue.*the queue is paused: new disk' why "$one"
says 'queue     paused: new disk' status || fail "status: $(cat said)"
says 'held      no group is queued: as many tasks' status || fail "status: $(cat said)"
lines 0 'event=start'
is_state "$one" pending || fail "$one: $(state_of "$one")"
[ "$(queue 'SELECT count(*) FROM t_tasks')" -eq 1 ] || fail "queued: $(queue 'SELECT task_key FROM t_tasks')"
lines 1 'event=intake reason=.*max_pending'

# Drained: what is there is worked off, what comes waits.
mode draining ''
wait_for log "event=done task=continuum group=$one"
wait_for log 'event=intake reason=.*drained'
until_true says 'it waits, the queue is being drained' why "$two"
[ "$(queue 'SELECT count(*) FROM t_tasks')" -eq 1 ] || fail "queued: $(queue 'SELECT task_key FROM t_tasks')"

mode running ''
mv made/"$three"*.hdf5 in/
wait_for log "event=done task=continuum group=$two"
wait_for log "event=done task=continuum group=$three"
wait_for log 'event=intake reason="groups are queued again"'

# A disk fuller than we allow: any is, when next to nothing is allowed.
settings '[disk]' 'warn_pct = 0' 'resume_pct = 0' 'stop_pct = 0' 'check_s = 0.1'
kill -HUP "$daemon"
wait_for log 'level=error event=disk reason='
until_true says 'held      no task is started: .*full' status
noop waits
until_true eval 'is_state waits pending && "$build/watcherd" status --json -c w.conf | grep -q "\"stop\": true"'
settings '[disk]' 'warn_pct = 100' 'resume_pct = 100' 'stop_pct = 100' 'check_s = 0.1'
kill -HUP "$daemon"
wait_for log 'event=done task=noop group=waits'
stop
[ $rc -eq 0 ] || fail "exit $rc"
lines 0 'level=error event=(queue|enqueue|store_down)'
