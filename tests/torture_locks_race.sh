#!/bin/bash
# Sixteen processes on two mounts whose kernel locks do not see one another, and on one: no two
# holders at once, no wrong break; LOCKS_ROUNDS sets the claims to be held in each (default 10000).
# matrix: locks 10 flock node-local, no double hold
# matrix: locks 19 racing claimers and cleaners, one and two mounts
. tests/locks_rig.sh
top=$OLDPWD
rounds=${LOCKS_ROUNDS:-10000}
src=("$top"/locks/*.c "$top"/core/err.c "$top"/core/clock.c "$top"/core/path.c)
${CC:-cc} -std=c11 -D_GNU_SOURCE -DVERSION='"0"' -O2 -I"$top" -o race "$top/tests/race_locks.c" \
    "${src[@]}" $(pkg-config --cflags --libs jansson libcrypto) -lm -lpthread || fail "cannot build"
run_race() { # NAME DIR...
    local name=$1 out
    shift
    out=$(./race "$rounds" judge."$name" "$@") || fail "$name: $out"
    echo "$name: $out"
}
mkdir -p one
run_race "one directory" one
two_mounts
"$lockctl" doctor A --peer B >/dev/null || fail doctor
run_race "two mounts, node-local locks" A B
drop_mounts
two_mounts coherent
"$lockctl" doctor A --peer B >/dev/null || fail doctor
run_race "two mounts, coherent locks" A B
exit 0
