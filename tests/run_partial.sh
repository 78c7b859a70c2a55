#!/bin/bash
# [group] partial: hold, process from min_members, quarantine and release; [watch] min_bytes and max_bytes.
set -eu
. "$(dirname "$0")/lib.sh"
own_dir partial
g=2026-01-26T08:01:58
simulate made "$g" --jitter none --subbands 4
W=$build/watcherd
three() { rm -rf root in && mkdir in && cp made/"$g"_sb0[013].hdf5 in/; }
policy() {
    settings '[group]' 'expected = 4' 'deadline_s = 0.3' "$@" '[mosaic]' 'tiles = 9'
}
files() { /usr/bin/python3 -c 'import json, sys
print(*sorted(x["path"].rsplit("/")[-1][20:24] for x in json.load(open(sys.argv[1]))[sys.argv[2]]))' "$@"; }

# process: three are enough; the tile is made of these, once.
policy 'partial = process' 'min_members = 3'
three
start
wait_for log "event=done .*$g"
lines 1 "event=group_partial group=$g files=3 queued=yes"
lines 1 "event=done .*$g"
[ "$(files root/products/tiles/$g/manifest.json inputs)" = "sb00 sb01 sb03" ] || fail "inputs"
# The fourth is late: recorded, and nothing is made again without being asked.
cp made/"$g"_sb02.hdf5 in/
wait_for log "event=late .*sb02"
"$W" why "$g" -c w.conf >out || fail "why: $(cat out)"
stop
lines 1 'event=start'

# process, but too few: held.
policy 'partial = process' 'min_members = 4'
three
start
wait_for log 'event=partial'
stop
lines 0 'event=start'
lines 1 "event=partial group=$g reason=.*missing sb02"

# quarantine: set aside with the list of its files, which stay; a restart does not forget it.
policy 'partial = quarantine'
three
sums in >before
start
wait_for log "event=quarantined group=$g"
record=root/state/quarantine/$g.json
[ "$(files "$record" files)" = "sb00 sb01 sb03" ] || fail "record: $(cat "$record")"
grep -q '3 of 4 members after 0.3 s, missing sb02' "$record" || fail "reason: $(cat "$record")"
rc=0
"$W" why "$g" -c w.conf >out || rc=$?
[ $rc -eq 1 ] && grep -q "set aside incomplete; its files are listed in .*$g.json" out || fail "$(cat out)"
"$W" status -c w.conf | grep -q '1 set aside' || fail "status"
sums in | cmp - before
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null || true
start
cp made/"$g"_sb02.hdf5 in/
until_true eval '"$W" status -c w.conf | grep -q "4 settled"'
lines 0 'event=(quarantined|start|group_)'
rc=0
"$W" why "$g" -c w.conf >out || rc=$?
[ $rc -eq 1 ] || fail "set aside after a restart: $(cat out)"
# The operator lets it go: it is complete now.
"$W" release "$g" -c w.conf >/dev/null
wait_for log "event=done .*$g"
[ ! -e "$record" ] || fail "the record is left"
"$W" release "$g" -c w.conf 2>out && fail "released twice"
grep -q 'is not set aside' out || fail "$(cat out)"
stop

# Sizes: too small and too large files are bad, each with its sentence.
policy 'partial = hold' '[watch]' 'min_bytes = 200000'
three
rm -f log
once
lines 3 'event=bad_file .*fewer than the 200000 allowed'
policy 'partial = hold' '[watch]' 'max_bytes = 100000'
rm -rf root log
once
lines 3 'event=bad_file .*more than the 100000 allowed'

# Settings that contradict each other.
for wrong in 'partial = keep' 'min_members = 5'; do
    policy "$wrong"
    rc=0
    "$W" -c w.conf --check-config 2>out || rc=$?
    [ $rc -eq 78 ] || fail "$wrong: exit $rc"
    cat out
done
