#!/bin/bash
# calctl: what an operator registers is what the pipeline uses; the seed's command line and words.
# shellcheck source=tests/lib.sh disable=SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir calctl
calctl() { "$build/calctl" "$@"; }
sql() { sqlite3 root/state/cal_registry.sqlite3 "$1"; }
gives() { # gives CODE WORDS COMMAND...
    local want=$1 words=$2 got=0
    shift 2
    "$@" >said 2>&1 || got=$?
    [ $got -eq "$want" ] || fail "$*: exit $got, not $want: $(cat said)"
    grep -q -e "$words" said || fail "$*: $(cat said)"
}

"$build/uvh5sim" --out in --calibrator 0834+555 --no-field --antennas 12 --integrations 2 --channels 2 >sim.log
group=$(basename "$(ls in/*_sb00.hdf5)" _sb00.hdf5)
settings '[workers]' 'max_retries = 0'

gives 64 'usage: calctl register' calctl
gives 64 'no such command: regster' calctl regster
gives 64 'needs --name, --ra and --dec' calctl register -c w.conf --name A
gives 64 'flux is one at a frequency' calctl register -c w.conf --name A --ra 1 --dec 2 --flux 3
gives 64 'is no right ascension' calctl register -c w.conf --name A --ra 25h00m00s --dec 2
gives 64 "whose registry" calctl register --name A --ra 1 --dec 2
gives 66 'nowhere' calctl import -c w.conf nowhere.txt
gives 0 'calctl list --dec' calctl --help
gives 1 'No calibrator registered for Dec -45.00' calctl list -c w.conf --dec -45
gives 1 'No calibrator registered for Dec -45.00' calctl transits --dec -45
[ ! -e root/state/cal_registry.sqlite3 ] || fail "looking has made a registry"

# the seed's own line: the place to few digits, the flux from the table
gives 0 'registered 3C286 at 202.78453 +30.50916, 14.7' calctl register -c w.conf --name "3C286" --ra 202.78 --dec 30.51
[ "$(sql 'SELECT name, round(dec_deg, 3) FROM calibrators')" = '3C286|30.509' ] || fail "$(sql 'SELECT * FROM calibrators')"
gives 0 'without a flux' calctl register -c w.conf --name DARK --ra 10 --dec 16
gives 0 'not used' calctl show -c w.conf dark
gives 0 '^2026-01-27T01:33:5[0-9]  0204+152 .* up 68' calctl transits -c w.conf --dec 15.4 --start 2026-01-26T08:00:00 --hours 24
calctl list --json -c w.conf --dec 30.5 | /usr/bin/python3 -c '
import json, sys
used = [c["name"] for c in json.load(sys.stdin) if c["used"] and abs(c["ra_deg"] - 202.78) < .1]
assert used == ["3C286"], used'

# half the flux of the table for the source in the field: the group takes it
gives 0 '4.4 Jy at 1405.0 MHz' calctl register -c w.conf --name MINE --ra 128.72877 --dec 55.57252 --flux 4.4 --freq 1405 --note 'a test'
once
[ $rc -eq 0 ] || fail "exit $rc: $(grep task_failed log)"
/usr/bin/python3 - "root/products/tiles/$group/qa.json" <<'END'
import json, sys
qa = json.load(open(sys.argv[1]))
cal = qa["calibration"]
assert cal["name"] == "MINE" and cal["source"] == "registered", cal
assert 4.2 < cal["apparent_jy"] < 4.41, cal
assert 4.0 < qa["peak_jy"] < 4.6, qa["peak_jy"]
END
[ "$(sql "SELECT registered_by, flux_jy, notes FROM calibrators WHERE name = 'MINE'")" = 'calctl|4.4|a test' ] ||
    fail "the program has changed the operator's row: $(sql 'SELECT * FROM calibrators')"
[ "$(sql 'SELECT count(*) FROM calibrators WHERE ra_deg IS NULL OR dec_deg IS NULL OR source_catalog IS NULL')" = 0 ] ||
    fail "rows without a place"
gives 0 'used no longer' calctl retire -c w.conf MINE
gives 1 'no calibrator NOBODY' calctl retire -c w.conf NOBODY
calctl show --json -c w.conf 0834+555 | grep -q '"used": true' || fail "the table's is not used again"

list=${WATCHERD_TEST_DATA:-../shared/data}/calibrators/vlacals.txt
if [ -e "$list" ]; then
    gives 0 '1860 sources, 1020 of them' calctl import -c w.conf "$list"
    [ "$(sql 'SELECT count(*) FROM calibrators WHERE flux_jy > 0')" -ge 1020 ] || fail "$(sql 'SELECT count(*) FROM calibrators')"
    gives 0 Perley calctl show -c w.conf 0137+331
fi
echo "ok: what is registered is what is used"
