#!/bin/bash
# Two daemons that share the files but nothing else (two hosts on one file system): every group and the
# mosaic are published by one of them, once; the other finds them busy or done.
# shellcheck source=tests/lib.sh disable=SC2010,SC2012,SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir twice
one=2026-01-26T08:01:58
simulate in "$one" --jitter none --groups 2
sums in >before
for d in a b; do
    settings '[paths]' "state = $dir/state-$d"
    mv w.conf "$d.conf"
done

"$build/watcherd" -c a.conf --once 2>log.a &
a=$!
"$build/watcherd" -c b.conf --once 2>log.b &
b=$!
for p in $a $b; do
    rc=0
    wait "$p" || rc=$?
    [ $rc -eq 0 ] || fail "exit $rc: $(cat log.a log.b)"
done
cat log.a log.b >log

two=$(ls root/products/tiles | grep -v gen | tail -1)
for task in "task=continuum group=$one" "task=continuum group=$two" "task=mosaic"; do
    lines 1 "event=done $task"
    lines 1 "event=skipped $task"
done
lines 0 'level=(warn|error)'
[ "$(ls -d root/products/*/*.gen*)" = "$(ls -d root/products/*/*.gen1)" ] || fail "$(ls root/products/*)"
[ "$(ls -d root/products/*/*.gen1 | wc -l)" -eq 3 ] || fail "$(ls root/products/*)"
[ -z "$(find root/scratch -type f)" ] || fail "left in scratch: $(find root/scratch -type f)"
sums in | cmp - before || fail "an input was changed"
for d in a b; do # both know of all products
    [ "$(sql state-$d/data_registry.sqlite3 'SELECT count(*) FROM data_registry')" -eq 3 ] || fail "registry $d"
done
echo "$(count 'event=done') done, $(count 'event=skipped') skipped, $(count 'event=busy') times busy"
