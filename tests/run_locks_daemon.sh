#!/bin/bash
# What the daemon says of its locks when it starts, and the boots that it notes there.
# matrix: locks 7 reboot (noted by the daemon, judged by lockctl)
# matrix: locks 10 nothing tried on a network file system: said, with the command
# matrix: locks 12 flock is worth nothing: said once
. tests/locks_rig.sh
daemon=$(dirname "$lockctl")/watcherd
unset WATCHERD_BOOTS
mkdir -p in locks/.watcherd
conf() { # LOCKS
    printf '[paths]\nroot = %s/root\nincoming = %s/in\nlocks = %s\n' "$rig" "$rig" "$1" >w.conf
}
once() {
    timeout 600 "$daemon" -c w.conf --once 2>log
}
said() { # LEVEL MODE WORDS
    [ "$(grep -c 'event=locks ' log)" = 1 ] || fail "not said once: $(cat log)"
    grep "level=$1 event=locks mode=$2 " log | grep -qF "$3" || fail "not $*: $(cat log)"
}
type=$(stat -f -c %T . | sed 's,ext2/ext3,ext4,')

# local: kernel locks are believed, and the boot is noted once however often we start
conf "$rig/locks"
once || fail "it does not start: $(cat log)"
said info gen+flock "$type is served by this kernel alone"
once
[ -r /etc/machine-id ] || skip "boots are noted only where there is a /etc/machine-id"
[ "$(grep -c " $(cat /proc/sys/kernel/random/boot_id)$" root/state/boots)" = 1 ] ||
    fail "boots: $(cat root/state/boots)"

# an owner of an earlier boot is dead to those who know the daemon's state
old=00000000-1111-2222-3333-444444444444
"$lockctl" run --state root/state locks g -- true
[ "$(wc -l <root/state/boots)" = 1 ] || fail "lockctl notes a boot again"
sed "s/\"boot\":\"[^\"]*\"/\"boot\":\"$old\"/" locks/g/g.1 >record
mv record locks/g/g.1 && rm locks/g/r.1
dead() { "$lockctl" list locks "$@" | grep -c DEAD; }
[ "$(dead -c w.conf)" = 0 ] || fail "a boot that nobody noted proves a death"
sed "s/ .*/ $old/" root/state/boots >>root/state/boots
[ "$(dead -c w.conf)" = 1 ] && [ "$(dead --state root/state)" = 1 ] || fail "not dead: $("$lockctl" list -v locks)"
[ "$(WATCHERD_BOOTS='' "$lockctl" list locks -c w.conf | grep -c DEAD)" = 0 ] || fail "the environment does not win"
"$lockctl" list locks -c none.conf 2>err
[ $? = 78 ] && grep -q none.conf err || fail "settings that are not there: $(cat err)"

# names that exclude nobody: not a single worker
printf '{"mode": "refuse", "type": "%s"}' "$type" >locks/.watcherd/fs.json
once
[ $? = 71 ] || fail "it starts where nothing excludes: $(cat log)"
said warn refuse "not exclusive"
grep -q "^watcherd: no worker is started, because nothing excludes another one in $rig/locks" log || fail "$(cat log)"
rm locks/.watcherd/fs.json

# a file system that other machines may share, untried and tried
two_mounts
conf "$rig/A"
once || fail "it does not start on FUSE: $(cat log)"
said warn gen "until \`lockctl doctor $rig/A --peer OTHER_MOUNT\` has tried them"
"$lockctl" doctor A --peer B >/dev/null || fail doctor
once
said info gen "doctor found kernel locks worthless between two mounts of this fuse"
exit 0
