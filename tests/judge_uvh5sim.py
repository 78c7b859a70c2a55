#!/usr/bin/python3
"""Simulated files against h5py and astropy: layout, order, phases, amplitudes, gains, noise."""
import json
import math
import os
import subprocess
import sys
import tempfile
import warnings

try:
    import h5py
    import numpy as np
    from astropy import units as u
    from astropy.coordinates import EarthLocation
    from astropy.time import Time
    from astropy.utils import iers
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)


sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from judging_earth import itrf  # noqa: E402

warnings.simplefilter("ignore")
iers.conf.auto_download = False
iers.conf.iers_degraded_accuracy = "ignore"
SIM = os.path.join(os.environ.get("BUILD", "build"), "uvh5sim")
C = 299792458.0
DISH = 4.65
EARTH = [0.0, 0.0, 0.0]  # UT1-UTC s and the pole in arcsec, of the last run
# Three sources off the centre, none the mirror of another, and a strong far one.
SKY = """name,ra_deg,dec_deg,flux_jy,spix,freq_mhz
a,{0:.6f},{1:.6f},3.0,-0.7,1400
b,{2:.6f},{3:.6f},1.5,+0.4,1400
c,{4:.6f},{5:.6f},2.25,-1.2,1300
d,{6:.6f},{7:.6f},40.0,-0.8,1400
"""
PERFECT = ["--noise-sefd", "0", "--gain-rms", "0", "--bandpass-rms", "0"]


def check(ok, text):
    print("ok  " if ok else "FAIL", text)
    if not ok:
        sys.exit(1)


def run(out, *args):
    subprocess.run([SIM, "--out", out, "--quiet", *args], check=True,
                   stdout=subprocess.DEVNULL)
    with open(os.path.join(out, "truth", "groups.json")) as f:
        truth = json.load(f)
    EARTH[:] = truth["earth_s_arcsec"]
    return truth


def first_file(out, truth, sub, group=0):
    return h5py.File(os.path.join(out, truth["groups"][group]["files"][sub]), "r")


def bessel_j1(x):
    """Its own series; good to 1e-12 below x = 12."""
    term = x / 2
    total = term
    for k in range(1, 60):
        term = -term * (x / 2) ** 2 / (k * (k + 1))
        total = total + term
    return total


def airy(angle, freq):
    x = math.pi * DISH * math.sin(angle) * freq / C
    return 1.0 if x == 0 else (2 * bessel_j1(x) / x) ** 2


def itrf_direction(ra_deg, dec_deg, jd):
    return itrf(ra_deg, dec_deg, jd, EARTH)


def read_sky(out):
    rows = np.genfromtxt(os.path.join(out, "truth", "sky.csv"), delimiter=",",
                         names=True, dtype=None, encoding="utf8")
    return np.atleast_1d(rows)


def meridian(f):
    lon = math.radians(f["Header/longitude"][()])
    dec = f["Header/extra_keywords/phase_center_dec"][()]
    return np.array([math.cos(dec) * math.cos(lon), math.cos(dec) * math.sin(lon),
                     math.sin(dec)])


