#!/bin/bash
# uvh5sim as a program: refusals in one sentence, names, delivery by rename, the same bytes for
# the same seed, groups that do not depend on their neighbours, faults where asked for.
# shellcheck disable=SC2012
set -u
sim=$(cd "${BUILD:-build}" && pwd)/uvh5sim
dir=$(mktemp -d "${TMPDIR:-/tmp}/run-uvh5sim-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
tiny="--antennas 4 --integrations 2 --channels 3 --quiet"
fail() { echo "FAIL: $*"; exit 1; }

"$sim" --help | grep -q -- '--calibrator NAME' || fail "--help does not tell"
[ "$("$sim" --version)" = "uvh5sim $("$sim" --version | cut -d' ' -f2)" ] || fail "--version"

# Wrong usage: 64, one line that names the value, and nothing written.
refuse() {
    local want=$1 rc; shift
    "$sim" "$@" >said 2>&1; rc=$?
    [ $rc -eq 64 ] || fail "$*: exit $rc, not 64"
    [ "$(wc -l <said)" -eq 1 ] || fail "$*: not one line: $(cat said)"
    grep -q -- "$want" said || fail "$*: $(cat said)"
    [ ! -e no ] || fail "$*: wrote something"
}
refuse '--out DIR'
refuse 'whole number from 2 to 96' --out no --antennas 97
refuse '2.5' --out no --antennas 2.5
refuse '1e' --out no --groups 1e
refuse 'tomorrow' --out no --start tomorrow
refuse 'NOSUCH' --out no --calibrator NOSUCH
refuse 'square' --out no --beam square
refuse '118' --out no --dead 3,118
refuse 'not both' --out no --sky x --calibrator 3C273
refuse 'frobnicate' --out no --frobnicate
refuse 'no random sky' --out no --min-flux 3
echo 'x,10,20,nonsense' >bad.csv
"$sim" --out no --sky bad.csv 2>said && fail "took a bad table"
grep -q 'bad.csv:1:' said || fail "bad table: $(cat said)"

# Names: 16 sub-bands a group, spread as observed; none when asked.
# shellcheck disable=SC2086
"$sim" --out a --groups 2 --start 2026-02-03T23:59:00 --jitter none $tiny >said || fail "plain run"
[ "$(ls a/*_sb*.hdf5 | wc -l)" -eq 32 ] || fail "not 32 files"
[ "$(ls a/2026-02-03T23:59:00_sb??.hdf5 | wc -l)" -eq 16 ] || fail "names of group 1"
[ "$(ls a/2026-02-04T00:04:09_sb??.hdf5 | wc -l)" -eq 16 ] || fail "names of group 2 (midnight)"
[ -z "$(find a -maxdepth 1 -type f ! -name '*_sb??.hdf5')" ] || fail "other files beside the data"
for f in sky.csv gains.h5 groups.json; do [ -s "a/truth/$f" ] || fail "no truth/$f"; done
"$sim" --out j --groups 40 --subbands 16 --antennas 2 --integrations 1 --channels 1 --quiet \
    --no-field >said || fail "40 groups"
spread=$(ls j/*.hdf5 | sed 's/.*T\(.*\)_sb.*/\1/' | sort -u | wc -l)
[ "$spread" -gt 60 ] && [ "$spread" -lt 200 ] || fail "$spread different times in 40 groups"

# What is there is never overwritten.
# shellcheck disable=SC2086
"$sim" --out a --start 2026-02-03T23:59:00 --jitter none $tiny 2>said && fail "overwrote"
grep -q 'exists' said || fail "refusal: $(cat said)"

# The same seed gives the same bytes; a group does not depend on how many there are.
# shellcheck disable=SC2086
{
    "$sim" --out b --start 2026-02-03T23:59:00 --jitter none --deliver $tiny >said &&
        "$sim" --out c --start 2026-02-03T23:59:00 --jitter none --seed 2 $tiny >said
} || fail "second runs"
[ -z "$(ls b | grep incomplete)" ] || fail "incomplete files stay"
one=2026-02-03T23:59:00_sb07.hdf5
cmp -s a/truth/sky.csv b/truth/sky.csv && fail "two groups see no more sky than one"
[ -z "$(grep -vxFf a/truth/sky.csv b/truth/sky.csv)" ] || fail "one group sees another sky"
cmp -s b/$one c/$one && fail "seed 2 gives the data of seed 1"
# shellcheck disable=SC2086
"$sim" --out d --sky a/truth/sky.csv --start 2026-02-03T23:59:00 --jitter none $tiny >said ||
    fail "sky from a table"
# shellcheck disable=SC2086
"$sim" --out f --sky a/truth/sky.csv --start 2026-02-03T23:59:00 --jitter none --groups 3 $tiny \
    >said || fail "sky from a table, 3 groups"
cmp d/$one f/$one || fail "group 1 depends on the number of groups"

# Delivery: the name appears only with the whole file.
[ -x /usr/bin/python3 ] || exit 0
cat >watch.py <<'PY'
import os, subprocess, sys, time
p = subprocess.Popen([sys.argv[1], "--out", "w", "--deliver", "--subbands", "3", "--antennas", "30",
                      "--channels", "12", "--quiet"], stdout=subprocess.DEVNULL)
full, partial = {}, 0
while p.poll() is None or not full:
    try:
        for e in os.scandir("w"):
            if e.name.endswith("_incomplete.hdf5"):
                partial += 1
            elif e.name.endswith(".hdf5"):
                size = e.stat().st_size
                assert full.setdefault(e.name, size) == size, e.name + " grew"
    except FileNotFoundError:
        pass
    if p.poll() not in (None, 0):
        sys.exit("uvh5sim failed")
assert partial, "never saw an incomplete file"
assert len(set(full.values())) == 1, full
PY
/usr/bin/python3 watch.py "$sim" || fail "delivery"
echo "all well"
