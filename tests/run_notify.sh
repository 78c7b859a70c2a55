#!/bin/bash
# What systemd hears of daemon and worker service: ready, alive again and again, reloading, stopping; and that their
# worker processes have nothing to say to it.
# shellcheck source=tests/lib.sh disable=SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir notify
settings '[workers]' 'stop_grace_s = 0'
/usr/bin/python3 -c 'import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("notify.sock")
print("bound", flush=True)
while True: print(" ".join(s.recv(4096).decode().split("\n")), flush=True)' >heard 2>&1 &
wait_for heard bound
export NOTIFY_SOCKET=$dir/notify.sock WATCHDOG_USEC=200000

story() { # story LOG: what was heard of the process $daemon, in order
    wait_for heard READY=1
    until_true eval '[ "$(count WATCHDOG=1 heard)" -ge 3 ]'
    noop "of-$1" '{"ms": 3600000}'
    wait_for "$1" "event=start task=noop group=of-$1"
    tr '\0' '\n' <"/proc/$(pgrep -P "$daemon" | head -1)/environ" | grep -E '^(NOTIFY_SOCKET|WATCHDOG_)' && fail "the worker has it"
    kill -HUP "$daemon"
    wait_for heard RELOADING=1
    until_true eval '[ "$(count READY=1 heard)" -eq 2 ]'
    stop
    [ $rc -eq 0 ] || fail "$1: exit $rc"
    wait_for heard STOPPING=1
    queue 'DELETE FROM t_tasks'
    : >heard
}
start
story log
"$build/watcherd" worker -c w.conf 2>worker.log &
daemon=$!
story worker.log
