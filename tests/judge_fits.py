#!/usr/bin/python3
"""Our FITS files, judged by astropy (wcslib) and by fitsverify.

build/tests/test_fits writes two images and, for one, where pipeline/sky/wcs.c says its pixels are.
"""
import os
import shutil
import subprocess
import sys
import tempfile

try:
    import numpy as np
    from astropy.io import fits
    from astropy.time import Time
    from astropy.units import Unit
    from astropy.wcs import WCS
except ImportError as why:
    print(f"skipped: {why}")
    sys.exit(77)
if shutil.which("fitsverify") is None:
    print("skipped: fitsverify is not installed")
    sys.exit(77)

test = os.path.join(os.environ.get("BUILD", "build"), "tests", "test_fits")
CLEAN = "found 0 warning(s) and 0 error(s)"
faults = []


def check(ok, what):
    print("ok  " if ok else "FAIL", what)
    if not ok:
        faults.append(what)


def judge_verify(path):
    out = subprocess.run(["fitsverify", path], capture_output=True, text=True)
    check(CLEAN in out.stdout, f"fitsverify has nothing to say of {path}")
    if CLEAN not in out.stdout:
        print(out.stdout)
    with fits.open(path, checksum=True) as hdus:  # a wrong sum is a warning: make it an error
        hdu = hdus[0]
        check(hdu.verify_datasum() == 1 and hdu.verify_checksum() == 1,
              f"astropy finds both checksums of {path} right")


def judge_slanted(path, table):
    hdu = fits.open(path)[0]
    h = hdu.header
    check(hdu.data.shape == (1, 1, 23, 37), "axes are [stokes][freq][dec][ra]")
    check([h[f"CTYPE{i}"] for i in (1, 2, 3, 4)] == ["RA---SIN", "DEC--SIN", "FREQ", "STOKES"],
          "axes are named in that order")
    want = np.add.outer(100.0 * np.arange(23), np.arange(37.0))
    want[4, 9] = np.nan
    check(np.array_equal(hdu.data[0, 0], want, equal_nan=True), "pixels lie as written")
    check(h["BUNIT"] == "Jy/beam" and Unit(h["BUNIT"]) == Unit("Jy/beam"), "BUNIT is a unit")
    check(abs(h["BMAJ"] - 0.05) < 1e-14 and abs(h["BMIN"] - 0.03) < 1e-14
          and abs(h["BPA"] - 25) < 1e-12, "the beam is in degrees")
    check(h["RADESYS"] == "ICRS" and h["ORIGIN"].startswith("watcherd "), "frame and origin")
    check(h["OBJECT"] == "J2359+7136" and h["TELESCOP"] == "OVRO-DSA", "object and telescope")
    check(abs(h["CRVAL3"] - 1405.123e6) < 1e-3 and h["CDELT3"] == 187.5e6, "frequency in Hz")
    check(h["DATAMIN"] == 0 and h["DATAMAX"] == 2236, "smallest and largest pixel")
    check(abs(h["NOISE"] - 2.7e-4) < 1e-18 and h["GROUP"] == "2026-01-25T02:57:46", "extra cards")
    check(abs(Time(h["DATE-OBS"], scale="utc").mjd - 61065.12345678) * 86400 < 6e-4
          and abs(h["MJD-OBS"] - 61065.12345678) < 1e-10, "DATE-OBS and MJD-OBS agree")
    check("HISTORY" not in h, "no history")
    check(h["RESTFRQ"] == h["CRVAL3"] and h["BTYPE"] == "Intensity" and h["EQUINOX"] == 2000,
          "rest frequency, kind of pixels and equinox")
    check(abs(Time(h["DATE-AVG"], scale="utc").mjd - (h["MJD-OBS"] + h["MJD-END"]) / 2) * 86400 < 6e-4
          and abs(h["MJD-AVG"] - (h["MJD-OBS"] + h["MJD-END"]) / 2) < 1e-10, "DATE-AVG is the middle")

    wcs = WCS(h)
    check(wcs.naxis == 4 and wcs.celestial.wcs.lng == 0, "astropy takes the WCS as it is")
    rows = np.loadtxt(table, delimiter=",")
    ra, dec = wcs.celestial.wcs_pix2world(rows[:, 0], rows[:, 1], 0)
    off = np.hypot((((rows[:, 2] - ra) + 180) % 360 - 180) * np.cos(np.radians(dec)), rows[:, 3] - dec)
    print(f"     {len(rows)} pixels, right ascension {ra.min():.3f} to {ra.max():.3f}, "
          f"largest difference {off.max():.2e} degrees")
    check(off.max() < 1e-9, "pixels lie where wcslib says, to 1e-9 degrees")
    check(ra.min() < 1 and ra.max() > 359, "the sample lies across 0 h")
    check(abs(wcs.celestial.wcs.get_pv()[0][2]) > 0.1, "and the slant has reached wcslib")
    east = wcs.celestial.wcs_pix2world([[10, 5], [9, 5], [10, 6]], 0)
    check((east[1, 0] - east[0, 0]) % 360 < 180 and east[2, 1] > east[0, 1], "east left, north up")


with tempfile.TemporaryDirectory() as where:
    run = subprocess.run([os.path.abspath(test)], env=dict(os.environ, WATCHERD_JUDGE_DIR=where),
                         capture_output=True, text=True)
    check(run.returncode == 0, f"{test} writes the samples")
    for name in ("slanted.fits", "bare.fits"):
        judge_verify(os.path.join(where, name))
    judge_slanted(os.path.join(where, "slanted.fits"), os.path.join(where, "slanted.csv"))
sys.exit(1 if faults else 0)
