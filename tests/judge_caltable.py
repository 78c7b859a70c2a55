#!/usr/bin/python3
"""Our gain tables, read by h5py as CalH5; and HERA's own gains, through our table and our apply,
against HERA's own calibrated data (hera_cal's apply-cal triple, gain convention "divide")."""
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

PROGRAM = os.path.join(os.environ.get("BUILD", "build"), "tests", "test_caltable")
DATA = os.environ.get("WATCHERD_TEST_DATA", "../shared/data")
HERA = os.path.join(DATA, "hera", "zen.2458043.40141.xx.HH.XRAA")
failures = []


def check(good, sentence):
    if not good:
        failures.append(sentence)


def known_gain(t, c, number, pol):
    """The same formula as in tests/test_caltable.c."""
    return (0.5 + 0.01 * number + 0.1 * c) * np.exp(
        1j * (0.2 * number + 0.3 * c + 0.5 * t + (pol == -6)))


# pyuvdata's CalH5 (memo and calh5.py): name, kind of number, shape for 5 antennas (4 with data), 4
# channels, 3 times, 2 polarisations
HEADER = {
    "telescope_name": ("S", ()), "latitude": ("f", ()), "longitude": ("f", ()),
    "altitude": ("f", ()), "Nants_telescope": ("i", ()), "antenna_names": ("S", (5,)),
    "antenna_numbers": ("i", (5,)), "antenna_positions": ("f", (5, 3)),
    "Nants_data": ("i", ()), "ant_array": ("i", (4,)), "Nfreqs": ("i", ()),
    "Ntimes": ("i", ()), "Njones": ("i", ()), "Nspws": ("i", ()), "spw_array": ("i", (1,)),
    "freq_array": ("f", (4,)), "channel_width": ("f", (4,)), "time_array": ("f", (3,)),
    "integration_time": ("f", (3,)), "jones_array": ("i", (2,)), "history": ("S", ()),
    "cal_style": ("S", ()), "cal_type": ("S", ()), "gain_convention": ("S", ()),
    "wide_band": ("b", ()), "sky_catalog": ("S", ()), "ref_antenna_name": ("S", ()),
}
# What pyuvdata's reader asks for without a default (src/pyuvdata/uvcal/calh5.py, _read_header, at commit
# 05baeee: required_telescope_keys and required_parameters; from 3.2 on feeds and mounts in place of
# x_orientation), and what UVCal._set_wide_band and its check require of sky calibrations by channel.
REQUIRED = """telescope_name latitude longitude altitude x_orientation Nants_telescope antenna_names
antenna_numbers antenna_positions history Nfreqs Njones Nspws Ntimes Nants_data ant_array
integration_time spw_array jones_array cal_style cal_type gain_convention wide_band time_array
Nfeeds feed_array feed_angle mount_type sky_catalog""".split()
BY_CHANNEL = ["freq_array", "channel_width", "flex_spw_id_array"]
HEADER.update({
    "x_orientation": ("S", ()), "Nfeeds": ("i", ()), "feed_array": ("S", (5, 2)),
    "feed_angle": ("f", (5, 2)), "mount_type": ("S", (5,)), "flex_spw_id_array": ("i", (4,)),
})
TEXT = {"x_orientation": "east", "telescope_name": "OVRO_MMA", "cal_style": "sky", "cal_type": "gain",
        "gain_convention": "divide", "sky_catalog": "0834+555",
        "ref_antenna_name": "DSA-017"}
COUNTS = {"Nants_telescope": 5, "Nants_data": 4, "Nfreqs": 4, "Ntimes": 3, "Njones": 2,
          "Nspws": 1}


def judge_required(f):
    for name in REQUIRED + BY_CHANNEL:
        check(name in f["Header"], f"Header/{name}, which pyuvdata requires, is missing")
    check(set(f["Header/flex_spw_id_array"][()]) == set(f["Header/spw_array"][()]),
          "channels are in windows that are not there")
    check([list(row) for row in f["Header/feed_array"][()]] == [[b"x", b"y"]] * 5,
          "feeds are not x and y")
    check(np.allclose(f["Header/feed_angle"][()], [[np.pi / 2, 0]] * 5), "feed angles are wrong")
    check(set(f["Header/mount_type"][()]) == {b"alt-az"}, "mounts are wrong")


