#!/usr/bin/python3
"""uvh5ms's Measurement Set, opened by others: python-casacore beside h5py and astropy, WSClean
(its dirty image beside ours and beside a direct sum, its CLEAN beside ours and the truth),
AOFlagger.  Small groups.
"""
import csv
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # WSClean refuses more
try:
    import h5py
    import numpy as np
    from astropy.io import fits
    from astropy.wcs import WCS
    from casacore.tables import table
    import judge_dirty
    from judge_dirty import cosines, itrf, tangent
    from judging_earth import earth_of
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
C = 299792458.0  # m/s, exact
SUBBANDS, SIDE, CELL = 5, 1024, 8.0  # pixels of CELL arcsec
START, DEC = "2026-01-26T08:07:07", 37.2  # the zenith of the site: the slant of our images is least
faults = []


def check(ok, what):
    print("ok  " if ok else "FAIL", what)
    if not ok:
        faults.append(what)


def run(*args, want=0):
    p = subprocess.run(args, capture_output=True, text=True)
    if p.returncode != want:
        print(" ".join(args), "ended with", p.returncode, p.stdout[-2000:], p.stderr[-2000:])
        sys.exit(1)
    return p


def uvh5ms(*args, want=0):
    return run(BUILD + "/uvh5ms", *args, want=want)


def simulate(folder, *args):
    """Files with a little of everything that is flagged: a dead antenna, zeros."""
    run(BUILD + "/uvh5sim", "--out", folder, "--quiet", "--integrations", "5", "--channels", "3",
        "--subbands", str(SUBBANDS), "--start", START, "--gain-rms", "0", "--bandpass-rms", "0",
        "--beam", "none", *args)
    judge_dirty.EARTH[:] = earth_of(folder + "/truth/groups.json")
    return sorted(glob.glob(folder + "/*.hdf5"))


def group_of(files):
    return os.path.basename(min(files)).split("_sb")[0]


def h5(files):
    """Cross-correlations of all files, as they lie there: {(ms of time, a, b): row} and arrays."""
    freq, vis, count = [], [], []
    for path in files:
        with h5py.File(path) as f:
            h = f["Header"]
            one, two = h["ant_1_array"][()], h["ant_2_array"][()]
            nf, cross = h["freq_array"][()].size, one != two
            freq.append(h["freq_array"][()].ravel())
            vis.append(f["Data/visdata"][()].reshape(len(one), nf, -1)[cross])
            count.append(f["Data/nsamples"][()].reshape(len(one), nf, -1)[cross])
            rest = {"one": one[cross], "two": two[cross], "jd": h["time_array"][()][cross],
                    "uvw": h["uvw_array"][()][cross], "pos": h["antenna_positions"][()],
                    "lat": h["latitude"][()], "lon": h["longitude"][()],
                    "dec": h["extra_keywords/phase_center_dec"][()]
                    if "extra_keywords/phase_center_dec" in h else None}
    order = np.argsort(np.concatenate(freq))
    return dict(rest, freq=np.concatenate(freq)[order],
                vis=np.concatenate(vis, axis=1)[:, order],
                count=np.concatenate(count, axis=1)[:, order])


class Set:
    """A Measurement Set's columns, by python-casacore."""

    def __init__(self, path, column="DATA"):
        with table(path, ack=False) as t:
            for name in t.colnames():
                if name != "FLAG_CATEGORY":
                    setattr(self, name.lower(), t.getcol(name))
            self.vis = t.getcol(column)
            self.names = t.colnames()
        for sub in ("FIELD", "ANTENNA", "SPECTRAL_WINDOW", "POLARIZATION", "FEED", "POINTING",
                    "OBSERVATION", "STATE", "PROCESSOR", "HISTORY", "DATA_DESCRIPTION"):
            with table(path + "/" + sub, ack=False) as t:
                setattr(self, sub.lower(), {c: t.getcol(c) for c in t.colnames()
                                            if t.nrows() and t.iscelldefined(c, 0)})
        self.freq = self.spectral_window["CHAN_FREQ"][0]
        self.centre = np.degrees(self.field["PHASE_DIR"][0, 0]) % 360


def matched(ms, want):
    """For each row of the set: its row in the files, and +1, or -1 where they have it turned."""
    place = {}
    for r, key in enumerate(zip(want["one"], want["two"], np.rint(want["jd"] * 8640000))):
        place[key] = (r, 1)
        place[(key[1], key[0], key[2])] = (r, -1)
    jd = ms.time / 86400 + 2400000.5
    hit = [place[key] for key in zip(ms.antenna1, ms.antenna2, np.rint(jd * 8640000))]
    return np.array([h[0] for h in hit]), np.array([h[1] for h in hit])


