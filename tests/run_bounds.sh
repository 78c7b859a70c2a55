#!/bin/bash
# What the machine sets bounds to, and what we do: descriptors, a password that others may read, what a
# killed process left in state, a queue file that is taken away, a stop that waits.
# shellcheck source=tests/lib.sh disable=SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir bounds
w=$build/watcherd

# Too few descriptors: said at once, not a daemon without its control socket.
settings
rc=0
(ulimit -n 24 && exec "$w" -c w.conf --once) >said 2>&1 || rc=$?
[ $rc -eq 71 ] || fail "24 descriptors: exit $rc, $(cat said)"
grep -q 'only 24 files may be open' said || fail "24 descriptors: $(cat said)"

# A password in a settings file that everybody may read.
settings '[queue]' 'store = postgresql://user:secret@127.0.0.1:9/none'
chmod 644 w.conf
"$w" -c w.conf --check-config >said 2>&1
grep -q "warning: .*w.conf holds the store's password" said || fail "$(cat said)"
! grep -q secret said || fail "$(cat said)"
chmod 640 w.conf
"$w" -c w.conf --check-config >said 2>&1
! grep -q warning said || fail "$(cat said)"

# Half-written files of a process that was killed are swept at the start; a queue file that is taken away is
# noticed, and one that comes back, too.  A stop that waits for a task does not spin.
settings '[workers]' 'stop_grace_s = 2' 'cancel_grace_s = 1' 'lease_s = 1' 'heartbeat_s = 0.5'
mkdir -p root/state
touch -d '1 hour ago' root/state/.settings.conf.0123456789abcdef.tmp
start
wait_for log 'event=ready'
[ ! -e root/state/.settings.conf.0123456789abcdef.tmp ] || fail "not swept"
wait_for log 'event=swept '
mv root/state/queue.sqlite3 aside
wait_for log 'event=store_down reason="the task queue .*was removed or replaced'
mv aside root/state/queue.sqlite3
wait_for log 'event=store_up .*after_s=[0-9.]*[1-9]'
noop long '{"ms": 100000}'
wait_for log 'event=start task=noop group=long'
before=$(cut -d' ' -f14 "/proc/$daemon/stat")
kill -TERM "$daemon"
wait_for log 'grace is over'
after=$(cut -d' ' -f14 "/proc/$daemon/stat" 2>/dev/null || echo "$before")
[ $((after - before)) -lt 50 ] || fail "$((after - before)) ticks of processor time to wait for 2 s"
gone "$daemon"