def turned(d, angle):
    """A direction in ITRF once the earth has turned by so much."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([c * d[0] + s * d[1], c * d[1] - s * d[0], d[2]])


def predict(f, sky, row, chan, stop_of):
    jd = f["Header/time_array"][row]
    pos = f["Header/antenna_positions"]
    b = pos[f["Header/ant_2_array"][row]] - pos[f["Header/ant_1_array"][row]]
    freq = f["Header/freq_array"][()].ravel()[chan]
    stop = stop_of(jd)
    half = math.pi * 1.00273781191135448 * f["Header/integration_time"][row] / 86400
    v = 0
    for s in sky:
        d = itrf_direction(s["ra_deg"], s["dec_deg"], jd)
        angle = 2 * math.asin(np.linalg.norm(d - stop) / 2)
        flux = s["flux_jy"] * (freq / (s["freq_mhz"] * 1e6)) ** s["spix"]
        # cycles from the begin of the integration to its end, both followed by the earth's rotation
        cycles = freq / C * (b @ (turned(d - stop, half) - turned(d - stop, -half)))
        v += np.sinc(cycles) * flux * airy(angle, freq) * np.exp(
            2j * math.pi * freq / C * (b @ (d - stop)))
    return v


def compare(f, sky, stop_of, vis, what):
    rng = np.random.default_rng(5)
    rows = rng.choice(vis.shape[0], 40, replace=False)
    ant1, ant2 = f["Header/ant_1_array"][()], f["Header/ant_2_array"][()]
    rows = [r for r in rows] + list(np.nonzero(ant1 > ant2)[0][:3])
    worst = 0
    for r in rows:
        c = int(rng.integers(vis.shape[1]))
        want = predict(f, sky, r, c, stop_of)
        worst = max(worst, abs(vis[r, c, 0] - want), abs(vis[r, c, 1] - want))
    check(worst < 1e-3, "%s: %d visibilities, worst error %.1e Jy" % (what, len(rows), worst))


def field(ra, dec):
    return SKY.format(ra + 0.71, dec + 0.33, ra - 0.40, dec + 0.65, ra + 0.15, dec - 0.9,
                      ra - 1.6, dec - 1.2)


def judge_phases(tmp):
    at = ["--start", "2026-01-25T22:26:05", "--antennas", "7", "--integrations", "3",
          "--channels", "5", "--dec", "54.5", "--groups", "2"]
    truth = run(tmp + "/plan", *at, "--no-field", "--calibrator", "3C273", *PERFECT)
    ra, dec = truth["groups"][0]["ra_deg"], truth["groups"][0]["dec_deg"]
    path = tmp + "/sky.csv"
    with open(path, "w") as f:
        f.write(field(ra, dec))
    truth = run(tmp + "/p", *at, "--sky", path, *PERFECT)
    sky = read_sky(tmp + "/p")
    check(len(sky) == 4 and abs(sky["ra_deg"][0] - ra - 0.71) < 1e-5, "truth repeats the sky")
    for sub, group in ((0, 0), (11, 0), (15, 1)):
        with first_file(tmp + "/p", truth, sub, group) as f:
            stop = meridian(f)
            vis = f["Data/visdata"][:, 0]
            compare(f, sky, lambda jd: stop, vis, "sub-band %d, group %d" % (sub, group))
            check(not np.any(f["Data/flags"][()]), "no flag is set")
    centre = itrf_direction(ra, dec, truth["groups"][0]["t0_jd"] + 12.8849 / 86400)
    with first_file(tmp + "/p", truth, 0) as f:
        apart = np.linalg.norm(centre - meridian(f)) * 206265
    check(apart < 0.01, "the pointing in groups.json is the meridian point (%.4f arcsec)" % apart)

    truth = run(tmp + "/t", *at, "--sky", path, "--layout", "3d", *PERFECT)
    with first_file(tmp + "/t", truth, 3, 1) as f:
        cat = f["Header/phase_center_catalog/0"]
        lon, lat = math.degrees(cat["cat_lon"][()]), math.degrees(cat["cat_lat"][()])
        check(f["Data/visdata"].shape == (3 * 28, 5, 2), "3-D layout has no spectral windows")
        compare(f, read_sky(tmp + "/t"), lambda jd: itrf_direction(lon, lat, jd),
                f["Data/visdata"][()], "3-D, tracking")
    return path, at


def judge_gains_and_noise(tmp, path, at):
    small = at + ["--subbands", "3", "--sky", path]
    run(tmp + "/g0", *small, *PERFECT)
    truth = run(tmp + "/g1", *small, "--noise-sefd", "0", "--gain-rms", "0.3",
                "--bandpass-rms", "0.1", "--drift", "0", "--scale", "0.0045")
    with h5py.File(tmp + "/g1/truth/gains.h5") as g:
        gain, station, freq = g["gain"][()], g["station"][()], g["freq_hz"][()]
    with first_file(tmp + "/g0", truth, 1) as a, first_file(tmp + "/g1", truth, 1) as b:
        place = {n - 1: i for i, n in enumerate(station)}
        i1 = [place[x] for x in b["Header/ant_1_array"]]
        i2 = [place[x] for x in b["Header/ant_2_array"]]
        chan = [int(np.argmin(abs(freq - x))) for x in b["Header/freq_array"][0]]
        ga = np.moveaxis(gain[0][:, :, chan], 1, 2)
        want = a["Data/visdata"][:, 0] * ga[i1] * ga[i2].conj()
        off = np.max(abs(b["Data/visdata"][:, 0] - want)) / np.max(abs(want))
    spread = np.angle(gain[0, :, :, 0]).ravel()
    check(off < 1e-5, "V = g1 conj(g2) V_true with gains.h5 (%.0e)" % off)
    check(spread.max() - spread.min() > 3, "phases of the gains spread over the circle")

    more = small + ["--antennas", "20", "--integrations", "10"]
    run(tmp + "/n0", *more, *PERFECT)
    truth = run(tmp + "/n", *more, "--noise-sefd", "6000", "--gain-rms", "0",
                "--bandpass-rms", "0")
    with first_file(tmp + "/n0", truth, 2) as a, first_file(tmp + "/n", truth, 2) as b:
        diff = b["Data/visdata"][()] - a["Data/visdata"][()]
        auto = b["Header/ant_1_array"][()] == b["Header/ant_2_array"][()]
        sigma = 6000 / math.sqrt(2 * 11718750 / 5 * b["Header/integration_time"][0])
        cross = diff[~auto]
        n = cross.size
        for part, name in ((cross.real, "real"), (cross.imag, "imaginary")):
            check(abs(part.std() / sigma - 1) < 4 / math.sqrt(2 * n) and
                  abs(part.mean()) < 4 * sigma / math.sqrt(n),
                  "noise of the %s part is SEFD / sqrt(2 dnu dt) (%.4f)"
                  % (name, part.std() / sigma))
        check(abs(diff[auto].real.mean() / 6000 - 1) < 0.01 and
              not np.any(diff[auto].imag), "autocorrelations are real and stand at the SEFD")


def judge_faults(tmp):
    """Dead: zeros.  Deaf: noise of the right size, no sky.  Interference: where the truth says."""
    at = ["--antennas", "9", "--integrations", "6", "--channels", "10", "--calibrator", "3C273",
          "--no-field", "--subbands", "4", "--gain-rms", "0", "--bandpass-rms", "0"]
    truth = run(tmp + "/f", *at, "--dead", "1,70", "--deaf", "115", "--rfi", "0.2")
    cells = np.genfromtxt(tmp + "/f/truth/rfi.csv", delimiter=",", names=True, dtype=None,
                          encoding="utf8")
    rate = len(cells) / (6 * 4 * 10)
    check(0.1 < rate < 0.3, "%.2f of the cells have interference for --rfi 0.2" % rate)
    stations = truth["parameters"]["stations"]
    dead = [n - 1 for n in stations if n in (1, 70)]
    check(dead == [0], "station 1 is among %s" % stations)
    sigma = 6000 / math.sqrt(2 * 1171875 * 12.884902)
    for sub in range(4):
        bad = np.zeros((6, 10), bool)
        for c in cells[cells["subband"] == sub]:
            bad[c["integration"], c["channel"]] = True
        with first_file(tmp + "/f", truth, sub) as f:
            vis = f["Data/visdata"][:, 0].reshape(6, 45, 10, 2)
            a1 = f["Header/ant_1_array"][:45]
            a2 = f["Header/ant_2_array"][:45]
        gone = (a1 == 0) | (a2 == 0)
        deaf = ((a1 == 114) | (a2 == 114)) & ~gone & (a1 != a2)
        well = ~gone & ~deaf & (a1 != a2)
        level = np.median(abs(vis[:, well]), axis=(1, 3))
        clean = np.median(level[~bad])
        check(not np.any(vis[:, gone]) and np.all(vis[:, well] != 0), "dead rows are zeros")
        check(abs(vis[:, deaf].real.std() / sigma - 1) < 0.1, "a deaf station hears only noise")
        check(clean > 20 and np.all(level[~bad] < 1.5 * clean) and
              np.all(np.max(abs(vis[:, well]), axis=(1, 3))[bad] > 1.3 * clean),
              "interference is where rfi.csv has it (sub-band %d, %d cells)" % (sub, bad.sum()))


def judge_layout(tmp):
    truth = run(tmp + "/full", "--subbands", "1", "--calibrator", "3C273", "--no-field")
    path = os.path.join(tmp, "full", truth["groups"][0]["files"][0])
    check(os.path.getsize(path) == 145348600, "a production file has 145,348,600 bytes")
    want = {  # path: type, shape, chunks; facts of the telescope's writer
        "Data/visdata": ("complex64", (111744, 1, 48, 2), (128, 1, 12, 1)),
        "Data/flags": ("bool", (111744, 1, 48, 2), (256, 1, 24, 1)),
        "Data/nsamples": ("float32", (111744, 1, 48, 2), (256, 1, 12, 1)),
        "Header/ant_1_array": ("int64", (111744,), (1024,)),
        "Header/ant_2_array": ("int64", (111744,), (1024,)),
        "Header/time_array": ("float64", (111744,), (1024,)),
        "Header/integration_time": ("float64", (111744,), (1024,)),
        "Header/uvw_array": ("float32", (111744, 3), (512, 3)),
        "Header/freq_array": ("float64", (1, 48), None),
        "Header/channel_width": ("float64", (), None),
        "Header/antenna_names": ("|S4", (117,), None),
        "Header/antenna_numbers": ("int64", (117,), None),
        "Header/antenna_positions": ("float64", (117, 3), None),
        "Header/antenna_diameters": ("float64", (117,), None),
        "Header/polarization_array": ("int64", (2,), None),
        "Header/phase_center_app_dec": ("float64", (), None),
    }
    with h5py.File(path, "r") as f:
        for name, (kind, shape, chunks) in want.items():
            d = f[name]
            check(d.dtype == np.dtype(kind) and d.shape == shape and d.chunks == chunks,
                  "%s is %s %s" % (name, kind, shape))
        h = f["Header"]
        counts = [int(h[n][()]) for n in ("Nants_data", "Nants_telescope", "Nbls", "Nblts",
                                          "Nfreqs", "Npols", "Ntimes", "Nspws")]
        check(counts == [96, 117, 4656, 111744, 48, 2, 24, 1], "counts of the header")
        check(h["extra_keywords/phase_center_epoch"][()] == b"HADEC", "epoch HADEC")
        check("lst_array" not in h, "lst_array is absent, as in production")
        freq = h["freq_array"][0]
        check(freq[0] == 1498643188.4765625 and np.all(np.diff(freq) == -244140.625),
              "channels descend from 1498.64 MHz")
        a1, a2 = h["ant_1_array"][:4656], h["ant_2_array"][:4656]
        check(len(set(zip(a1, a2))) == 4656 and 1 <= np.sum(a1 > a2) <= 5,
              "4656 different baselines, a few with antenna 1 > antenna 2")
        check(all(a2[i * (i + 1) // 2] == a2[i * (i + 1) // 2 + i] and
                  a1[i * (i + 1) // 2] == a1[0] for i in range(96)), "lower triangle")
        t = h["time_array"][()].reshape(24, 4656)
        check(np.all(np.ptp(t, axis=1) == 0) and
              np.allclose(np.diff(t[:, 0]) * 86400, 12.884902, atol=1e-4), "time is slowest")
        place = EarthLocation.from_geodetic(h["longitude"][()], h["latitude"][()],
                                            h["altitude"][()])
        one = EarthLocation.from_geodetic(-118.2856408, 37.2333752, 1182.6)
        off = [(getattr(one, k) - getattr(place, k)).to_value(u.m) for k in "xyz"]
        check(np.allclose(h["antenna_positions"][0], off, atol=0.02), "station 1 stands right")
        lon, dec = math.radians(h["longitude"][()]), h["phase_center_app_dec"][()]
        b = h["antenna_positions"][a2[777]] - h["antenna_positions"][a1[777]]
        x, y = b[0] * math.cos(lon) + b[1] * math.sin(lon), b[1] * math.cos(lon) - b[0] * math.sin(lon)
        uvw = [y, b[2] * math.cos(dec) - x * math.sin(dec), b[2] * math.sin(dec) + x * math.cos(dec)]
        check(np.allclose(h["uvw_array"][777 + 4656 * 9], uvw, atol=1e-3), "uvw for hour angle 0")


def judge_band(tmp):
    truth = run(tmp + "/band", "--antennas", "3", "--integrations", "2", "--channels", "7")
    edge = None
    for sub in range(16):
        with first_file(tmp + "/band", truth, sub) as f:
            freq, width = f["Header/freq_array"][0], f["Header/channel_width"][()]
            top, low = freq[0] + width / 2, freq[-1] - width / 2
        if edge is not None and abs(top - edge) > 1e-3:
            check(False, "sub-band %d starts at %f, not %f" % (sub, top, edge))
        edge = low
    check(abs(edge - (1311387329.1015625 - 122070.3125)) < 1e-3,
          "seven channels a sub-band cover the same band, edge to edge")


def judge_counts(tmp):
    """The NVSS has about 17 sources per square degree above 10 mJy (Blake & Wall 2002)."""
    truth = run(tmp + "/sky", "--antennas", "2", "--integrations", "1", "--channels", "1",
                "--subbands", "1", "--min-flux", "0.01", "--radius", "5", "--dec", "33")
    sky = read_sky(tmp + "/sky")
    density = len(sky) / (math.pi * 25)
    check(14 < density < 20, "%.1f sources per square degree above 10 mJy" % density)
    east = np.sum(np.mod(sky["ra_deg"] - truth["groups"][0]["ra_deg"] + 180, 360) > 180)
    north = np.sum(sky["dec_deg"] > truth["groups"][0]["dec_deg"])
    half = len(sky) / 2
    check(abs(east - half) < 4 * math.sqrt(half / 2) and
          abs(north - half) < 4 * math.sqrt(half / 2), "the random sky is even")


def main():
    with tempfile.TemporaryDirectory(prefix="judge-uvh5sim-") as tmp:
        path, at = judge_phases(tmp)
        judge_gains_and_noise(tmp, path, at)
        judge_faults(tmp)
        judge_band(tmp)
        judge_counts(tmp)
        judge_layout(tmp)


main()