def turned(values, sign):
    return np.where(sign[:, None, None] < 0, values.conj(), values)


def columns():
    """A tracked group: nothing was turned, so all columns are those of the file."""
    files = simulate("tracked", "--layout", "3d", "--antennas", "12", "--calibrator", "0834+555",
                     "--noise-sefd", "6000", "--dead", "115", "--pols", "4")
    said = json.loads(uvh5ms("--json", "--weight-spectrum", *files, "tracked.ms").stdout)
    ms, want = Set("tracked.ms"), h5(files)
    row, sign = matched(ms, want)
    check(len(ms.time) == len(want["jd"]) == said["rows"] and len(set(row)) == len(row),
          "every row is there once (%d)" % len(row))
    # XX XY YX YY by name; a turned baseline exchanges its cross hands.
    check(list(ms.polarization["CORR_TYPE"][0]) == [9, 10, 11, 12], "four hands in CASA's order")
    with h5py.File(files[0]) as f:
        code = list(f["Header/polarization_array"][()])
    straight = [code.index(c) for c in (-5, -7, -8, -6)]
    swapped = [code.index(c) for c in (-5, -8, -7, -6)]
    v = np.where(sign[:, None, None] > 0, want["vis"][row][..., straight],
                 want["vis"][row][..., swapped].conj())
    good = (v != 0) & (want["count"][row][..., straight] > 0)
    off = abs(np.where(good, v, 0) - ms.data).max() / abs(v).max()
    check(off < 1e-6, "data are those of the files (off by %.1e)" % off)
    check((ms.flag == ~good).all() and not good.all(), "flags: what is zero or was not counted")
    off = abs(sign[:, None] * want["uvw"][row] - ms.uvw).max()
    check(off < 1e-3, "uvw are those of the files (off by %.1e m)" % off)
    check(abs(ms.freq - want["freq"]).max() < 1e-3, "frequencies")
    ratio = ms.weight_spectrum[good] / want["count"][row][..., straight][good]
    check(np.ptp(ratio) < 1e-5 * ratio.mean() and (ms.weight_spectrum[~good] == 0).all(),
          "weights by channel")
    mean = ms.weight_spectrum.sum(axis=1) / np.maximum(good.sum(axis=1), 1)
    check(np.allclose(ms.weight, mean, rtol=1e-5) and
          np.allclose(ms.sigma[mean > 0] ** -2.0, mean[mean > 0], rtol=1e-5), "WEIGHT and SIGMA")
    check((ms.flag_row == ms.flag.all(axis=(1, 2))).all(), "FLAG_ROW")
    check(abs(np.linalg.norm(ms.antenna["POSITION"][0]) - 6.37e6) < 2e4 and
          ms.antenna["DISH_DIAMETER"][0] == 4.65, "antennas stand on the ground")
    check("X" in str(ms.feed["POLARIZATION_TYPE"]), "feeds are linear")
    check(len(ms.pointing["TIME"]) == 5 * 12 and len(ms.field["TIME"]) == 1 and
          len(ms.state["CAL"]) == 1 and ms.observation["TELESCOPE_NAME"][0] == "OVRO_MMA",
          "subtables")
    uvh5ms("--column", "corrected", *files, "corrected.ms")
    two = Set("corrected.ms", "CORRECTED_DATA")
    check((two.vis == ms.vis).all() and "DATA" not in two.names and
          "WEIGHT_SPECTRUM" not in two.names, "the same as CORRECTED_DATA")
    p = uvh5ms(*files, "corrected.ms", want=73)
    check(p.stderr == "uvh5ms: corrected.ms exists already\n", "what exists is refused")


