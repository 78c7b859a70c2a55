#!/usr/bin/python3
"""Where directions are awkward (beside both poles, across 0 h) sources come back; and the noise of an image is
what the radiometer equation says for its weights, natural and Briggs."""
import csv
import glob
import json
import os
import shutil
import sys
import tempfile
import warnings

from judging import check, faults, run

try:
    import h5py
    import numpy as np
    from astropy.coordinates import SkyCoord
    from astropy.io import fits
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

warnings.simplefilter("ignore")
BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
C = 299792458.0
SUBBANDS, SIDE, CELL, SEFD = 4, 640, 7.0, 6000.0  # pixels of CELL arcsec


def simulate(folder, *args):
    run(BUILD + "/uvh5sim", "--out", folder, "--quiet", "--antennas", "30", "--integrations", "5",
        "--channels", "3", "--subbands", str(SUBBANDS), "--gain-rms", "0", "--bandpass-rms", "0", "--beam", "none",
        "--no-smearing", *args)
    with open(folder + "/truth/groups.json") as f:
        return json.load(f)["groups"][0]


def tile(root, incoming, *settings):
    os.mkdir(root)
    with open(root + "/w.conf", "w") as f:
        f.write("[paths]\nroot = .\nincoming = %s\n[watch]\nstabilization_time_s = 0\n[group]\nexpected = %d\n"
                "[instrument]\nbeam = none\n[calibration]\ncalibrator = none\n[imaging]\nsize = %d\ncell_arcsec = %g\n%s"
                % (os.path.abspath(incoming), SUBBANDS, SIDE, CELL, "".join(s + "\n" for s in settings)))
    run(BUILD + "/watcherd", "-c", root + "/w.conf", "--once")
    return glob.glob(root + "/products/tiles/*.gen1")[0]


def around(ra, dec, name):
    """Three sources about a place, none the mirror of another, in the frame of that place."""
    centre = SkyCoord(ra, dec, unit="deg")
    sky = [(centre.directional_offset_by(a * centre.ra.unit, d * centre.ra.unit), jy)
           for a, d, jy in ((40, 0.31, 2.0), (165, 0.55, 1.5), (290, 0.42, 1.0))]
    with open(name, "w") as out:
        out.write("name,ra_deg,dec_deg,flux_jy,spix,freq_mhz\n")
        for i, (s, jy) in enumerate(sky):
            out.write("S%d,%.9f,%.9f,%g,0,1400\n" % (i, s.ra.deg, s.dec.deg, jy))
    return sky


def place(name, ra, dec):
    at = ["--calibrator", "E,%g,%g,1,1400" % (ra, dec)]
    group = simulate(name + "-probe", "--no-field", *at)
    sky = around(group["ra_deg"], group["dec_deg"], name + ".csv")
    simulate(name + "-in", "--sky", name + ".csv", "--dec", str(group["dec_app_deg"]), "--start", group["start"],
             "--noise-sefd", "0")
    flux = away = 0.0
    with open(tile(name, name + "-in", "niter = 20000", "mgain = 0.6") + "/sources.csv") as f:
        found = [(SkyCoord(float(r["ra_deg"]), float(r["dec_deg"]), unit="deg"), float(r["flux_jy"]))
                 for r in csv.DictReader(f)]
    for s, jy in sky:
        apart, got = min((s.separation(t).arcsec / CELL, f) for t, f in found)
        flux, away = max(flux, abs(got / jy - 1)), max(away, apart)
    check(flux < 0.05 and away < 0.3, "%s, %.2f %+.2f deg: three sources within %.4f of their flux and %.3f pixels"
          % (name, group["ra_deg"], group["dec_deg"], flux, away))
    return group


def thermal(files, briggs):
    """By the radiometer equation, and Briggs 1995 worked out here from the files' coordinates."""
    u, v = [], []
    for path in files:
        with h5py.File(path) as f:
            h = f["Header"]
            cross = h["ant_1_array"][()] != h["ant_2_array"][()]
            uvw, freq = h["uvw_array"][()][cross], h["freq_array"][()].ravel()
            width, tint = float(np.ravel(h["channel_width"][()])[0]), float(h["integration_time"][0])
            u.append((uvw[:, 0, None] * freq / C).ravel())
            v.append((uvw[:, 1, None] * freq / C).ravel())
    u, v = np.concatenate(u), np.concatenate(v)
    sigma = SEFD / np.sqrt(2 * abs(width) * tint) / np.sqrt(2)  # of Stokes I, real part
    if not briggs:
        return sigma / np.sqrt(len(u))
    du = 1 / (SIDE * np.radians(CELL / 3600))
    u, v = np.where(u < 0, -u, u), np.where(u < 0, -v, v)
    cell = np.unique(np.floor(u / du).astype(int) * 1000003 + np.floor(v / du).astype(int), return_inverse=True)[1]
    density = np.bincount(cell).astype(float)
    f2 = (5 * 10 ** -0.5) ** 2 / ((density ** 2).sum() / len(u))
    weight = 1 / (1 + density[cell] * f2)
    return sigma * np.sqrt((weight ** 2).sum()) / weight.sum()


def noise():
    with open("none.csv", "w") as f:
        f.write("name,ra_deg,dec_deg,flux_jy,spix,freq_mhz\nN,0,0,0,0,1400\n")
    simulate("noise-in", "--sky", "none.csv", "--dec", "33", "--noise-sefd", str(SEFD))
    files = sorted(glob.glob("noise-in/*.hdf5"))
    for how, words in (("natural", ["weighting = natural"]), ("briggs", ["weighting = briggs", "robust = 0.5"])):
        with fits.open(tile("noise-" + how, "noise-in", "niter = 0", *words) + "/image.fits") as f:
            rms = f[0].data.std()
        want = thermal(files, how == "briggs")
        check(abs(rms / want - 1) < 0.05, "%s weights: noise %.3f mJy, thermal %.3f" % (how, 1e3 * rms, 1e3 * want))


def main():
    top = tempfile.mkdtemp(prefix="judge-edges-")
    os.chdir(top)
    try:
        place("north", 77.0, 89.0)
        place("south", 200.0, -89.0)
        place("seam", 0.05, 33.0)
        noise()
    finally:
        os.chdir("/")
        shutil.rmtree(top)
    print("%d bad" % len(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
