#!/bin/bash
# Real data, no hand on it: the two SZA groups of 3C273 are dropped into the watched directory of a
# running daemon and become two images and a mosaic with the numbers that other software
# found on the same files (issue 2: phase rms 100 -> 7.8 -> 2.3 deg, dynamic range about 73).
# shellcheck source=tests/lib.sh disable=SC2010,SC2012,SC2034,SC2154
set -eu
data=$(realpath "${WATCHERD_TEST_DATA:-../shared/data}/sza-3c273/groups" 2>/dev/null || true)
[ -d "$data" ] || { echo "skipped: the SZA data (sza-3c273/groups) are not here"; exit 77; }
. "$(dirname "$0")/lib.sh"
own_dir sza
settings '[imaging]' 'size = 0' 'cell_arcsec = 0' 'niter = 2000' '[calibration]' 'model_rounds = 1' \
    'bandpass_snr = 1e6' # none is that good, so the second group holds the first one's

start
# The first group is written in place, the second one moved in under its final names.
cp "$data"/2010-08-03T21:12:10_* in/
wait_for log "event=start .*21:12:10"
mkdir beside
cp "$data"/2010-08-03T21:17:10_* beside/
mv beside/* in/
wait_for log 'event=done task=mosaic'
lines 2 'event=group_complete .*files=16'
lines 2 'event=done task=continuum'
lines 0 'level=(warn|error)'
stop
[ $rc -eq 0 ] || fail "TERM: exit $rc, not 0"

cat >judge.py <<'END'
import glob, json, math, sys
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
import astropy.units as u

first, second = "root/products/tiles/2010-08-03T21:12:10", "root/products/tiles/2010-08-03T21:17:10"
# 3C273 in ICRS: Fey et al. 2015, AJ 150, 58 (ICRF2 source 1226+023)
source = SkyCoord("12h29m06.6997s", "+02d03m08.598s")

def within(what, x, lo, hi):
    print(f"{what}: {x:.4g} (from {lo} to {hi})")
    assert lo <= x <= hi, what

def load(path):
    with fits.open(path) as f:
        return np.squeeze(f[0].data), WCS(f[0].header).celestial, f[0].header

names = sorted(f"2010-08-03T21:12:10_sb{i:02d}.hdf5" for i in range(16))
manifest = json.load(open(first + "/manifest.json"))
assert [i["path"].split("/")[-1] for i in manifest["inputs"]] == names, "inputs"
cal = {g: json.load(open(g + "/qa.json"))["calibration"] for g in (first, second)}
assert cal[first]["solved_bandpass"] == 1 and cal[second]["solved_bandpass"] == 0
assert "21:12:10" in cal[second]["bandpass"], cal[second]["bandpass"]
within("phase rms raw", cal[second]["phase_rms_raw_deg"], 90, 110)
within("with the first group's bandpass", cal[second]["phase_rms_bandpass_deg"], 6.3, 9.3)
within("with gains", cal[second]["phase_rms_deg"], 0.5, 2.6)

for g in (first, second):
    image, wcs, header = load(g + "/image.fits")
    y, x = np.unravel_index(np.nanargmax(image), image.shape)
    cx, cy = wcs.world_to_pixel(SkyCoord(header["CRVAL1"], header["CRVAL2"], unit="deg"))
    within("brightest pixel from the phase centre", math.hypot(x - cx, y - cy), 0, 1)
    within("dynamic range", json.load(open(g + "/qa.json"))["dynamic_range"], 73, 2000)
    # Judged without our own noise: rms far from the source.
    far = np.hypot(*np.indices(image.shape) - np.array([[[y]], [[x]]])) > 15
    within("peak over rms far away", np.nanmax(image) / np.nanstd(image[far]), 73, 2000)

mosaics = [m for m in glob.glob("root/products/mosaics/*") if ".gen" not in m]
assert len(mosaics) == 1, mosaics
image, wcs, header = load(mosaics[0] + "/mosaic.fits")
y, x = np.unravel_index(np.nanargmax(image), image.shape)
# The peak between pixels: a parabola through three, along each axis.
def between(a, b, c):
    return 0.5 * (a - c) / (a - 2 * b + c)
dx, dy = between(*image[y, x - 1:x + 2]), between(*image[y - 1:y + 2, x])
found = wcs.pixel_to_world(x + dx, y + dy)
within("mosaic peak from 3C273, beams", found.separation(source).deg / header["BMIN"], 0, 0.1)
assert json.load(open(mosaics[0] + "/manifest.json"))["meta"]["tiles"] == [
    "2010-08-03T21:12:10", "2010-08-03T21:17:10"]
END
/usr/bin/python3 judge.py

# Once more: nothing is left to do, and no generation moves on.
before=$(ls root/products/*)
once
[ $rc -eq 0 ] || fail "second run: exit $rc"
[ "$before" = "$(ls root/products/*)" ] || fail "the second run published again"
lines 2 'event=done task=continuum'
lines 1 'event=done task=mosaic'
# A lost queue: each group is recognised by its manifest and skipped.
rm -r root/state
once
[ $rc -eq 0 ] || fail "without its queue: exit $rc"
[ "$before" = "$(ls root/products/*)" ] || fail "without its queue it published again"
lines 3 'event=skipped'
echo "32 files, two images, one mosaic"