def meridian(files):
    """A drift scan: turned to one centre, as astropy would."""
    ms, want = Set("drift.ms"), h5(files)
    row, sign = matched(ms, want)
    b = (want["pos"][ms.antenna2] - want["pos"][ms.antenna1])
    lon, dec = np.radians(want["lon"]), want["dec"]
    stop = np.array([np.cos(dec) * np.cos(lon), np.cos(dec) * np.sin(lon), np.sin(dec)])
    worst_v = worst_uvw = 0.0
    for jd in np.unique(want["jd"]):
        at = np.nonzero(want["jd"][row] == jd)[0]
        delay = b[at] @ (stop - itrf(*ms.centre, jd)) / C
        turn = np.exp(2j * np.pi * delay[:, None] * ms.freq)
        v = turned(want["vis"][row[at]], sign[at]) * turn[..., None]
        worst_v = max(worst_v, abs(v - ms.vis[at]).max() / abs(v).max())
        # u, v, w are what gives the path to any direction of the field
        ra, dec_deg = ms.centre[0] + np.array([1.1, -0.7, 0.2]), ms.centre[1] + np.array([-0.4, 0.9, 1.2])
        l, m, n = cosines(ms.centre, ra, dec_deg)
        path = b[at] @ (tangent(ms.centre, ra, dec_deg, jd) - itrf(*ms.centre, jd)).T
        worst_uvw = max(worst_uvw, abs(ms.uvw[at] @ np.stack([l, m, n - 1]) - path).max())
    check(worst_v < 2e-4, "drift scan: turned as astropy turns it (off by %.1e)" % worst_v)
    check(worst_uvw < 2e-5, "drift scan: uvw give every path (off by %.1e m)" % worst_uvw)


def sky():
    """Three sources, none the mirror of another, about the drift scan's centre."""
    files = simulate("probe", "--antennas", "2", "--no-field", "--calibrator", "0834+555",
                     "--dec", str(DEC))
    uvh5ms(*files, "probe.ms")
    ra0, dec0 = Set("probe.ms").centre
    with open("sky.csv", "w") as out:
        out.write("name,ra_deg,dec_deg,flux_jy,spix,freq_mhz\n")
        for i, (l, m, jy) in enumerate([(0.31, -0.17, 1.4), (-0.62, 0.53, 2.1), (0.75, 0.36, 1.7)]):
            out.write("S%d,%.8f,%.8f,%g,0,1400\n"
                      % (i, ra0 + l / np.cos(np.radians(dec0)), dec0 + m, jy))
    with open("sky.csv") as f:
        return [(float(s["ra_deg"]), float(s["dec_deg"]), float(s["flux_jy"]))
                for s in csv.DictReader(f)]


def ours(root, files, niter):
    os.mkdir(root)
    with open(root + "/w.conf", "w") as f:
        f.write("[paths]\nroot = w\nincoming = %s\n[watch]\nstabilization_time_s = 0\n[group]\n"
                "expected = %d\n[instrument]\nbeam = none\n[flagging]\nenabled = no\n[calibration]\ncalibrator = none\n"
                "[imaging]\nmgain = 0.6\nniter = %d\nweighting = natural\nsize = %d\ncell_arcsec = %g\n"
                "keep_ms = full\n"
                % (os.path.abspath(os.path.dirname(files[0])), SUBBANDS, niter, SIDE, CELL))
    run(BUILD + "/watcherd", "-c", root + "/w.conf", "--once")
    return glob.glob(root + "/w/products/tiles/*.gen1")[0]


def wsclean(ms, name, *args):
    # without -use-wgridder 3.1 takes its other gridder, and -wgridder-accuracy says nothing
    run("wsclean", "-name", name, "-use-wgridder", "-wgridder-accuracy", "1e-6", "-padding", "1.0",
        "-no-small-inversion", "-no-update-model-required", "-no-reorder", "-make-psf", "-pol", "I",
        "-weight", "natural", "-size", str(SIDE), str(SIDE), "-scale", "%gasec" % CELL, *args, ms)


def plane(path):
    hdu = fits.open(path)[0]
    return hdu.data.squeeze().astype(float), WCS(hdu.header).celestial


