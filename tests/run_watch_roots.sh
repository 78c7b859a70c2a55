#!/bin/bash
# watcherd watch add, list, remove on the running daemon: at once, over a kill and a restart, and with
# what must be refused.
set -eu
. "$(dirname "$0")/lib.sh"
own_dir roots
settings '[group]' 'expected = 2' '[mosaic]' 'tiles = 9' '[watch]' "also = $dir/also" \
    '[qa]' 'noise_warn = 0' 'noise_fail = 0' # so coarse an image is a failed one otherwise
g=2026-01-26T08:01:58 h=2026-01-26T09:00:00 k=2026-01-26T10:00:00
for t in "$g" "$h" "$k"; do simulate made "$t" --jitter none --subbands 2; done
mkdir -p also extra/below later in/inner
W="$build/watcherd"
w() { "$W" watch "$@" -c w.conf; }
# refuse STATUS PATTERN ARG...
refuse() {
    local want=$1 pattern=$2 got=0
    shift 2
    w "$@" >out 2>&1 || got=$?
    [ "$got" -eq "$want" ] && grep -q -E -e "$pattern" out || fail "watch $*: exit $got: $(cat out)"
}

refuse 69 'no daemon runs' list
start
# [watch] also is watched like incoming.
cp made/"$g"_* also/
wait_for log "event=done .*$g"

# Added: a group below it is found, one half in each of two roots.
w add extra --recursive | grep -q "^$dir/extra is watched from now on$" || fail "add"
cp made/"$h"_sb00.hdf5 extra/below/
cp made/"$h"_sb01.hdf5 in/
wait_for log "event=done .*$h"
# One that is not there yet, by polling.
w add soon --poll | grep -q 'it is not there yet' || fail "add what is missing"

refuse 1 'extra/below is not added: its files are those of the root .*/extra' add extra/below
refuse 1 'in is not added' add in
ln -s in alias
refuse 1 'is not added' add alias
refuse 1 'cannot watch .*w.conf: not a directory' add w.conf
refuse 1 'also is a root of the settings' remove also
refuse 1 'never is not watched' remove never
refuse 64 '' add
refuse 64 '' fly
refuse 64 'belong to watch add' list --poll

# What was added survives a kill; the list says how each root is watched.
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null || true
start
w list --json | /usr/bin/python3 -c '
import json, sys
top = sys.argv[1]
r = {x["path"][len(top) + 1:]: x for x in json.load(sys.stdin)["roots"]}
assert set(r) == {"in", "also", "extra", "soon"}, r
assert r["extra"]["recursive"] and r["extra"]["from"] == "operator" and r["extra"]["attached"]
assert r["in"]["from"] == "settings" and r["in"]["mode"] == "inotify"
assert not r["soon"]["attached"] and r["soon"]["poll"]' "$dir" || fail "list: $(w list)"
w list | grep -A1 "^$dir/soon" | grep -q 'polled, MISSING (waited for)' || fail "list: $(w list)"

# It comes: the polled root is found missing until then.
mkdir soon
cp made/"$k"_sb00.hdf5 soon/
cp made/"$k"_sb01.hdf5 extra/below/
wait_for log "event=done .*$k"
[ "$(w list --json | grep -c '"attached": true')" -eq 4 ] || fail "attached: $(w list)"

# Removed: what waits there is forgotten, now and after a restart.
m=2026-01-26T11:00:00
simulate made "$m" --jitter none --subbands 2
cp made/"$m"_sb00.hdf5 extra/
until_true eval '"$W" why "$m" -c w.conf | grep -q "1 of 2"'
w remove extra | grep -q '1 of its files were waiting and are forgotten' || fail "remove"
"$W" why "$m" -c w.conf >out || true
grep -q "no file of such a group" out || fail "not forgotten: $(cat out)"
cp made/"$m"_sb01.hdf5 extra/
stop
[ $rc -eq 0 ] || fail "exit $rc"
start
[ "$(w list --json | grep -c '"path"')" -eq 3 ] || fail "after a restart: $(w list)"
lines 0 "event=.*$m"
stop

# A damaged list is set aside, and said; the daemon works on.
echo '{"roots": [' >root/state/roots.json
start
lines 1 'event=roots file=.*roots.json'
[ -e root/state/roots.json.damaged ] || fail "not set aside"
w add later >/dev/null
stop
grep -q '/later"' root/state/roots.json || fail "roots.json: $(cat root/state/roots.json)"
[ ! -e "$dir/root/state/control.sock" ] || fail "socket left"
