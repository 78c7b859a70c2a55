#!/usr/bin/python3
"""Times, directions and baselines of uvh5info beside astropy's (an independent layer over ERFA, with
polar motion, diurnal aberration and its bundled IERS tables): places to 10 milliarcseconds, sidereal
time to 0.1 ms, u, v, w to 1 mm, with the same IERS values."""
import json
import os
import subprocess
import sys
import tempfile
import warnings

import numpy as np

try:
    import astropy.units as u
    from astropy.coordinates import EarthLocation, HADec, ICRS, SkyCoord
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


def table(folder, jd, shift_s=0.0):
    """astropy's own values around this day, in the form of etc/earth.csv."""
    path = os.path.join(folder, "earth.csv")
    days = np.floor(jd - 2400000.5) + np.arange(-3, 5)
    b = iers.IERS_B.open()
    with open(path, "w") as f:
        for mjd in days:
            dut1 = b.ut1_utc(2400000.5, mjd).to_value(u.s)
            x, y = b.pm_xy(2400000.5, mjd)
            f.write("%d,%.8f,%.8f,%.8f\n" % (mjd, dut1 + shift_s, x.to_value(u.arcsec),
                                            y.to_value(u.arcsec)))
    return path


def tool(folder, path, *args):
    p = subprocess.run([TOOL, "--json", *args, path], capture_output=True, text=True, timeout=60)
    if p.returncode != 0:
        raise SystemExit(p.stderr)
    return [json.loads(line) for line in p.stdout.splitlines()]


def itrf(sky, t, where):
    """The direction, in ITRF, in which an observer there has it."""
    app = sky.transform_to(HADec(obstime=t, location=where))
    lon, dec = where.lon.rad - app.ha.rad, app.dec.rad
    return np.stack([np.cos(dec) * np.cos(lon), np.cos(dec) * np.sin(lon), np.sin(dec)], -1)


def one(folder, jd, lat, lon, height, dec_deg):
    where = EarthLocation.from_geodetic(lon * u.deg, lat * u.deg, height * u.m)
    t = Time(jd, format="jd", scale="utc", location=where)
    path = os.path.join(folder, "a.hdf5")
    small(path, Header__latitude=lat, Header__longitude=lon, Header__altitude=height,
          Header__phase_center_app_dec=np.radians(dec_deg), Header__time_array=np.full(30, jd))
    got = tool(folder, path, "--earth", table(folder, jd))[0]
    lst = t.sidereal_time("apparent", longitude=lon * u.deg).rad
    off = abs((got["first_lst_rad"] - lst + np.pi) % (2 * np.pi) - np.pi) * 43200 / np.pi
    check(off < 1e-4, "JD %.4f: sidereal time off by %.1e s" % (jd, off))
    centre = SkyCoord(got["centre_ra_deg"] * u.deg, got["centre_dec_deg"] * u.deg, frame=ICRS())
    # what an observer on the turning, wobbling earth has at hour angle 0
    seen = SkyCoord(ha=0 * u.hourangle, dec=dec_deg * u.deg,
                    frame=HADec(obstime=t, location=where)).transform_to(ICRS())
    off = centre.separation(seen).arcsec
    check(off < 0.01, "JD %.4f: meridian point off by %.1e arcsec" % (jd, off))
    wrong = tool(folder, path, "--earth", table(folder, jd, 0.2))[0]
    moved = abs(wrong["centre_ra_deg"] - got["centre_ra_deg"]) * 3600
    check(abs(moved - 0.2 * 15.041) < 0.03, "JD %.4f: UT1 moves the meridian" % jd)


def baselines(folder, jd, lat, lon, height, dec_deg):
    """u, v, w of an array of 2.6 km that tracks a place a few degrees from the meridian."""
    where = EarthLocation.from_geodetic(lon * u.deg, lat * u.deg, height * u.m)
    t = Time(jd, format="jd", scale="utc", location=where)
    rng = np.random.default_rng(5)
    pos = rng.uniform(-1300, 1300, (5, 3))
    ra = t.sidereal_time("apparent", longitude=lon * u.deg).rad + 0.05
    dec = np.radians(dec_deg)
    path = os.path.join(folder, "b.hdf5")
    small(path, Header__latitude=lat, Header__longitude=lon, Header__altitude=height,
          Header__phase_type=np.bytes_("phased"), Header__phase_center_ra=ra,
          Header__phase_center_dec=dec, Header__phase_center_frame=np.bytes_("icrs"),
          Header__antenna_positions=pos, Header__time_array=np.full(30, jd),
          Header__extra_keywords__phase_center_dec=None,
          Header__extra_keywords__ha_phase_center=None,
          Header__extra_keywords__phase_center_epoch=None)
    rows = tool(folder, path, "--earth", table(folder, jd), "--dump", "*,0,0")
    step = 0.004
    offs = [(0, 0), (step, 0), (-step, 0), (0, step), (0, -step)]
    n = [np.sqrt(1 - l * l - m * m) for l, m in offs]
    decs = [np.arcsin(m * np.cos(dec) + k * np.sin(dec)) for (l, m), k in zip(offs, n)]
    ras = [ra + np.arctan2(l, k * np.cos(dec) - m * np.sin(dec)) for (l, m), k in zip(offs, n)]
    v = itrf(SkyCoord(ras * u.rad, decs * u.rad), t, where)
    frame = np.array([(v[1] - v[2]) / (2 * step), (v[3] - v[4]) / (2 * step), v[0]])
    worst = max(np.abs(frame @ (pos[r["antenna2"]] - pos[r["antenna1"]]) - r["uvw_m"]).max()
                for r in rows)
    check(worst < 1e-3, "JD %.4f: u, v, w off by %.2g mm" % (jd, worst * 1e3))


def main():
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            one(folder, *case)
            baselines(folder, *case)
    print("%d bad" % len(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
