#!/usr/bin/python3
"""Interference judged from outside: simulated groups with every kind of it, beside the same
group without.  The image's noise and the calibrator's flux stay, or the group fails and says why;
samples are found as exactly as by AOFlagger on the same data as a Measurement Set.
"""
import csv
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

from judging import check, faults, run

try:
    import h5py
    import numpy as np
    from casacore.tables import table
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
ANTENNAS, TIMES, CHANNELS, SUBBANDS = 32, 6, 6, 16
SEFD, TINT, WIDTH = 6000.0, 12.884902, 11718750.0 / CHANNELS
SIGMA = SEFD / np.sqrt(2 * WIDTH * TINT)
CONF = """[paths]
root = .
incoming = incoming
[watch]
stabilization_time_s = 0
[imaging]
size = 768
cell_arcsec = 8
niter = 2000
keep_ms = yes
"""
# kind, share of the cells
KINDS = [("cells", 0.003), ("cells", 0.02), ("narrow", 0.04), ("broad", 0.03), ("burst", 0.1),
         ("weak", 0.02)]


def simulate(folder, *args):
    run(BUILD + "/uvh5sim", "--out", folder + "/incoming", "--truth", folder + "/truth", "--quiet",
        "--calibrator", "0834+555", "--no-field", "--antennas", str(ANTENNAS), "--integrations",
        str(TIMES), "--channels", str(CHANNELS), "--seed", "1", *args)
    run(BUILD + "/uvh5ms", "--quiet", *sorted(glob.glob(folder + "/incoming/*.hdf5")),
        folder + "/raw.ms")


def column(path, name):
    with table(path, ack=False) as t:
        return t.getcol(name)


def sigma_of(folder):
    """Noise of every sample of the set: that of the receivers times the gains of both antennas."""
    with h5py.File(folder + "/truth/gains.h5") as f:
        gain, station = np.abs(f["gain"][0]), list(f["station"][()])
    with table(folder + "/raw.ms/ANTENNA", ack=False) as t:
        names = t.getcol("NAME")
    place = [station.index(int("".join(filter(str.isdigit, n)))) if "".join(filter(str.isdigit, n))
             and int("".join(filter(str.isdigit, n))) in station else -1 for n in names]
    place = np.array(place)
    one, two = (gain[place[column(folder + "/raw.ms", a)]] for a in ("ANTENNA1", "ANTENNA2"))
    return SIGMA * (one * two).transpose(0, 2, 1)


def cells(folder):
    """[integration][channel, ascending] sigma of the interference in rfi.csv."""
    size = np.zeros((TIMES, SUBBANDS * CHANNELS))
    path = folder + "/truth/rfi.csv"
    if os.path.exists(path):
        with open(path) as f:
            for r in csv.DictReader(f):
                chan = int(r["subband"]) * CHANNELS + int(r["channel"])
                size[int(r["integration"]), size.shape[1] - 1 - chan] = float(r["sigma"])
    return size


def publish(folder):
    """qa.json, the calibrator's flux and the flags; or None and why not."""
    with open(folder + "/w.conf", "w") as f:
        f.write(CONF)
    p = subprocess.run([BUILD + "/watcherd", "-c", folder + "/w.conf", "--once"],
                       capture_output=True, text=True)
    tiles = glob.glob(folder + "/products/tiles/*/qa.json")
    if not tiles:
        why = [line for line in p.stderr.splitlines() if "max_share" in line][:1]
        return None, why, None
    with open(tiles[0]) as f:
        qa = json.load(f)
    with open(os.path.dirname(tiles[0]) + "/sources.csv") as f:
        flux = max(float(r["flux_jy"]) for r in csv.DictReader(f))
    return qa, flux, column(glob.glob(folder + "/scratch/*.ms")[0], "FLAG")


def f1(flags, bad):
    hit = (flags & bad).sum()
    return 2 * hit / max(1, flags.sum() + bad.sum())


def spread(cell, folder):
    """A plane of cells as samples of the set."""
    jd = column(folder + "/raw.ms", "TIME")
    t = np.searchsorted(np.unique(jd), jd)
    return np.repeat(cell[t][:, :, None], 2, axis=2)


def aoflagger(folder):
    if shutil.which("aoflagger") is None:
        return None
    shutil.copytree(folder + "/raw.ms", folder + "/ao.ms")
    run("aoflagger", folder + "/ao.ms")
    return column(folder + "/ao.ms", "FLAG")


def one_kind(kind, share, clean, clean_flux):
    folder = "%s-%g" % (kind, share)
    what = "%s, %g of the cells: " % (kind, share)
    simulate(folder, "--rfi", str(share), "--rfi-kind", kind)
    size = abs(column(folder + "/raw.ms", "DATA") - column("clean/raw.ms", "DATA")) / sigma_of("clean")
    bad = spread(cells(folder) > 0, folder)
    qa, flux, flags = publish(folder)
    if qa is None or qa["qa_status"] == "failed":
        why = flux if qa is None else qa.get("reasons")
        check(bool(why), what + "failed, and says why: %s" % why)
        return
    print("     %s%.4f of the samples bad; found by cause: %s" % (what, bad.mean(), {
        k: round(v, 5) for k, v in qa["flagging"].items() if isinstance(v, float) and v > 0}))
    check(qa["noise_jy"] < 1.3 * clean["noise_jy"],
          what + "noise %.3f mJy, without it %.3f" % (qa["noise_jy"] * 1e3, clean["noise_jy"] * 1e3))
    check(abs(flux / clean_flux - 1) < 0.01, what + "calibrator %.3f Jy, without it %.3f"
          % (flux, clean_flux))
    strong = size > 10
    if strong.any():
        check(flags[strong].mean() >= 0.99, what + "%.4f of the samples above 10 sigma are found"
              % flags[strong].mean())
    check(flags[~bad].mean() < 0.01, what + "%.5f of the good samples are taken" % flags[~bad].mean())
    theirs = aoflagger(folder)
    if theirs is None:
        print("     AOFlagger is not installed: not compared")
        return
    ours, other = f1(flags, bad), f1(theirs, bad)
    print("     %sAOFlagger finds %.4f of those above 10 sigma and takes %.5f of the good ones"
          % (what, theirs[strong].mean() if strong.any() else 1, theirs[~bad].mean()))
    check(ours >= other, what + "F1 %.4f, AOFlagger %.4f" % (ours, other))


def main():
    simulate("clean")
    for rms in ("0.02", "0.4", "0.7"):
        folder = "gains-" + rms
        simulate(folder, "--gain-rms", rms)
        qa, _, _ = publish(folder)
        check(qa["flagging"]["total"] < 0.01, "clean data, gains scattered by %s: %.5f taken"
              % (rms, qa["flagging"]["total"]))
    clean, clean_flux, _ = publish("clean")
    for kind, share in KINDS:
        one_kind(kind, share, clean, clean_flux)


here = tempfile.mkdtemp(prefix="watcherd-rfi-", dir=os.environ.get("TMPDIR"))
try:
    os.chdir(here)
    main()
finally:
    os.chdir("/")
    if not os.environ.get("KEEP"):
        shutil.rmtree(here)
print("%d faults" % len(faults))
sys.exit(bool(faults))
