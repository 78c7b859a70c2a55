#!/usr/bin/python3
"""100 made sources and one of 8 Jy in their middle, cleaned to the same depth by WSClean and by us from the same
visibilities: what is left, fluxes, positions, false sources."""
import csv
import glob
import json
import os
import shutil
import sys
import tempfile
import warnings

from judging import check, faults, run

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # WSClean refuses more
try:
    import numpy as np
    from astropy.io import fits
    from astropy.wcs import WCS
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

warnings.simplefilter("ignore")
BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
SUBBANDS, SIDE, CELL = 8, 750, 6.5  # pixels of CELL arcsec
SIGMA = 4.0  # how deep both clean; the array's sidelobes are too high for masks by sigma alone


def simulate(folder, *args):
    run(BUILD + "/uvh5sim", "--out", folder, "--quiet", "--antennas", "40", "--integrations", "8",
        "--channels", "3", "--subbands", str(SUBBANDS), "--start", "2026-01-26T08:07:07", "--dec", "37.2",
        "--gain-rms", "0", "--bandpass-rms", "0", "--beam", "none", "--no-smearing", "--jitter", "none", *args)


def make_sky():
    """8 Jy in the middle, 100 of 0.06 to 0.6 Jy around it, two arcminutes or more apart."""
    simulate("probe", "--no-field", "--calibrator", "0834+555")
    with open("probe/truth/groups.json") as f:
        group = json.load(f)["groups"][0]
    ra0, dec0 = group["ra_deg"], group["dec_deg"]
    rng = np.random.default_rng(9)
    place = [(0.0, 0.0)]
    with open("sky.csv", "w") as out:
        out.write("name,ra_deg,dec_deg,flux_jy,spix,freq_mhz\nB,%.8f,%.8f,8,0,1400\n" % (ra0, dec0))
        while len(place) <= 100:
            l, m = rng.uniform(-0.62, 0.62, 2)
            if np.hypot(l, m) < 0.06 or min(np.hypot(l - a, m - b) for a, b in place) < 0.035:
                continue
            out.write("S%d,%.8f,%.8f,%.5f,0,1400\n"
                      % (len(place), ra0 + l / np.cos(np.radians(dec0 + m)), dec0 + m,
                         0.06 * 10 ** rng.uniform(0, 1)))
            place.append((l, m))
    with open("sky.csv") as f:
        return [(float(s["ra_deg"]), float(s["dec_deg"]), float(s["flux_jy"])) for s in csv.DictReader(f)]


def ours():
    os.mkdir("own")
    with open("own/w.conf", "w") as f:
        f.write("[paths]\nroot = .\nincoming = ../in\n[watch]\nstabilization_time_s = 0\n[group]\nexpected = %d\n"
                "[instrument]\nbeam = none\n[calibration]\ncalibrator = none\n[imaging]\nsize = %d\n"
                "cell_arcsec = %g\nmgain = 0.6\nauto_mask = %g\nauto_threshold = %g\n"
                % (SUBBANDS, SIDE, CELL, SIGMA, SIGMA))
    run(BUILD + "/watcherd", "-c", "own/w.conf", "--once")
    return glob.glob("own/products/tiles/*.gen1")[0]


def wsclean(threshold_jy, beam):
    run("wsclean", "-name", "w", "-use-wgridder", "-wgridder-accuracy", "1e-5", "-padding", "1.0",
        "-no-small-inversion", "-no-update-model-required", "-no-reorder", "-pol", "I", "-j", "1",
        "-weight", "briggs", "0.5", "-size", str(SIDE), str(SIDE), "-scale", "%gasec" % CELL,
        "-beam-shape", *("%.4f" % x for x in beam), "-niter", "50000", "-gain", "0.1", "-mgain", "0.6",
        "-threshold", "%.6f" % threshold_jy, "set.ms")


def plane(path):
    with fits.open(path) as f:
        return f[0].data.squeeze().astype(float), WCS(f[0].header).celestial, f[0].header


def noise(image):
    return 1.4826 * np.median(abs(image - np.median(image)))


