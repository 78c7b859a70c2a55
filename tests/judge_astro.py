#!/usr/bin/python3
"""Times and directions of uvh5info beside astropy's (an independent layer over ERFA, with polar
motion, diurnal aberration and its bundled UT1 tables)."""
import json
import os
import subprocess
import sys
import tempfile
import warnings

import numpy as np

try:
    import astropy.units as u
    from astropy.coordinates import CIRS, EarthLocation, HADec, ICRS, SkyCoord
    from astropy.time import Time
    from astropy.utils import iers
except ImportError as missing:
    print("skipped: %s" % missing)
    sys.exit(77)

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from judge_uvh5 import TOOL, bad, check, small  # noqa: E402

iers.conf.auto_download = False
iers.conf.iers_degraded_accuracy = "warn"
warnings.simplefilter("ignore")

# JD, geodetic latitude and longitude (deg), height (m), apparent declination (deg)
CASES = [(2455412.3834501, 37.2314, -118.2817, 1222.0, 54.5734),
         (2457000.7251337, 37.2314, -118.2817, 1222.0, 16.3),
         (2458660.0123456, -30.7215, 21.4283, 1051.7, -30.7),
         (2459122.3002410, 37.2314, -118.2817, 1222.0, 71.6),
         (2456109.4999990, 52.915, 6.604, 16.0, 0.0)]


def tool(folder, jd, lat, lon, height, dec_deg, dut1):
    path = os.path.join(folder, "a.hdf5")
    small(path, Header__latitude=lat, Header__longitude=lon, Header__altitude=height,
          Header__phase_center_app_dec=np.radians(dec_deg), Header__time_array=np.full(30, jd))
    p = subprocess.run([TOOL, "--json", "--dut1", repr(dut1), path], capture_output=True,
                       text=True, timeout=60)
    if p.returncode != 0:
        raise SystemExit(p.stderr)
    return json.loads(p.stdout)


def one(folder, jd, lat, lon, height, dec_deg):
    where = EarthLocation.from_geodetic(lon * u.deg, lat * u.deg, height * u.m)
    t = Time(jd, format="jd", scale="utc", location=where)
    dut1 = float(t.delta_ut1_utc)
    got = tool(folder, jd, lat, lon, height, dec_deg, dut1)
    lst = t.sidereal_time("apparent", longitude=lon * u.deg).rad
    off = abs((got["first_lst_rad"] - lst + np.pi) % (2 * np.pi) - np.pi) * 206265
    check(off < 1e-3, "JD %.4f: sidereal time off by %.1e arcsec" % (jd, off))
    centre = SkyCoord(got["centre_ra_deg"] * u.deg, got["centre_dec_deg"] * u.deg, frame=ICRS())
    # The same definition, geocentric: hour angle 0 is right ascension ERA + longitude.
    era = t.earth_rotation_angle(longitude=lon * u.deg)
    cirs = SkyCoord(era, dec_deg * u.deg, frame=CIRS(obstime=t)).transform_to(ICRS())
    off = centre.separation(cirs).arcsec
    check(off < 0.01, "JD %.4f: meridian point off by %.1e arcsec from CIRS" % (jd, off))
    # And what an observer on the turning, wobbling Earth has there.
    seen = SkyCoord(ha=0 * u.hourangle, dec=dec_deg * u.deg,
                    frame=HADec(obstime=t, location=where)).transform_to(ICRS())
    off = centre.separation(seen).arcsec
    check(off < 1, "JD %.4f: meridian point off by %.2f arcsec from the observer's" % (jd, off))
    wrong = tool(folder, jd, lat, lon, height, dec_deg, -dut1)
    moved = abs(wrong["centre_ra_deg"] - got["centre_ra_deg"]) * 3600
    want = abs(2 * dut1) * 15.041
    check(abs(moved - want) < 0.01 + 0.01 * want, "JD %.4f: UT1 moves the meridian" % jd)


def main():
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            one(folder, *case)
    print("%d bad" % len(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
