#!/bin/bash
# Sixteen processes on two mounts whose kernel locks do not see one another, and on one: no two
# holders at once, no wrong break, in a million attempts to claim or to clean; LOCKS_ROUNDS sets how many
# hundredths of them (default 10000 = all).  The directories are in memory.
# matrix: locks 10 flock node-local, no double hold
# matrix: locks 19 racing claimers and cleaners, one and two mounts
. tests/locks_rig.sh
top=$OLDPWD
rounds=${LOCKS_ROUNDS:-10000}
if mkdir ram && mount -t tmpfs none ram 2>/dev/null; then
    mounts=("$rig/ram")
    cd ram || exit 1
fi
lib=$(dirname "$lockctl")
${CC:-cc} -std=c11 -D_GNU_SOURCE -O2 -I"$top" -o "$rig/race" "$top/tests/race_locks.c" "$lib/liblocks.a" "$lib/libcore.a" \
    $(pkg-config --libs jansson libcrypto) -lm -lpthread || fail "cannot build"
run_race() { # NAME ATTEMPTS DIR...
    local name=$1 n=$(($2 * rounds / 10000)) out
    shift 2
    out=$("$rig/race" "$n" "$rig/judge.$name" "$@") || fail "$name: $out"
    echo "$name: $out in ${SECONDS} s"
    SECONDS=0
}
mkdir -p one
run_race "one directory" 500000 one
two_mounts
"$lockctl" doctor A --peer B >/dev/null || fail doctor
run_race "two mounts, node-local locks" 150000 A B
drop_mounts
two_mounts coherent
"$lockctl" doctor A --peer B >/dev/null || fail doctor
run_race "two mounts, coherent locks" 150000 A B
exit 0
