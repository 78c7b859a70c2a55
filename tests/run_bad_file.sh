#!/bin/bash
# Files that are no good: each is named once in the log with its reason, nothing of it is published, it
# stays as it was, and the good group beside it is published all the same.
# shellcheck source=tests/lib.sh disable=SC2010,SC2012,SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir bad-file
settings
good=2026-01-26T08:01:58 # of all simulations
bad=2026-01-26T09:00:00
simulate made "$good" --jitter none
simulate made "$bad" --jitter none

# trial NAME PATTERN FAILED: $bad as it lies in in/ beside the good group; the sentence; 1 when the
# program has to end with 1.
trial() {
    rm -rf log root
    cp -p made/"$good"_* in/
    sums in >before
    once
    [ "$rc" -eq "$3" ] || fail "$1: exit $rc, not $3"
    lines 1 "level=(warn|error) .*($2)"
    [ -e "root/products/tiles/$good/image.fits" ] || fail "$1: the good group is missing"
    [ "$(ls root/products/tiles | grep -v gen)" = "$good" ] || fail "$1: published"
    lines 0 "event=done .*$bad"
    sums in | cmp - before || fail "$1: an input was changed"
    echo "$1: $(grep -E -m1 "$2" log | sed 's/.*event=/event=/')"
    rm -rf in
    mkdir in
}
put() { cp -p made/"$bad"_* in/; }

put; truncate -s -5000 in/"$bad"_sb03.hdf5
trial "truncated" 'event=(bad_file|left) file=[^ ]*_sb03.hdf5 reason="[^"]+' 1

put; echo "correlator: no space left on device" >in/"$bad"_sb04.hdf5
trial "not HDF5" 'event=(bad_file|left) file=[^ ]*_sb04.hdf5 reason="[^"]+' 1

put; head -c 100000 /dev/zero >in/"$bad"_sb05.hdf5
trial "zeros" 'event=(bad_file|left) file=[^ ]*_sb05.hdf5 reason="[^"]+' 1

put; : >in/"$bad"_sb06.hdf5
trial "empty" 'event=(bad_file|left) file=[^ ]*_sb06.hdf5 reason="[^"]+' 1

put; /usr/bin/python3 -c 'import h5py, sys
with h5py.File(sys.argv[1], "w") as f: f["x"] = 1' in/"$bad"_sb07.hdf5
trial "HDF5, but not UVH5" "event=(bad|task_failed) .*reason=\"[^\"]*${bad}_sb07.hdf5" 1

# A header that does not confirm the name: a lost clock, two sub-bands swapped, a foreign group.
put; for sb in 00 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15; do
    mv in/"${bad}_sb$sb.hdf5" in/"2026-01-26T10:00:00_sb$sb.hdf5"
done
trial "wrong time" 'event=(bad|task_failed) .*2026-01-26T10:00:00.*header says 2026-01-26T0' 1

put; mv in/"$bad"_sb08.hdf5 in/x; mv in/"$bad"_sb11.hdf5 in/"$bad"_sb08.hdf5; mv in/x in/"$bad"_sb11.hdf5
trial "swapped sub-bands" "event=(bad|task_failed) .*$bad.*not below sub-band" 1

cp -p made/"$good"_sb02.hdf5 in/notes.hdf5
trial "foreign name" 'event=foreign file=[^ ]*notes.hdf5 reason=' 0
