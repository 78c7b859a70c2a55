#!/bin/bash
# A hundred thousand stale locks: listed in under a second, cleaned in about ten.
# matrix: locks 28 100,000 stale locks
. tests/locks_rig.sh
"$lockctl" run d seed -- true
(exec "$lockctl" run d dead -- sh -c 'kill -9 $PPID') 2>/dev/null
/usr/bin/python3 - <<'P'
import os
record = open("d/dead/g.1").read()
for i in range(100000):
    os.mkdir(f"d/{i:06}")
    open(f"d/{i:06}/g.1", "w").write(record)
P
took() { # LIMIT_S TRIES WHAT COMMAND...: processor time, as neighbours take their share of the clock
    local limit=$1 tries=$2 what=$3 used TIMEFORMAT='%U %S'
    shift 3
    while [ $((tries--)) -gt 0 ]; do
        used=$({ time "$@" >out; } 2>&1 | tail -1)
        echo "$what: $used s"
        echo "$used" | awk -v limit="$limit" '{exit !($1 + $2 <= limit)}' && return
    done
    fail "$what: over $limit s"
}
took "$(nproc)" 5 list "$lockctl" list d # by as many threads as there are processors: a second in all
[ "$(grep -c DEAD out)" = 100001 ] || fail "listed $(grep -c DEAD out)"
took 15 1 cleanup "$lockctl" cleanup d
[ "$(tail -1 out)" = "Removed 100001 dead lock files" ] || fail "$(tail -1 out)"
exit 0
