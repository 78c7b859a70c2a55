#!/bin/bash
# What is known to be doubtful is not published as "passed": interference fails, data imaged without
# gains are uncalibrated and in a unit of their own, half of the receivers' noise said twice is a
# warning; qa.json, FITS headers, registry and `watcherd why` give the same verdict and reasons.
# shellcheck source=tests/lib.sh disable=SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir verdict

sim() { "$build/uvh5sim" --out in --calibrator 0834+555 --no-field --antennas 14 --integrations 3 --channels 3 "$@" >sim.log; }
judge() { # STATUS REASON UNIT: what is said everywhere
    local g tile
    g=$(basename "$(ls in/*_sb00.hdf5)" _sb00.hdf5)
    tile=root/products/tiles/$g
    /usr/bin/python3 - "$tile" "$g" "$@" <<'END'
import json, re, sqlite3, sys
from astropy.io import fits
tile, group, status, reason, unit = sys.argv[1:]
qa = json.load(open(tile + "/qa.json"))
print(qa["qa_status"], qa["reasons"], qa["thermal"], qa["imaged_fraction"])
assert qa["qa_status"] == status
assert any(re.search(reason, r) for r in qa["reasons"]) if reason else qa["reasons"] == []
assert qa["unit"] == unit
assert qa["catalogue"]["expected"] == 0, "the calibrator is compared with itself"
for name in ("image.fits", "image-pb.fits", "residual.fits"):
    h = fits.getheader(f"{tile}/{name}")
    assert h["QASTATUS"] == status and h["BUNIT"] == unit, (name, h["QASTATUS"], h["BUNIT"])
    assert [h[f"QAREAS{i + 1}"] for i in range(len(qa["reasons"]))] == qa["reasons"]
# The header says where and with what the image was made, the manifest with which settings.
history = "\n".join(h["HISTORY"])
assert h["INSTRUME"] and abs(h["OBSGEO-X"] / -2.409e6 - 1) < 0.01 and 30 < h["XPOSURE"] < 50, repr(h)
assert "weighting natural" in history and "CLEAN: mask above 5 sigma" in history, history
assert ("calibrator 0834+555" in history) == (status != "uncalibrated"), history
manifest = json.load(open(tile + "/manifest.json"))
assert re.fullmatch(r"watcherd [0-9.]+( \([0-9a-f]{12}\))?", manifest["software"]), manifest["software"]
assert manifest["meta"]["settings"]["imaging"]["niter"] == "3000" and "queue" not in manifest["meta"]["settings"]
db = sqlite3.connect("root/state/products.sqlite3")
row = db.execute("SELECT qa_status, qa_reasons, cal_applied, noise_jy FROM images WHERE group_id = ?", (group,)).fetchone()
assert row[0] == status and json.loads(row[1]) == qa["reasons"], row
assert row[2] == (status != "uncalibrated") and (row[3] is None) == (status == "uncalibrated"), row
# A bandpass is offered to other groups with what it is worth, and not at all by a group that failed.
row = sqlite3.connect("root/state/cal_registry.sqlite3").execute(
    "SELECT status, qa_status, quality, dec_deg, refant, quality_metrics FROM caltables").fetchone()
if status == "uncalibrated":
    assert row is None
else:
    assert row[0] == ("failed" if status == "failed" else "active") and row[1] == status, row
    assert status == "failed" or row[2] > 10 and abs(row[3] - 55.5) < 0.2 and row[4], row
    assert "failed_solutions" in json.loads(row[5]), row
    cal = sqlite3.connect("root/state/cal_registry.sqlite3").execute(
        "SELECT name, ra_deg, dec_deg, flux_jy, source_catalog FROM calibrators").fetchone()
    assert cal[0] == "0834+555" and abs(cal[1] - 128.7288) < 1e-3 and 8 < cal[3] < 9 and "VLA" in cal[4], cal
END
    ! command -v fitsverify >/dev/null || fitsverify "$tile/image-pb.fits" | grep -q 'found 0 warning(s) and 0 error(s)' ||
        fail "fitsverify: $(fitsverify "$tile/image-pb.fits")"
    "$build/watcherd" why -c w.conf "$g" >why
    [ "$1" = passed ] || grep -q "; $1: " why || fail "why says nothing of it: $(cat why)"
}

settings '[imaging]' 'niter = 3000'
sim
once
[ $rc -eq 0 ] || fail "exit $rc, not 0"
judge passed '' Jy/beam
rm -rf root

settings '[imaging]' 'niter = 3000' '[calibration]' 'calibrator = none'
once
[ $rc -eq 0 ] || fail "uncalibrated: exit $rc, not 0"
judge uncalibrated '^uncalibrated: ' uncalib/beam
rm -rf root

settings '[imaging]' 'niter = 3000' '[qa]' 'noise_warn = 0.1'
once
judge warning '^warning: the noise over what the receivers explain is .*, more than 0.1$' Jy/beam
rm -rf root in

sim --rfi 0.003
settings '[imaging]' 'niter = 3000' '[flagging]' 'enabled = no'
once
judge failed '^failed: the noise over what the receivers explain is .*, more than 5$' Jy/beam
echo "ok: every verdict has its reasons, everywhere"
