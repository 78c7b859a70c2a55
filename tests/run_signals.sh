#!/bin/bash
# TERM hands a running task back untried and undone; HUP takes changed settings and keeps the old ones
# when the file is broken; the exit codes of --check-config and wrong usage.
# shellcheck source=tests/lib.sh disable=SC2010,SC2012,SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir signals
w=$build/watcherd

says() { # says STATUS PATTERN ARGUMENT...: exit status and text
    local want=$1 pattern=$2
    shift 2
    rc=0
    "$w" "$@" >said 2>&1 || rc=$?
    [ $rc -eq "$want" ] || fail "watcherd $*: exit $rc, not $want"
    grep -q -e "$pattern" said || fail "watcherd $*: $(cat said)"
}
settings
says 0 'in order' -c w.conf --check-config
[ ! -e root ] || fail "--check-config made something"
says 0 'usage: watcherd' --help
says 0 '^watcherd [0-9]' --version
says 78 'cannot read the settings /etc/watcherd/watcherd.conf.*; say which with -c FILE'
WATCHERD_CONF=$PWD/w.conf says 0 'w.conf is in order' --check-config
WATCHERD_CONF=$PWD/gone.conf says 78 'gone.conf (\$WATCHERD_CONF)' --check-config
says 64 'no such command: frobnicate; see' -c w.conf frobnicate
says 64 'no such command: stauts; the nearest is status' -c w.conf stauts
says 78 'nowhere.conf' -c nowhere.conf --once
sed 's/^tiles = .*/tiles = many/' w.conf >bad.conf
says 78 'tiles' -c bad.conf --check-config
sed 's/^tiles/tyles/' w.conf >bad.conf
says 78 'tyles' -c bad.conf

# TERM without grace, in the middle of a task.
settings '[workers]' 'stop_grace_s = 0' '[imaging]' 'size = 1024'
simulate in 2026-01-26T08:01:58
start
wait_for log 'event=step .*step=convert'
stop
[ $rc -eq 0 ] || fail "TERM: exit $rc, not 0"
lines 1 'event=stopped task=continuum'
lines 0 'level=error'
[ "$(sql root/state/queue.sqlite3 'SELECT status, retry_count, fence > 0 FROM t_tasks')" = 'pending|0|1' ] ||
    fail "queue: $(sql root/state/queue.sqlite3 'SELECT * FROM t_tasks')"
[ -z "$(find root/products root/scratch -type f)" ] || fail "left: $(find root/products root/scratch)"
[ -z "$(pgrep -f "$dir" || true)" ] || fail "a worker lives on"

# With grace it is finished.
sed -i 's/^stop_grace_s.*/stop_grace_s = 30/' w.conf
start
wait_for log 'event=step .*step=convert'
stop
[ $rc -eq 0 ] || fail "TERM with grace: exit $rc, not 0"
lines 1 'event=done task=continuum'
lines 0 'event=stopped'

# HUP: three groups, one worker; then three workers, before the first is done.
rm -rf root in log
settings '[workers]' 'count = 1' '[imaging]' 'size = 1024'
start
sed -i 's/^count = 1/count = 3/' w.conf
simulate made 2026-01-26T07:56:49 --groups 3
mv made/*.hdf5 in/
wait_for log 'event=start'
kill -HUP "$daemon"
wait_for log 'event=reload'
wait_for log 'event=done task=mosaic'
awk '/event=start task=continuum/ { n++ } /event=done/ { exit n != 3 }' log || fail "not three at a time"
lines 0 'event=reload .*reason='

# A file that somebody has just broken: said, and work goes on, in new workers, too.
sed -i 's/^count = 3/count = three/' w.conf
kill -HUP "$daemon"
wait_for log 'event=reload reason=.*three.* kept='
simulate made 2026-01-26T08:12:16 --jitter none
mv made/*.hdf5 in/
wait_for log 'event=done .*group=2026-01-26T08:12:16'
sed -i 's/^count = three/count = 2/; s/^stabilization_time_s.*/stabilization_time_s = 7/' w.conf
kill -HUP "$daemon"
wait_for log 'event=reload reason=.*next start'
stop
[ $rc -eq 0 ] || fail "exit $rc"
lines 1 'level=error'
