#!/bin/bash
# Owners on this host that are stopped, replaced, orphaned or told a wrong time; foreign lockers.
# matrix: locks 3 stopped past the lease, then publishes
# matrix: locks 5 PID reuse (real, by ns_last_pid)
# matrix: locks 21 clock an hour wrong
# matrix: locks 22 clock jumps while holding
# matrix: locks 26 what the dead owner started
. tests/locks_rig.sh
# Who is to be found alive has a lease that outlasts any pause of a busy machine.
hold=("$lockctl" run --lease 3600 --heartbeat 0.03)
brief=("$lockctl" run --lease 0.1 --heartbeat 0.03)

# 3: the stopped owner comes back and wants to commit
start "${brief[@]}" --commit d g -- sh -c 'echo $$ >program; until [ -e go ]; do sleep 0.02; done' 2>late.err
until_true test -s program
kill -STOP "$pid"
expect_state "stopped owner" d g ACTIVE "stopped"
"$lockctl" run --wait 600 --commit d g -- true || fail "a stopped owner was not overtaken"
touch go
kill -CONT "$pid"
end_of "$pid"
rc=$?
[ $rc = 76 ] || fail "the late owner ended with $rc, not 76: $(cat late.err)"
[ -e d/g/c.2 ] && [ ! -e d/g/c.1 ] || fail "commit markers: $(ls d/g)"

# 26: the program dies with its keeper; what it started in turn is killed with the group on a loss
start "${hold[@]}" d k -- sh -c 'echo $$ >leader; exec sleep 3600'
until_true test -s leader
kill_hard "$pid"
until_true ended "$(cat leader)"
# and whatever a killed keeper has left running ends before the next one begins, in a session of its own or not
start "${hold[@]}" d o -- sh -c 'setsid sh -c "echo \$\$ >orphan; sleep 3600" & wait'
until_true test -s orphan
kill_hard "$pid"
orphan=$(cat orphan)
ended "$orphan" && fail "the orphan did not outlive its keeper: nothing to be tested"
start sh -c 'exec sleep 3600' # of no claim, and of none of our business
bystander=$pid
"$lockctl" run d o -- sh -c "case \$(sed 's/.*) //' /proc/$orphan/stat 2>/dev/null) in '' | Z* | X*) ;; *) exit 3 ;; esac" ||
    fail "a dead owner's orphan runs beside the next owner"
ended "$bystander" && fail "a bystander was killed"
start "${hold[@]}" d l -- sh -c 'sleep 3600 & echo $! >grandchild; wait'
until_true test -s grandchild
"$lockctl" break d l --gen 1 2>/dev/null && fail "break took a running owner without --force"
"$lockctl" break d l --gen 7 --force 2>/dev/null && fail "break took a wrong generation"
"$lockctl" break d l --gen 1 --force >/dev/null || fail "break --force"
end_of "$pid"
[ $? = 76 ] || fail "a broken owner did not end with 76"
until_true ended "$(cat grandchild)"

# util-linux flock and ours exclude one another
start flock --no-fork d/f.lock sleep 3600
until_true sh -c "! flock -n d/f.lock true"
"$lockctl" run --foreign d f -- true 2>/dev/null
[ $? = 75 ] || fail "flock(1) did not exclude us"
"$lockctl" run d f -- true 2>/dev/null
[ $? = 75 ] || fail "flock(1) was not honoured"
kill_hard "$pid"
start "${hold[@]}" --foreign d h -- sleep 3600
until_true test -e d/h/h.1
flock -n d/h.lock true && fail "we did not exclude flock(1)"
python=/usr/bin/python3
if "$python" -c 'import filelock' 2>/dev/null; then
    "$python" -c 'import filelock, sys
try:
    filelock.FileLock("d/h.lock").acquire(timeout=0)
except filelock.Timeout:
    sys.exit(0)
sys.exit(1)' || fail "we did not exclude python-filelock"
else
    echo "python3-filelock is not installed: only flock(1) was tried"
fi
kill_hard "$pid"

# 21, 22: the observer's or the owner's wall clock means nothing
faketime=$(ls /usr/lib/*/faketime/libfaketime.so.1 2>/dev/null | head -1)
if [ -n "$faketime" ] && ! sanitized && unshare -p -f true 2>/dev/null; then
    cat >clock.sh <<'S'
export LD_PRELOAD=$1 FAKETIME_TIMESTAMP_FILE=$2 FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1
shift 2
exec "$@"
S
    echo +3600s >offset
    # no kernel lock and no PID to go by: only heartbeats
    printf '{"mode": "gen", "type": "%s"}' "$(stat -f -c %T . | sed 's,ext2/ext3,ext4,')" >fs.json
    mkdir -p m/.watcherd && cp fs.json m/.watcherd/
    start unshare -p -f --kill-child sh clock.sh "$faketime" "$rig/offset" \
        "${hold[@]}" m g -- sleep 3600
    until_true test -s m/g/h.1
    echo -3600s >offset # a jump of two hours while it holds
    sh clock.sh "$faketime" "$rig/offset" "$lockctl" run --wait 0.3 m g -- true 2>/dev/null
    [ $? = 75 ] || fail "a wrong clock made a live owner expire"
    "$lockctl" cleanup m --wait 0.3 --timeout 0 | grep -q '^Removed 0' || fail "cleanup took it"
    kill_hard "$pid"
    start unshare -p -f --kill-child sh clock.sh "$faketime" "$rig/offset" "${brief[@]}" m s -- sleep 3600
    until_true test -s m/s/h.1
    kill_hard "$pid"
    until_true sh -c "'$lockctl' cleanup m --wait 1 --timeout 0 | grep -q 's.lock (age > 0 s)'"
else
    echo "libfaketime or unshare is missing, or sanitizers are in the way: clocks were not tried"
fi

# 5: the same PID for another process
need_unshare
[ -w /proc/sys/kernel/ns_last_pid ] || skip "cannot choose PIDs here"
unshare -p -f -m --mount-proc --kill-child bash -c '
    lockctl=$1
    cd "$2" || exit 1
    "$lockctl" run r g -- sleep 3600 &
    p=$!
    until [ -e r/g/g.1 ]; do sleep 0.02; done
    kill -9 $p
    wait $p 2>/dev/null
    sleep 0.05 # more than one tick of 10 ms
    for ((i = 0; i < 200; i++)); do
        echo $((p - 1)) >/proc/sys/kernel/ns_last_pid
        sleep 3600 &
        [ $! = $p ] && break
        kill $!
    done
    [ $! = $p ] || exit 77
    "$lockctl" list r -v
' _ "$lockctl" "$rig" >reused 2>/dev/null
case $? in 77) skip "the PID could not be had again" ;; esac
grep -q 'DEAD' reused && grep -q 'process id now belongs to another process' reused ||
    fail "PID reuse: $(cat reused)"
exit 0
