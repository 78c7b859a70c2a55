#!/bin/bash
# The calibrator that the settings give is the one used, with their flux, also under a name that the
# table of calibrators has; where it cannot be used the group fails with that sentence.
# shellcheck source=tests/lib.sh disable=SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir calibrator

"$build/uvh5sim" --out in --calibrator 0834+555 --no-field --antennas 12 --integrations 2 --channels 2 >sim.log
group=$(basename "$(ls in/*_sb00.hdf5)" _sb00.hdf5)
qa=root/products/tiles/$group/qa.json

# 0834+555 has 8.8 Jy in the table and in the simulated sky; the settings say half of that.
settings '[calibration]' 'calibrator = 0834+555,128.72877,55.57252,4.4,1405'
once
[ $rc -eq 0 ] || fail "exit $rc, not 0"
/usr/bin/python3 - "$qa" <<'END'
import json, sys
qa = json.load(open(sys.argv[1]))
cal = qa["calibration"]
assert cal["name"] == "0834+555", cal
assert 4.2 < cal["apparent_jy"] < 4.41, cal
assert 4.0 < qa["peak_jy"] < 4.6, qa["peak_jy"]
END

# One of another name, two degrees away: no other takes its place.
rm -rf root
settings '[calibration]' 'calibrator = MINE,128.72877,53.5,4.4,1405' '[workers]' 'max_retries = 0'
once
[ $rc -ne 0 ] || fail "a group without its calibrator was done"
grep -q 'calibrator MINE is 2.0[0-9] degrees from the middle of the field.*the settings give this one' log ||
    fail "no sentence about the calibrator that was given"
[ ! -e "$qa" ] || fail "a product without its calibrator"
echo "ok: the calibrator that the settings give is the one used"