def measured(image, wcs, sky):
    """Flux over truth - 1, and distance in arcsec, of the peak at each source, by a parabola."""
    flux, away = [], []
    v, u = np.mgrid[-1:2, -1:2]
    terms = np.stack([np.ones(9), u.ravel(), v.ravel(), u.ravel() ** 2, (u * v).ravel(), v.ravel() ** 2], axis=1)
    for ra, dec, jy in sky:
        x0, y0 = wcs.all_world2pix(ra, dec, 0)
        x, y = int(np.rint(x0)), int(np.rint(y0))
        c = np.linalg.lstsq(terms, image[y - 1:y + 2, x - 1:x + 2].ravel(), rcond=None)[0]
        shift = np.linalg.solve([[2 * c[3], c[4]], [c[4], 2 * c[5]]], [-c[1], -c[2]])
        flux.append((c[0] + 0.5 * (c[1:3] @ shift)) / jy - 1)
        away.append(np.hypot(x + shift[0] - x0, y + shift[1] - y0) * CELL)
    return np.array(flux), np.array(away)


def false_sources(image, wcs, sky, sigma):
    """Peaks above 7 sigma of the noise within 15' of the 8 Jy that are nobody's."""
    inner = image[1:-1, 1:-1]
    top = inner > 7 * sigma
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            if dx or dy:
                top &= inner >= image[1 + dy:image.shape[0] - 1 + dy, 1 + dx:image.shape[1] - 1 + dx]
    y, x = np.nonzero(top)
    at = np.array([wcs.all_world2pix(ra, dec, 0) for ra, dec, _ in sky])
    apart = np.hypot(x[:, None] + 1 - at[:, 0], y[:, None] + 1 - at[:, 1]) * CELL
    return int(((apart.min(axis=1) > 45) & (apart[:, 0] < 900)).sum())


def main():
    if shutil.which("wsclean") is None:
        print("skipped: WSClean is not installed")
        return 77
    top = tempfile.mkdtemp(prefix="judge-wsclean-")
    os.chdir(top)
    try:
        sky = make_sky()
        simulate("in", "--sky", "sky.csv", "--noise-sefd", "6000")
        run(BUILD + "/uvh5ms", "--weight-spectrum", *sorted(glob.glob("in/*.hdf5")), "set.ms")
        tile = ours()
        image, wcs, header = plane(tile + "/image.fits")
        left = plane(tile + "/residual.fits")[0]
        sigma = noise(left)
        wsclean(SIGMA * sigma, (header["BMAJ"] * 3600, header["BMIN"] * 3600, header["BPA"]))
        image_w, wcs_w, _ = plane("w-image.fits")
        left_w = plane("w-residual.fits")[0]
        print("     left, mJy: ours %.3f rms, %.3f robust; WSClean %.3f, %.3f"
              % (1e3 * left.std(), 1e3 * sigma, 1e3 * left_w.std(), 1e3 * noise(left_w)))
        check(left.std() < 1.05 * left_w.std() and sigma < 1.05 * noise(left_w),
              "the residual's rms is within 5 % of WSClean's")
        (flux, away), (flux_w, away_w) = measured(image, wcs, sky), measured(image_w, wcs_w, sky)
        rms = [np.sqrt((v ** 2).mean()) for v in (flux[1:], flux_w[1:], away[1:], away_w[1:])]
        print("     100 sources off by: ours %.4f of the flux (median %+.4f), %.3f arcsec; WSClean %.4f (%+.4f), %.3f"
              % (rms[0], np.median(flux[1:]), rms[2], rms[1], np.median(flux_w[1:]), rms[3]))
        check(rms[0] < 1.1 * rms[1] and rms[2] < 1.1 * rms[3],
              "fluxes and positions of 100 sources are as close to the truth as WSClean's")
        print("     8 Jy off by: ours %+.5f, %.3f arcsec; WSClean %+.5f, %.3f" % (flux[0], away[0], flux_w[0], away_w[0]))
        check(abs(flux[0]) < max(1.5 * abs(flux_w[0]), 2e-3) and away[0] < max(1.5 * away_w[0], 0.07), "so is the bright one")
        n, n_w = (false_sources(i, w, sky, s) for i, w, s in
                  ((image, wcs, sigma), (image_w, wcs_w, noise(left_w))))
        check(n <= n_w, "%d false sources around 8 Jy, WSClean has %d" % (n, n_w))
    finally:
        os.chdir("/")
        shutil.rmtree(top)
    print("%d bad" % len(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
