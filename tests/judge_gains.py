#!/usr/bin/python3
"""Gains judged from outside: those of simulated groups against the simulator's own, at the limit
that the radiometer equation sets, whatever the calibrator's flux; with errors as large as the
table says; without noise to rounding.
"""
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
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
ANTENNAS, TIMES, CHANNELS = 32, 6, 6
CONF = """[paths]
root = .
incoming = in
[watch]
stabilization_time_s = 0
[instrument]
beam = none
[calibration]
model_rounds = 0
min_flux_jy = 0.01
calibrator = X,128.7,55.57,%g,1405
[imaging]
size = 300
cell_arcsec = 11
weighting = natural
niter = 20
[workers]
max_retries = 0
"""


def calibrate(folder, jy, sefd):
    """Folder of the product, None when the group was refused; and the log."""
    run(BUILD + "/uvh5sim", "--out", folder + "/in", "--truth", folder + "/truth", "--quiet", "--calibrator",
        "X,128.7,55.57,%g,1405" % jy, "--no-field", "--antennas", str(ANTENNAS), "--integrations", str(TIMES),
        "--channels", str(CHANNELS), "--beam", "none", "--noise-sefd", str(sefd), "--drift", "1" if sefd else "0",
        "--dec", "55.5", "--seed", "3")
    with open(folder + "/w.conf", "w") as f:
        f.write(CONF % jy)
    p = subprocess.run([BUILD + "/watcherd", "-c", folder + "/w.conf", "--once"],
                       capture_output=True, text=True)
    made = glob.glob(folder + "/products/tiles/*.gen1")
    return made[0] if made else None, p.stderr


def errors(folder, product):
    """Relative errors of the bandpass [antenna][channel][hand], any common phase aside, and the
    signal to noise that the table says."""
    with h5py.File(folder + "/truth/gains.h5") as f:
        truth, station = f["gain"][0], list(f["station"][()])
    with h5py.File(product + "/bandpass.h5") as f:
        numbers = f["Header/ant_array"][()]
        gains, flags = f["Data/gains"][:, :, 0], f["Data/flags"][:, :, 0]
        snr = f["Data/qualities"][:, :, 0]
    true = np.array([truth[station.index(n + 1)].T for n in numbers])
    z = np.where(flags, np.nan, gains / true)
    return z * np.exp(-1j * np.angle(np.nansum(z, axis=0))) - 1, snr


def judge(jy, sefd):
    folder = tempfile.mkdtemp()
    try:
        product, log = calibrate(folder, jy, sefd)
        check(product is not None, "%g Jy, noise of %g Jy: published" % (jy, sefd))
        if product is None:
            print(log)
            return
        off, snr = errors(folder, product)
        with open(product + "/qa.json") as f:
            qa = json.load(f)
        rms = np.sqrt(np.nanmean(abs(off) ** 2))
        if sefd == 0:
            check(rms < 1e-5 and not np.isnan(off).any(), "without noise: gains to %.1e" % rms)
            return
        shared = qa["calibration"]["channels_per_solution"]
        limit = sefd / np.sqrt(11718750.0 / CHANNELS * 12.884902 * TIMES) / (jy * np.sqrt(ANTENNAS - 1))
        chi2 = np.nanmean(abs(off) ** 2 * snr ** 2 / 2)
        check(qa["imaged_fraction"] > 0.95, "%g Jy: %.4f of the data imaged" % (jy, qa["imaged_fraction"]))
        if shared == 1:
            check(rms < 1.1 * limit, "%g Jy: gains to %.4f, the noise's limit %.4f" % (jy, rms, limit))
            check(0.85 < chi2 < 1.15, "%g Jy: chi squared %.3f" % (jy, chi2))
        else:
            check(rms < 0.15, "%g Jy: %g channels together, gains to %.4f, each alone to %.4f at best"
                  % (jy, shared, rms, limit))
    finally:
        shutil.rmtree(folder)


for flux, noise in ((8, 6000), (0.5, 6000), (8, 0)):
    judge(flux, noise)
sys.exit(1 if faults else 0)
