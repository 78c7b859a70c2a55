#!/bin/bash
# The daemon and its worker processes: killed, overrunning, cancelled, edited, printing without end, short of memory;
# scaled while they run; ended by TERM.
# matrix: queue 1 worker killed
# matrix: queue 6 task edited while it runs
# matrix: queue 7 poison task
# matrix: queue 12 SIGTERM with eight tasks
# matrix: queue 14 output, children, escapes
# shellcheck source=tests/lib.sh disable=SC2010,SC2012,SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir workers
settings '[workers]' 'count = 2' 'stop_grace_s = 0' 'cancel_grace_s = 0.5' 'log_max_kib = 64'


id_of() { queue "SELECT task_id FROM t_tasks WHERE task_key = '$1'"; }
running() { # running KEY: wait until it runs; $pid its process
    wait_for log "event=start task=noop group=$1 "
    pid=
    until_true has_pid "$1"
}
has_pid() {
    pid=$(ask workers | /usr/bin/python3 -c 'import json, sys
for w in json.load(sys.stdin)["running"]:
    if w["name"] == sys.argv[1]: print(w["pid"])' "$1")
    [ -n "$pid" ]
}
ask() { # ask VERB [KEY VALUE]: by the control socket
    /usr/bin/python3 -c 'import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("root/state/control.sock")
a = {"ask": sys.argv[1]}
if len(sys.argv) > 2: a[sys.argv[2]] = int(sys.argv[3])
s.sendall((json.dumps(a) + "\n").encode())
print(s.makefile().readline())' "$@"
}
# marked PID: processes that carry the mark of that worker process
marked() {
    local mark
    mark=$(tr '\0' '\n' <"/proc/$1/environ" | grep ^WATCHERD_TASK=)
    grep -lzx "$mark" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 | grep -vx "$1" || true
}
all_gone() { local p; for p in "$@"; do ended "$p" || return 1; done; }
zombies() { ps --ppid "$daemon" -o stat= | grep -c ^Z || true; }

start
wait_for log 'Checking for next group\.\.\.'

# A process works on one task after the other.
noop a1 '{"steps": 2}'
wait_for log 'event=done task=noop group=a1'
noop a2
wait_for log 'event=done task=noop group=a2'
[ "$(pgrep -c -P "$daemon")" -eq 1 ] || fail "two tasks, $(pgrep -c -P "$daemon") processes"
is_state a1 'completed completed' || fail "a1: $(state_of a1)"
[ "$(queue "SELECT group_concat(step) FROM t_steps WHERE task_id = '$(id_of a1)'")" = step1,step2 ] || fail "steps"
[ "$(queue "SELECT json_extract(rusage, '\$.maxrss_kib') > 1000 AND json_extract(rusage, '\$.wall_s') > 0
    FROM t_attempts WHERE task_id = '$(id_of a1)'")" = 1 ] || fail "usage: $(queue 'SELECT * FROM t_attempts')"

# Killed: again, long before its lease has run out, and the attempt recorded.
noop killed '{"ms": 3600000}'
running killed
kill -KILL "$pid"
gone "$pid"
wait_for log 'event=start task=noop group=killed attempt=2'
running killed
is_state killed 'claimed failed' || is_state killed 'claimed retried' || fail "killed: $(state_of killed)"

# Edited by hand: its worker is killed, and it runs again.
old=$pid
queue "UPDATE t_tasks SET status = 'pending', params = '{}', retry_count = 0, worker_id = NULL WHERE task_key = 'killed'"
wait_for log 'event=lost task=noop group=killed'
gone "$old"
wait_for log 'event=done task=noop group=killed'

# Cancelled while it runs: also a child that ignores TERM, and one that has left the session.
noop stray '{"ms": 3600000, "children": 2, "escape": true, "deaf": true}'
running stray
until_true eval '[ "$(marked $pid | wc -l)" -eq 2 ]'
mapfile -t strays < <(marked "$pid")
queue "UPDATE t_tasks SET cancel_requested = 1 WHERE task_key = 'stray'"
wait_for log 'event=cancelled task=noop group=stray'
all_gone "$pid" "${strays[@]}" || fail "left: $pid ${strays[*]}"
is_state stray 'cancelled cancelled' || fail "stray: $(state_of stray)"

# Limits: TERM and again; KILL and again; failed when the retries are used up, and the others go on.
noop hard '{"ms": 3600000, "deaf": true}' 'timeout_sec, max_retries' '0.3, 1'
noop poison '{"crash": true}' max_retries 2
noop bad '{"bad": "no such thing"}'
noop good
wait_for log 'event=done task=noop group=good'
wait_for log 'event=task_failed task=noop group=poison'
wait_for log 'event=task_failed task=noop group=bad'
wait_for log 'event=task_failed task=noop group=hard reason="ran longer than its timeout_s = 0.3 s"'
[ "$(queue "SELECT group_concat(n) FROM (SELECT count(*) n FROM t_tasks t JOIN t_attempts USING (task_id)
    WHERE task_key IN ('hard', 'poison', 'bad') GROUP BY task_key ORDER BY task_key)")" = 1,2,3 ] ||
    fail "attempts: $(queue 'SELECT * FROM t_attempts')"

# Output without end: bounded, and said so; nothing printed, no file.
noop loud '{"output_kib": 102400}'
wait_for log 'event=done task=noop group=loud'
ls root/state/logs | grep -q "$(id_of loud)" || fail "no log: $(ls root/state/logs)"
size=$(stat -c %s "root/state/logs/$(id_of loud).log")
[ "$size" -le 66000 ] && [ "$size" -ge 65536 ] || fail "its log has $size bytes"
grep -q 'cut: \[workers\] log_max_kib' "root/state/logs/$(id_of loud).log" || fail "not said that it was cut"
[ ! -e "root/state/logs/$(id_of a2).log" ] || fail "a log of nothing"

# More slots and fewer, while it runs.
[ "$(ask scale count 5 | grep -c '"slots": *5')" -eq 1 ] || fail "scale"
for i in 1 2 3 4 5; do noop "many$i" '{"ms": 3600000}' max_retries 1; done
for i in 1 2 3 4 5; do running "many$i"; done
sed -i 's/^count = .*/count = 8/; s/^\[workers\]/[workers]\nsoft_limit_s = 0.2/' w.conf
kill -HUP "$daemon"
wait_for log 'event=scale slots=8'
wait_for log 'event=overran task=noop group=many1 reason="ran longer than soft_limit_s = 0.2 s"'
for i in 1 2 3 4 5; do wait_for log "event=task_failed task=noop group=many$i"; done
[ "$(zombies)" -eq 0 ] || fail "zombies: $(ps --ppid "$daemon")"
memory=256
case $build in */build-*) memory=0 ;; esac # a sanitizer's own would not fit
sed -i "s/^soft_limit_s.*/memory_mib = $memory/" w.conf
kill -HUP "$daemon"
until_true eval '[ "$(count event=reload)" -eq 2 ]'