def at_pixels_of(image, wcs, other):
    """The image where the pixels of the other are: the projections differ by hundredths of one."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    there = wcs.all_world2pix(*other.all_pix2world(x.ravel(), y.ravel(), 0), 0)
    dx, dy = (there[0].reshape(x.shape) - x), (there[1].reshape(x.shape) - y)
    slope_y, slope_x = np.gradient(image)
    return image + dx * slope_x + dy * slope_y, max(abs(dx).max(), abs(dy).max())


def direct(ms, x, y):
    """The dirty image in a pixel by a direct sum over the set's columns."""
    l, m = (SIDE // 2 - x) * np.radians(CELL / 3600), (y - SIDE // 2) * np.radians(CELL / 3600)
    path = ms.uvw @ np.array([l, m, np.sqrt(1 - l * l - m * m) - 1])
    weight = ms.weight_spectrum.sum(axis=-1)
    turn = np.exp(-2j * np.pi / C * path[:, None] * ms.freq)
    return (weight * (ms.vis.mean(axis=-1) * turn).real).sum() / weight.sum()


def dirty(files, sources):
    wsclean("drift.ms", "dirty", "-niter", "0")
    theirs, wcs = plane("dirty-dirty.fits")
    ms = Set("drift.ms")
    off = 0.0
    for ra, dec, _ in sources:
        x, y = (int(np.rint(p)) for p in wcs.all_world2pix(ra, dec, 0))
        off = max(off, abs(direct(ms, x, y) - theirs[y, x]))
    check(off < 2e-5 * theirs.max(), "WSClean's dirty image is the direct sum (off by %.1e)" % off)
    tile = ours("dirty", files, 0)
    image, moved = at_pixels_of(*plane(tile + "/image.fits"), wcs)
    off = abs(image - theirs).max() / theirs.max()
    check(moved < 0.03 and off < 1e-3, "WSClean's dirty image is ours (off by %.1e of the peak)"
          % off)
    psf, _ = at_pixels_of(*plane(tile + "/psf.fits"), wcs)
    off = abs(psf - plane("dirty-psf.fits")[0]).max()
    check(off < 1e-3, "and the PSF, everywhere (off by %.1e)" % off)
    kept = glob.glob("dirty/w/scratch/*.ms")
    check(len(kept) == 1 and (Set(kept[0], "CORRECTED_DATA").vis == ms.vis).all(),
          "keep_ms keeps the same visibilities")


def restored(image, wcs, sources):
    """Worst flux (relative) and position (arcsec) of the peaks, by a parabola, at the sources."""
    flux = place = 0.0
    for ra, dec, jy in sources:
        x0, y0 = wcs.all_world2pix(ra, dec, 0)
        x, y = int(np.rint(x0)), int(np.rint(y0))
        box = image[y - 1:y + 2, x - 1:x + 2]
        v, u = np.mgrid[-1:2, -1:2]
        terms = np.stack([np.ones(9), u.ravel(), v.ravel(), u.ravel() ** 2, (u * v).ravel(),
                          v.ravel() ** 2], axis=1)
        c = np.linalg.lstsq(terms, box.ravel(), rcond=None)[0]
        shift = np.linalg.solve([[2 * c[3], c[4]], [c[4], 2 * c[5]]], [-c[1], -c[2]])
        peak = c[0] + 0.5 * (c[1:3] @ shift)
        flux = max(flux, abs(peak / jy - 1))
        place = max(place, np.hypot(x + shift[0] - x0, y + shift[1] - y0) * CELL)
    return flux, place


def cleaned(sources):
    """A better filled aperture, with noise.  Sidelobes are still high: with the usual gain of 0.1
    and mgain of 0.8 WSClean diverges here."""
    files = simulate("deep", "--antennas", "48", "--dec", str(DEC), "--sky", "sky.csv")
    uvh5ms("--weight-spectrum", *files, "deep.ms")
    wsclean("deep.ms", "clean", "-niter", "20000", "-gain", "0.05", "-mgain", "0.6", "-auto-mask", "5",
            "-auto-threshold", "1")
    theirs = restored(*plane("clean-image.fits"), sources)
    tile = ours("clean", files, 20000)
    own = restored(*plane(tile + "/image.fits"), sources)
    print("     off by: WSClean %.2e of the flux, %.3f arcsec; ours %.2e, %.3f" % (theirs + own))
    check(own[0] < 1.5 * max(5e-3, theirs[0]) and own[1] < 1.5 * max(0.1, theirs[1]),
          "CLEAN: fluxes and positions are as close to the truth as WSClean's")


def main():
    os.environ["PATH"] += ":/usr/sbin"
    top = tempfile.mkdtemp(prefix="judge-ms-")
    os.chdir(top)
    try:
        columns()
        sources = sky()
        files = simulate("drift", "--antennas", "24", "--dec", str(DEC), "--sky", "sky.csv",
                         "--noise-sefd", "0")
        uvh5ms("--weight-spectrum", "drift/" + group_of(files), "drift.ms")
        meridian(files)
        if shutil.which("aoflagger") is None:
            print("     AOFlagger is not installed")
        else:
            shutil.copytree("tracked.ms", "flagged.ms")
            run("aoflagger", "flagged.ms")
            check(Set("flagged.ms").flag.shape == Set("tracked.ms").flag.shape, "AOFlagger opens it")
        if shutil.which("wsclean") is None:
            print("     WSClean is not installed")
        else:
            dirty(files, sources)
            cleaned(sources)
    finally:
        os.chdir("/")
        shutil.rmtree(top)
    print("%d bad" % len(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