def judge_names(f):
    for name, (kind, shape) in HEADER.items():
        if name not in f["Header"]:
            check(False, f"Header/{name} is missing")
            continue
        d = f["Header"][name]
        check(d.shape == shape, f"Header/{name} has shape {d.shape}, not {shape}")
        check(d.dtype.kind == kind, f"Header/{name} is {d.dtype}, not of kind {kind}")
    for name, text in TEXT.items():
        got = bytes(f["Header"][name][()]).decode()
        check(got == text, f"Header/{name} is {got!r}, not {text!r}")
    for name, n in COUNTS.items():
        check(f["Header"][name][()] == n, f"Header/{name} is not {n}")
    check(list(f["Header/ant_array"]) == [3, 10, 17, 24], "ant_array is wrong")
    check(list(f["Header/jones_array"]) == [-5, -6], "jones_array is wrong")
    check(not f["Header/wide_band"][()], "wide_band is set")
    judge_required(f)
    extra = f["Header/extra_keywords"]
    check(bytes(extra["kind"][()]) == b"bandpass", "extra_keywords/kind is wrong")


def judge_gains(f):
    gains, flags = f["Data/gains"][()], f["Data/flags"][()]
    check(gains.dtype == np.complex128 and gains.shape == (4, 4, 3, 2),
          f"Data/gains is {gains.dtype} {gains.shape}")
    check(flags.dtype == bool and flags.shape == (4, 4, 3, 2),
          f"Data/flags is {flags.dtype} {flags.shape}")
    for a, number in enumerate([3, 10, 17, 24]):
        for c in range(4):
            for t in range(3):
                for p, pol in enumerate([-5, -6]):
                    none = number == 10 and pol == -6 and c == 2
                    check(flags[a, c, t, p] == none, f"flag of {number} {c} {t} {pol}")
                    check(none or abs(gains[a, c, t, p] - known_gain(t, c, number, pol))
                          < 1e-6, f"gain of antenna {number}, {c}, {t}, {pol}")


def hera_table(path):
    """HERA's calfits ([ant][spw][freq][time][jones][re, im, flag, quality]) as CalH5."""
    from astropy.io import fits
    with fits.open(HERA + ".abs.calfits") as hdu:
        d, h = hdu[0].data, hdu[0].header
        ants = np.asarray(hdu["ANTENNAS"].data["ANTARR"], dtype=np.int64)
    # ant_array is the first d.shape[0] of ANTARR, whose other rows have no gains
    with h5py.File(path, "w") as f:
        head = {"telescope_name": np.bytes_("HERA"), "cal_type": np.bytes_("gain"),
                "gain_convention": np.bytes_(h["GNCONVEN"].strip()),
                "ant_array": ants[:d.shape[0]],
                "freq_array": h["CRVAL4"] + h["CDELT4"] * np.arange(d.shape[2]),
                "time_array": h["CRVAL3"] + h["CDELT3"] * np.arange(d.shape[3]),
                "jones_array": np.array([int(h["CRVAL2"])])}
        for name, value in head.items():
            f["Header/" + name] = value
        f["Data/gains"] = d[:, 0, :, :, :, 0] + 1j * d[:, 0, :, :, :, 1]
        f["Data/flags"] = d[:, 0, :, :, :, 2] != 0


def judge_hera(tmp):
    """Expected by known.json "hera-applycal": median 2.8e-8; the wrong conjugation gives 0.24.
    Our gains and data are single precision: 1e-6."""
    table = os.path.join(tmp, "hera.calh5")
    hera_table(table)
    run = subprocess.run([PROGRAM, "--apply", table, HERA + ".uncalibrated.uvh5", HERA + ".uvh5"],
                         capture_output=True, text=True, check=False)
    check(run.returncode == 0, f"HERA's gains were not applied: {run.stderr.strip()}")
    if run.returncode == 0:
        median, p95, n = run.stdout.split()
        print(f"HERA apply-cal: median {median}, 95 % {p95}, {n} samples")
        check(float(median) < 1e-6, f"median difference {median}")
        check(float(p95) < 1e-5, f"95 % difference {p95}")
        check(int(n) > 50000, f"only {n} samples compared")


def main():
    if not os.access(PROGRAM, os.X_OK):
        print(f"skipped: {PROGRAM} is not built")
        return 77
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "bp.calh5")
        subprocess.run([PROGRAM, "--write", path], check=True)
        with h5py.File(path) as f:
            judge_names(f)
            judge_gains(f)
        if os.path.exists(HERA + ".uvh5"):
            judge_hera(tmp)
        else:
            print("HERA's apply-cal triple skipped: no hera data beside this checkout")
    for sentence in failures[:20]:
        print("WRONG:", sentence)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
