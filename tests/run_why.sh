#!/bin/bash
# watcherd why and status: the sentence for each station of a group's way, with and without a daemon.
set -eu
. "$(dirname "$0")/lib.sh"
own_dir why
settings '[group]' 'expected = 3' '[mosaic]' 'tiles = 9' '[imaging]' 'size = 1024' '[watch]' 'rescan_s = 0.2'
g=2026-01-26T08:01:58
simulate made "$g" --jitter none --subbands 3
W=$build/watcherd

# why STATUS PATTERN [ARG...]: ask until the first line matches, then the exit status must be so.
why() {
    local want=$1 pattern=$2 got=0 end=$((SECONDS + patience_s))
    shift 2
    while [ $SECONDS -lt $end ]; do
        got=0
        "$W" why "$@" -c w.conf >out 2>&1 || got=$?
        ! head -1 out | grep -q -E -e "$pattern" || break
        read -r -t 0.05 <&9 || true
    done
    head -1 out | grep -q -E -e "$pattern" || fail "why $*: $(cat out), expected $pattern"
    [ "$got" -eq "$want" ] || fail "why $*: exit $got, expected $want: $(cat out)"
    head -1 out
}
mkfifo never
exec 9<>never

# Nothing has come; then no name like it at all.
why 69 'no file of such a group has arrived' "$g"
start
why 1 'not done: no file of such a group has arrived' "$g"
why 1 'its name does not match \[group\] pattern' /nowhere/x.hdf5

# Growing: we hold it open for writing.
cp made/"$g"_sb00.hdf5 in/
exec 7>in/"$g"_sb02.hdf5
head -c 50000 made/"$g"_sb02.hdf5 >&7
why 1 "^$g: not done: 1 of 3 members have settled; sb02 growing.*50000.* of 120320.*; missing sb01$" "$g"
why 1 "^$g: not done: 1 of 3" in/"$g"_sb02.hdf5
grep -q "file .*/in/${g}_sb02.hdf5: growing" out || fail "the file's line: $(cat out)"
# A group that is not there: the nearest one.
why 1 "the nearest group is $g, 2 s earlier" 2026-01-26T08:02:00

# A daemon that was killed: the socket stays behind, the answer comes from the disk.
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null || true
[ -S root/state/control.sock ] || fail "no socket is left to be replaced"
why 69 "1 of 3 members have settled" "$g"
mkdir many
for i in 0 1 2; do head -c 3000 "made/${g}_sb0$i.hdf5" >"many/${g}_sb0$i.hdf5"; done
sed "s|^incoming = .*|incoming = $dir/many|; s|^root = .*|root = $dir/other|" w.conf >many.conf
touch -d '1 hour ago' many/*
"$W" why "$g" -c many.conf >out 2>&1 || true
grep -q "^$g: not done: none of 3 files of it is whole; sb00-sb02 (3 files) " out || fail "$(cat out)"
: >many/$'evil\033[2J.hdf5'
"$W" why many/$'evil\033[2J.hdf5' -c many.conf >out 2>&1 || true
! grep -q $'\033' out || fail "a name speaks to the terminal"
grep -q 'evil.x1b\[2J' out || fail "$(cat out)"
grep -q 'daemon   no daemon runs on the state directory' out || fail "$(cat out)"
"$W" status -c w.conf >out 2>&1 && fail "status without a daemon"
grep -q "no daemon runs on" out || fail "status: $(cat out)"

# A new one replaces it (without our descriptor: it would be a writer).  Somebody else holds the
# claim: the task waits for it.
start 7>&-
mkdir -p root/locks
mkfifo go
"$build/lockctl" run root/locks "$g" -- cat go >/dev/null 2>&1 7>&- &
tail -c +50001 made/"$g"_sb02.hdf5 >&7
exec 7>&-
cp made/"$g"_sb01.hdf5 in/
wait_for log "event=busy .*$g"
why 1 "not done: .*due in [0-9.]+ s, next in turn; its claim is held by pid [0-9]+ on $(hostname)" "$g"
grep -q 'lock     ACTIVE: generation 1, pid' out || fail "the lock's line: $(cat out)"
"$W" why "$g" -c w.conf --json >out && fail "exit"
grep -q '"status": "pending"' out || fail "json: $(cat out)"
echo >go

# At work: stopped in the middle, so that it stays so.
wait_for log "event=step .*$g step=calibrate"
pid=$("$W" status -c w.conf --json | /usr/bin/python3 -c 'import json, sys
s = json.load(sys.stdin)
assert s["groups"]["enqueued"] == 1 and s["files"]["settled"] == 3 and s["queue"]["claimed"] == 1, s
print(s["running"][0]["pid"])')
kill -STOP "$pid"
why 1 "not done: it is being worked on since .* by pid $pid, step (calibrate|image|refine|qa|write) was finished .* ago" "$g"
grep -q "lock     ACTIVE: generation 2, pid $pid " out || fail "the lock's line: $(cat out)"
kill -CONT "$pid"
why 0 "^$g: done: published as generation 2: .*/tiles/$g.gen2(;|$)" "$g"
"$W" status -c w.conf | grep -q '1 completed, 0 failed' || fail "status"

# Failed: three sub-bands of one frequency.
bad=2026-01-26T09:00:00
for i in 0 1 2; do cp made/"$g"_sb00.hdf5 in/"$bad"_sb0$i.hdf5; done
why 1 "^$bad: not done: it failed after 1 attempt: .+" "$bad"

# Queued behind another: no workers.
stop
sed -i 's/^\[workers\]/&\ncount = 0/' w.conf
start
for t in 2026-01-26T10:00:00 2026-01-26T10:30:00; do
    for i in 0 1 2; do cp made/"$g"_sb0$i.hdf5 in/"$t"_sb0$i.hdf5; done
done
why 1 'it is in the queue, due now, next in turn' 2026-01-26T10:00:00
why 1 'it is in the queue, due now, behind 1 other$' 2026-01-26T10:30:00
stop
[ ! -e root/state/control.sock ] || fail "the socket is left after a clean end"
why 0 "^$g: done: published as generation 2" "$g"

rc=0
"$W" why -c w.conf 2>out || rc=$?
[ $rc -eq 64 ] || fail "why without a name: exit $rc"
rc=0
"$W" why "$g" --wrong -c w.conf 2>out || rc=$?
[ $rc -eq 64 ] || fail "a wrong option: exit $rc"
