#!/bin/bash
# A daemon and two worker services work off trial tasks while one of them, or one of their processes, is killed every
# few hundred milliseconds, in turn: each task is completed, once; nothing is left claimed; nothing waits for a lease.
# TASKS=1500 KILLS=60 by default.
# matrix: queue 1 all kinds killed in turn
# shellcheck source=tests/lib.sh disable=SC2010,SC2012,SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir torture-workers
settings '[workers]' 'count = 2' 'lease_s = 600' 'heartbeat_s = 5' 'max_retries = 1000' 'retry_max_s = 0.2' '[queue]' 'poll_s = 0.5'
sed -i 's/^retry_delay_s.*/retry_delay_s = 0.05/' w.conf
tasks=${TASKS:-1500} kills=${KILLS:-60}
declare -A pid

service() {
    "$build/watcherd" worker -c w.conf --name "$1" --slots 2 2>>"log-$1" &
    pid[$1]=$!
}
again() { # again WHO: it is dead; start it again
    wait "${pid[$1]}" 2>/dev/null || true
    if [ "$1" = daemon ]; then
        "$build/watcherd" -c w.conf 2>>log &
        pid[daemon]=$!
    else
        service "$1"
    fi
}
start
pid[daemon]=$daemon
service one
service two
wait_for log-two 'event=ready'
for i in $(seq "$tasks"); do
    echo "INSERT INTO t_tasks(task_id, task_name, task_key, params, max_retries)
        VALUES ('$(cat /proc/sys/kernel/random/uuid)', 'noop', 'n$i', '{\"ms\": $((RANDOM % 120))}', 1000);"
done >fill.sql
queue <fill.sql

who=(one daemon two child)
for i in $(seq "$kills"); do
    victim=${who[i % 4]}
    read -r -t "0.$((RANDOM % 4 + 1))" <>"$([ -p never ] || mkfifo never; echo never)" || true
    if [ "$victim" = child ]; then
        p=$(pgrep -P "${pid[two]}" | head -1 || true)
        [ -z "$p" ] || kill -KILL "$p" 2>/dev/null || true
    else
        kill -KILL "${pid[$victim]}"
        again "$victim"
    fi
done
completed() { [ "$(queue "SELECT count(*) FROM t_tasks WHERE status = 'completed'")" -eq "$tasks" ]; }
until_true completed
for v in one two daemon; do kill -TERM "${pid[$v]}"; done
for v in one two daemon; do
    rc=0
    wait "${pid[$v]}" || rc=$?
    [ $rc -eq 0 ] || fail "$v: exit $rc"
done
[ "$(queue "SELECT count(*) FROM t_attempts WHERE outcome = 'completed'")" -eq "$tasks" ] || fail "not once each"
[ "$(queue 'SELECT count(*) FROM t_attempts WHERE ended_at IS NULL')" -eq 0 ] || fail "an attempt without an end"
[ "$(queue "SELECT count(*) FROM t_attempts WHERE outcome = 'expired'")" -eq 0 ] || fail "something waited for its lease"
[ -z "$(pgrep -f "$dir" || true)" ] || fail "left: $(pgrep -af "$dir")"
echo "$tasks tasks, $kills kills: $(queue "SELECT group_concat(outcome || ' ' || n, ', ') FROM
    (SELECT outcome, count(*) n FROM t_attempts GROUP BY outcome)")"
