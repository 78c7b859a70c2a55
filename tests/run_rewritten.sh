#!/bin/bash
# A file of a finished group is rewritten: the group is made again, as a new generation, when all its
# files have settled; while the daemon runs, and while it does not.  A touch of nothing makes nothing.
# One that is rewritten while it is processed: nothing is published from what was read.
# matrix: watch 6 rewritten after and while it is processed
set -eu
. "$(dirname "$0")/lib.sh"
own_dir rewritten
settings '[group]' 'expected = 3' '[mosaic]' 'tiles = 9'
g=2026-01-26T08:01:58
simulate in "$g" --jitter none --subbands 3
simulate other "$g" --jitter none --subbands 3 --seed 8
link() { readlink "root/products/tiles/$g"; }

start
wait_for log "event=done .*$g"
[ "$(link)" = "$g.gen1" ] || fail "first: $(link)"

# One file, in place.
cat other/"$g"_sb01.hdf5 >in/"$g"_sb01.hdf5
wait_for log "event=done .*gen2"
lines 1 "event=rewritten .*sb01"
lines 1 "event=again group=$g"
[ "$(link)" = "$g.gen2" ] || fail "second: $(link)"

# Two at a time, one of them slowly (held open): made once, when both are whole.
exec 7>>in/"$g"_sb02.hdf5
cat other/"$g"_sb02.hdf5 >in/"$g"_sb02.hdf5
cat other/"$g"_sb00.hdf5 >in/"$g"_sb00.hdf5
wait_for log "event=rewritten .*sb00"
exec 7>&-
wait_for log "event=done .*gen3"
[ "$(link)" = "$g.gen3" ] || fail "third: $(link)"
[ "$(grep -o '_sb0[0-9].hdf5' "root/products/tiles/$g/manifest.json" | sort -u | wc -l)" -eq 3 ] ||
    fail "made of too few files: $(cat "root/products/tiles/$g/manifest.json")"
lines 2 "event=again group=$g"

# All of them anew, by renaming over.
mkdir new
cp in/* new/
mv new/* in/
wait_for log "event=done .*gen[45]" # 5: one of them came while the others were being read
stop
lines 4 'event=done'
last=$(link)
next=$g.gen$((${last##*.gen} + 1))

# While nobody watches; then a restart with nothing new.
cp other/"$g"_sb01.hdf5 in/"$g"_sb01.hdf5
start
wait_for log "event=done .*$next"
stop
once
[ $rc -eq 0 ] || fail "once: exit $rc"
[ "$(link)" = "$next" ] || fail "after a restart: $(link)"
lines 1 'event=start'

# A failed group whose file is mended is tried again.
h=2026-01-26T09:00:00
simulate made "$h" --jitter none --subbands 3
cp made/"$h"_* in/
cp made/"$h"_sb00.hdf5 in/"$h"_sb02.hdf5
start
wait_for log "event=task_failed .*$h"
cp made/"$h"_sb02.hdf5 in/"$h"_sb02.hdf5
wait_for log "event=done .*$h"
stop

# Inputs that were deleted are no reason to make anything again.
rm in/*
once
[ $rc -eq 0 ] || fail "deleted inputs: exit $rc"
lines 2 'event=start .*'"$h"

# Rewritten in the middle of its processing: noticed before it is published, then made of the new one.
k=2026-01-26T10:00:00
simulate made "$k" --jitter none --subbands 3
simulate other "$k" --jitter none --subbands 3 --seed 8
sed -i 's/^size = .*/size = 1024/' w.conf
start
cp made/"$k"_* in/
wait_for log "event=step .*$k step=convert"
worker=$(pgrep -P "$daemon")
kill -STOP "$worker"
cat other/"$k"_sb01.hdf5 >in/"$k"_sb01.hdf5
kill -CONT "$worker"
wait_for log "event=done .*$k"
stop
lines 1 "event=failed .*$k.*_sb01.hdf5 was rewritten while it was processed"
lines 1 "event=done .*$k"
[ "$(readlink "root/products/tiles/$k")" = "$k.gen2" ] || fail "$(ls -l root/products/tiles)"
[ ! -e "root/products/tiles/$k.gen1" ] || fail "published from what was read"
/usr/bin/python3 - "root/products/tiles/$k/manifest.json" <<'END' || fail "made of the old file"
import json, os, sys
for i in json.load(open(sys.argv[1]))["inputs"]:
    assert os.stat(i["path"]).st_mtime_ns == i["mtime_ns"], i
END