# Short of memory by our own setting: a sentence.
if [ $memory -gt 0 ]; then
    noop greedy '{"memory_mib": 1000}' max_retries 0
    wait_for log 'event=task_failed task=noop group=greedy reason="out of memory .*memory_mib = 256'
fi

# The daemon killed: its processes end, and with them what they had started.
noop left '{"ms": 3600000, "children": 2, "escape": true}'
running left
until_true eval '[ "$(marked $pid | wc -l)" -eq 2 ]'
mapfile -t strays < <(marked "$pid")
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null || true
until_true all_gone "$pid" "${strays[@]}"
queue "UPDATE t_tasks SET params = '{}' WHERE task_key = 'left'"
start
wait_for log 'event=recovered tasks=1'
wait_for log 'event=done task=noop group=left'

# TERM with eight running tasks: nothing stays claimed.
for i in 1 2 3 4 5 6 7 8; do noop "last$i" '{"ms": 3600000}'; done
for i in 1 2 3 4 5 6 7 8; do running "last$i"; done
stop
[ $rc -eq 0 ] || fail "TERM: exit $rc"
[ "$(queue "SELECT count(*) FROM t_tasks WHERE task_key LIKE 'last%' AND status = 'pending' AND retry_count = 0")" -eq 8 ] ||
    fail "after TERM: $(queue 'SELECT task_key, status, retry_count FROM t_tasks')"
[ "$(queue 'SELECT count(*) FROM t_workers')" -eq 0 ] || fail "t_workers: $(queue 'SELECT * FROM t_workers')"
[ -z "$(pgrep -f "$dir" || true)" ] || fail "left: $(pgrep -af "$dir")"
