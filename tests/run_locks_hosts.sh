#!/bin/bash
# Owners on other machines (unshare: own name, PID namespace, boot id) and in containers.
# matrix: locks 7 reboot
# matrix: locks 8 cloned images
# matrix: locks 9 container, other PID namespace
# matrix: locks 10 flock node-local (what doctor says)
# matrix: locks 11 flock coherent
# matrix: locks 2 killed holder, other host
# matrix: locks 23 observer in a shifted time namespace
# matrix: locks 30 owner of another user
. tests/locks_rig.sh
need_unshare
old=00000000-1111-2222-3333-444444444444
# Who is to be found alive has a lease that outlasts any pause of a busy machine.
hold=("$lockctl" run --lease 3600 --heartbeat 0.05)
brief=("$lockctl" run --lease 0.2 --heartbeat 0.05)

# 23: an observer whose CLOCK_BOOTTIME, and with it all start times in /proc, is shifted by a day
start "${hold[@]}" disk shifted -- sleep 3600
until_true test -e disk/shifted/h.1
if unshare --time --boottime 86400 true 2>/dev/null; then
    unshare --time --boottime 86400 "$lockctl" list -v disk | grep -A2 'shifted.lock' | grep -q 'process is running' ||
        fail "shifted clock: $(unshare --time --boottime 86400 "$lockctl" list -v disk)"
    unshare --time --boottime 86400 "$lockctl" run --wait 0.5 disk shifted -- true 2>/dev/null
    [ $? = 75 ] || fail "a live owner was overtaken from another time namespace"
else
    echo "no time namespaces here: shifted clocks were not tried"
fi
kill_hard "$pid"

# 30: owner and observer are different users, neither may signal the other
if setpriv --reuid 65534 --clear-groups true 2>/dev/null; then
    chmod 755 "$rig"
    mkdir -m 777 shared
    cp "$lockctl" open-lockctl
    start setpriv --reuid 65534 --regid 65534 --clear-groups ./open-lockctl run --heartbeat 0.05 shared g -- sleep 3600
    until_true test -e shared/g/h.1
    other=(setpriv --reuid 65533 --regid 65533 --clear-groups ./open-lockctl)
    "${other[@]}" list shared -v | grep -q 'process is running' || fail "other user: $("${other[@]}" list shared -v)"
    "${other[@]}" cleanup shared --timeout 0 | grep -q '^Removed 0' || fail "other user's live lock was removed"
    kill_hard "$pid"
    "${other[@]}" list shared | grep -q DEAD || fail "other user's dead lock: $("${other[@]}" list shared -v)"
else
    echo "no other user can be had: owners of other users were not tried"
fi

# 9: a container on this host, local disk: the kernel lock decides, both ways
start unshare -p -f -m --mount-proc --kill-child "${hold[@]}" disk g -- sleep 3600
until_true test -e disk/g/h.1
expect_state "live container" disk g ACTIVE "PID namespace"
kill_hard "$pid"
expect_state "killed container" disk g DEAD "kernel lock"
"$lockctl" run disk g -- true || fail "a killed container's group is not claimable at once"
[ -e disk/g/g.2 ] || fail "no second generation"

# 7: this machine before its last boot
start_host "$(uname -n)" "$old" "${hold[@]}" disk old -- sleep 3600
until_true test -e disk/old/h.1
cp disk/old/g.1 record # its hashed machine id
kill_hard "$pid"
machine=$(sed 's/.*"machine":"\([0-9a-f]*\)".*/\1/' record)
expect_state "boot not in the history" disk old ACTIVE "cloned image"
echo "$machine $old" >boots
WATCHERD_BOOTS=$rig/boots expect_state "boot in the history" disk old DEAD "rebooted"

# 10, 11: what kernel locks are worth between two mounts
two_mounts
"$lockctl" doctor A --peer B | grep -qx 'mode: gen, written to .watcherd/fs.json' ||
    fail "node-local locks: $("$lockctl" doctor A --peer B)"
"$lockctl" doctor A --peer disk 2>/dev/null
[ $? = 74 ] || fail "doctor takes another directory for a peer"

# 8 and 2: a clone (our machine id, our name), alive and then dead: only its lease decides
start_host "$(uname -n)" "$old" "${hold[@]}" A g -- sleep 3600
until_true test -e B/g/h.1
expect_state "live clone" B g ACTIVE "cloned image"
"$lockctl" run --wait 0.5 B g -- true 2>/dev/null && fail "a live clone was overtaken"
kill_hard "$pid"
expect_state "dead clone" B g ACTIVE "cloned image"
start_host "$(uname -n)" "$old" "${brief[@]}" A h -- sleep 3600
until_true test -e B/h/h.1
kill_hard "$pid"
"$lockctl" run --wait 600 B h -- true || fail "a dead clone was never overtaken"
"$lockctl" explain B h | grep -q 'generation 2.*took over: .*no heartbeat for' || fail "no evidence"
drop_mounts

two_mounts coherent
"$lockctl" doctor A --peer B | grep -qx 'mode: gen+flock, written to .watcherd/fs.json' ||
    fail "coherent locks: $("$lockctl" doctor A --peer B)"
start_host far "$old" "${hold[@]}" A g -- sleep 3600
until_true test -e B/g/h.1
expect_state "live far owner" B g ACTIVE
kill_hard "$pid"
until_true sh -c "[ \"\$('$lockctl' list B | grep -c DEAD)\" = 1 ]"
expect_state "dead far owner, coherent locks" B g DEAD "kernel lock"
exit 0
