#!/usr/bin/python3
"""Does uvh5info (and so uvh5.c) read what h5py reads?  Real files, whole; and hostile ones."""
import glob
import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

TOOL = os.path.join(os.environ.get("BUILD", "build"), "uvh5info")
DATA = os.environ.get("WATCHERD_TEST_DATA", "../shared/data")
bad = []


def check(ok, what):
    print(("ok   " if ok else "BAD  ") + what)
    if not ok:
        bad.append(what)


def run(*args):
    return subprocess.run([TOOL, *args], capture_output=True, text=True, timeout=60)


def dump(files, pick="*,*,*"):
    p = run("--json", "--dump", pick, *files)
    if p.returncode != 0:
        raise SystemExit("uvh5info: " + p.stderr)
    return [json.loads(line) for line in p.stdout.splitlines()]


def swapped(code):
    return {-3: -4, -4: -3, -7: -8, -8: -7}.get(code, code)


def expect(files):
    """{(time in 10 ms, ant1, ant2, freq, code): (value, weight, uvw)} by the rules of uvh5.h."""
    out = {}
    for name in files:
        with h5py.File(name) as f:
            h = f["Header"]
            numbers = h["antenna_numbers"][()]
            place = {n: i for i, n in enumerate(numbers)}
            v = f["Data/visdata"][()]
            if v.dtype.names:
                v = v["r"].astype(float) + 1j * v["i"]
            nrow, nf, npol = v.shape[0], v.shape[-2], v.shape[-1]
            v = v.reshape(nrow, nf, npol).astype(np.complex64)
            flag = count = None
            if "flags" in f["Data"]:
                flag = f["Data/flags"][()].reshape(v.shape)
            if "nsamples" in f["Data"]:
                count = f["Data/nsamples"][()].reshape(v.shape).astype(float)
            flag = np.zeros(v.shape, bool) if flag is None else flag
            count = np.ones(v.shape) if count is None else count
            top = count[np.isfinite(count) & (count < 1e15)].max()
            share = count / top if top > 0 else np.zeros_like(count)
            with np.errstate(invalid="ignore"):
                good = (~flag & (share > 0) & (v != 0) & (abs(v.real) < 1e15)
                        & (abs(v.imag) < 1e15))
            freq = h["freq_array"][()].ravel()
            width = abs(np.broadcast_to(h["channel_width"][()].ravel(), nf))
            tint = np.broadcast_to(h["integration_time"][()], nrow)
            code = h["polarization_array"][()]
            weight = np.where(good, 2 * width[None, :, None] * tint[:, None, None] * share, 0)
            v = np.where(good, v, 0)
            for r in range(nrow):
                a, b = int(_col(f, "ant_1_array")[r]), int(
                    _col(f, "ant_2_array")[r])
                if a == b:
                    continue
                flip = place[a] > place[b]
                t = round(_col(f, "time_array")[r] * 8640000)
                uvw = _col(f, "uvw_array")[r] * (-1 if flip else 1)
                for c in range(nf):
                    for p in range(npol):
                        x = v[r, c, p]
                        key = (t, b if flip else a, a if flip else b, float(freq[c]),
                               swapped(int(code[p])) if flip else int(code[p]))
                        out[key] = (x.conjugate() if flip else x, weight[r, c, p], uvw)
        _cache.clear()
    return out


_cache = {}


def _col(f, name):
    if name not in _cache:
        _cache[name] = f["Header/" + name][()]
    return _cache[name]


def compare(label, files):
    got, want = dump(files), expect(files)
    check(len(got) == len(want), "%s: %d samples, h5py has %d" % (label, len(got), len(want)))
    worst_v = worst_w = 0.0
    lost = 0
    for g in got:
        key = (round(g["jd"] * 8640000), g["antenna1"], g["antenna2"], g["freq_hz"], g["code"])
        if key not in want:
            lost += 1
            continue
        v, w, _ = want[key]
        worst_v = max(worst_v, abs(complex(g["re"], g["im"]) - v))
        worst_w = max(worst_w, abs(g["weight"] - w) / max(w, 1))
    valid = sum(g["weight"] > 0 for g in got)
    check(lost == 0, "%s: every sample has its place (%d have not)" % (label, lost))
    check(worst_v == 0, "%s: values are those of the file (off by %g)" % (label, worst_v))
    check(worst_w < 1e-6, "%s: weights (off by %g), %d of %d valid" % (label, worst_w, valid,
                                                                      len(got)))
    freqs = [g["freq_hz"] for g in got if g["row"] == 0 and g["pol"] == 0]
    check(freqs == sorted(freqs), "%s: channels ascend" % label)
    return got, want


def compare_uvw(label, got, want, most_arcsec):
    """Our uvw, from antenna positions, beside the file's: a small turn and the scale of
    aberration (up to 1e-4: it moves field and phase centre unequally) may lie between."""
    ours, theirs = [], []
    first = got[0]["jd"]
    for g in got:
        if g["chan"] == 0 and g["pol"] == 0 and g["jd"] == first:
            key = (round(g["jd"] * 8640000), g["antenna1"], g["antenna2"], g["freq_hz"],
                   g["code"])
            ours.append(g["uvw_m"])
            theirs.append(want[key][2])
    ours, theirs = np.array(ours), np.array(theirs)
    length = np.linalg.norm(theirs, axis=1)
    u, s, vt = np.linalg.svd(ours.T @ theirs)
    turn = u @ vt
    scale = s.sum() / (ours ** 2).sum()
    arcsec = 206265 / 2 * np.linalg.norm(turn - turn.T) / np.sqrt(2)
    left = np.linalg.norm(theirs - scale * ours @ turn, axis=1) / length
    off = np.linalg.norm(ours - theirs, axis=1) / length
    print("     %s: %d uvw off by at most %.2e of the baseline: a turn of %.1f arcsec, "
          "scale 1%+.1e, rest %.1e" % (label, len(off), off.max(), arcsec, scale - 1,
                                       left.max()))
    check(np.linalg.det(turn) > 0 and arcsec < most_arcsec and abs(scale - 1) < 1.1e-4
          and left.max() < 3e-4, "%s: uvw agree" % label)


def real():
    sza = sorted(glob.glob(DATA + "/sza-3c273/groups/2010-08-03T21:12:10_sb*.hdf5"))
    got, want = compare("SZA, 3 of 16 sub-bands", sza[::7])
    # The uvw in these files are CARMA's own: in the equator of date (27 arcsec about w) and
    # for an instant about 12.6 s from the time stamp (190 arcsec about v).
    compare_uvw("SZA", got, want, 250)
    check(dump(sza[5:] + sza[:5], "33,*,0") == dump(sza, "33,*,0"),
          "SZA: the order of the files does not matter")
    hera = DATA + "/hera/"
    old = dump([hera + "zen.2458116.61019.xx.HH.XRS_downselected.uvh5"], "*,77,*")
    new = dump([hera + "zen.2458116.61019.xx.HH.XRS_downselected.new_shape.uvh5"], "*,77,*")
    same = [[r[k] for r in old] == [r[k] for r in new] for k in ("re", "im", "weight")]
    check(all(same) and len(old) == 60, "HERA: both layouts give the same bits")
    got, want = compare("HERA averaged by baseline",
                        [hera + "zen.2459122.30030.sum.bda.downsampled.uvh5"])
    compare_uvw("HERA averaged by baseline", got, want, 5)
    compare("HERA integers, all counts 0", [DATA + "/uvh5-misc/zen.2458432.34569.uvh5"])
    ata = sorted(glob.glob(DATA + "/uvh5-misc/ata*.uvh5"))
    got, _ = compare("ATA, insane counts", ata[:1])
    check(len(dump(ata, "5,*,2")) == 32, "ATA: two tunings join")
    check(all(g["weight"] == 0 for g in got), "ATA: negative counts leave no weight")
    p = run(hera + "zen.2459114.60020.sum.downsample_transpose.new_shape.uvh5")
    check(p.returncode == 1 and "Data/visdata is [12][4][1536]" in p.stderr,
          "HERA transposed: refused: " + p.stderr.strip())
    mixed = run("--dump", "0,0,0", sza[0], sza[1].replace("21:12", "21:17"))
    check(mixed.returncode == 1 and "disagree in times" in mixed.stderr and
          mixed.stderr.count("sb0") == 2, "two observations: refused: " + mixed.stderr.strip())


def small(path, **change):
    """A minute file of the DSA-110 kind; `change` replaces or (None) removes data sets."""
    nt, ants, nf, npol = 3, [0, 1, 2, 4], 5, 2
    pairs = [(a, b) for i, a in enumerate(ants) for b in ants[: i + 1]]
    n = nt * len(pairs)
    sets = {
        "Header/latitude": 37.2314, "Header/longitude": -118.2817, "Header/altitude": 1222.0,
        "Header/telescope_name": np.bytes_("OVRO_MMA"), "Header/phase_type": np.bytes_("drift"),
        "Header/phase_center_app_dec": 0.9524855391037991,
        "Header/Nblts": n, "Header/Nfreqs": nf, "Header/Npols": npol,
        "Header/antenna_numbers": np.arange(5), "Header/antenna_names": np.array([b"1"] * 5),
        "Header/antenna_positions": np.arange(15.0).reshape(5, 3) ** 2,
        "Header/ant_1_array": np.array([p[1] for p in pairs] * nt),
        "Header/ant_2_array": np.array([p[0] for p in pairs] * nt),
        "Header/time_array": 2461066.3 + np.repeat(np.arange(nt), len(pairs)) * 12.9 / 86400,
        "Header/integration_time": np.full(n, 12.884902),
        "Header/uvw_array": np.zeros((n, 3), "f4"),
        "Header/freq_array": 1.4e9 - 244140.625 * np.arange(nf)[None, :],
        "Header/channel_width": -244140.625, "Header/polarization_array": np.array([-5, -6]),
        "Header/extra_keywords/phase_center_dec": 0.9524855391037991,
        "Header/extra_keywords/ha_phase_center": 0.0,
        "Header/extra_keywords/phase_center_epoch": "HADEC",
        "Data/visdata": np.ones((n, 1, nf, npol), "c8"),
        "Data/flags": np.zeros((n, 1, nf, npol), bool),
        "Data/nsamples": np.full((n, 1, nf, npol), 96, "f4"),
    }
    sets.update({k.replace("__", "/"): v for k, v in change.items()})
    with h5py.File(path, "w") as f:
        for name, value in sets.items():
            if value is not None:
                f[name] = value
    return path


def made(folder):
    """Files with everything awkward in them, seeded."""
    rng = np.random.default_rng(8)
    path = os.path.join(folder, "m.hdf5")

    def noise(*shape):
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype("c8")

    # Correlator order, ant1 > ant2 among it; NaN, Inf, zero, huge, flags, short counts.
    v, flag = noise(30, 1, 5, 2), rng.random((30, 1, 5, 2)) < 0.1
    for k, x in enumerate((np.nan, 1j * np.inf, 0, 3e17, -1e30j, complex(np.nan, 2))):
        v[3 * k + 1, 0, k % 5, k % 2] = x
    count = rng.integers(0, 97, (30, 1, 5, 2)).astype("f4")
    count[4, 0, 2, 1] = np.nan
    a1, a2 = np.tile([4, 4, 1, 0, 2, 0, 1, 1, 2, 4], 3), np.tile([2, 1, 2, 0, 0, 4, 0, 1, 2, 4],
                                                                 3)
    compare("made, awkward", [small(path, Data__visdata=v, Data__flags=flag,
                                    Data__nsamples=count, Header__ant_1_array=a1,
                                    Header__ant_2_array=a2)])
    # Integers, 3-D, four polarisations whose cross hands swap, antenna numbers not in order.
    ints = np.zeros((30, 5, 4), [("r", "<i4"), ("i", "<i4")])
    ints["r"], ints["i"] = rng.integers(-9999, 9999, (2, 30, 5, 4))
    compare("made, integers", [small(
        path, Data__visdata=ints, Data__flags=None, Data__nsamples=None, Header__Npols=4,
        Header__polarization_array=np.array([-5, -7, -8, -6]), Header__ant_1_array=a1,
        Header__ant_2_array=a2, Header__antenna_numbers=np.array([2, 4, 1, 3, 0]),
        Header__freq_array=1.4e9 + 1e5 * np.array([3, 0, 1, 4, 2]),
        Header__channel_width=np.array([1, 2, 3, 4, 5]) * 1e4)])
    # Compressed as pyuvdata (LZF) and as others do, with partial chunks, repeating and not.
    for how in ("lzf", "gzip"):
        small(path, Data__visdata=v, Data__flags=None)
        with h5py.File(path, "r+") as f:
            f.create_dataset("Data/flags", data=flag, chunks=(7, 1, 5, 2), compression=how)
            del f["Data/nsamples"], f["Header/time_array"]
            f.create_dataset("Data/nsamples", data=count, chunks=(16, 1, 2, 2), compression=how,
                             shuffle=True)
            f.create_dataset("Header/time_array", data=np.repeat(2461066.3 + np.arange(3) * 1e-4,
                                                                 10), compression=how)
        compare("made, " + how, [path])


def virtual_layout():
    layout = h5py.VirtualLayout((30,), "f8")
    layout[:] = h5py.VirtualSource("other.hdf5", "x", (30,))
    return layout


def hostile(folder):
    path = os.path.join(folder, "a.hdf5")
    p = run("--json", small(path))
    check(p.returncode == 0 and json.loads(p.stdout)["phasing"] == "meridian",
          "the small file itself is read: " + p.stderr)
    cases = {
        "external link": lambda f: [f.__delitem__("Data/visdata"), f.__setitem__(
            "Data/visdata", h5py.ExternalLink("/etc/passwd", "x"))],
        "values in another file": lambda f: [f.__delitem__("Header/time_array"), f.create_dataset(
            "Header/time_array", (30,), "f8", external="/etc/passwd")],
        "virtual data set": lambda f: [f.__delitem__("Header/time_array"),
                                       f.create_virtual_dataset("Header/time_array",
                                                                virtual_layout())],
        "bomb": lambda f: [f.__delitem__("Header/time_array"), f.create_dataset(
            "Header/time_array", (1 << 36,), "f8", chunks=(1 << 16,))],
        "absurd": lambda f: [f.__delitem__("Data/visdata"), f.create_dataset(
            "Data/visdata", (1 << 30, 1 << 20, 2), "c8", chunks=(1024, 64, 2))],
        "beyond 2^64": lambda f: [f.__delitem__("Data/visdata"), f.create_dataset(
            "Data/visdata", (1 << 40, 1 << 30, 1), "c8", chunks=(1024, 64, 1))],
        "seven dimensions": lambda f: [f.__delitem__("Data/visdata"), f.create_dataset(
            "Data/visdata", (1,) * 7, "c8")],
        "group for a data set": lambda f: [f.__delitem__("Header/time_array"),
                                           f.create_group("Header/time_array")],
        "empty": lambda f: [f.__delitem__("Header/time_array"), f.__setitem__(
            "Header/time_array", h5py.Empty("f8"))],
        "NaN times": lambda f: f["Header/time_array"].__setitem__(4, np.nan),
        "text for numbers": lambda f: [f.__delitem__("Header/latitude"), f.__setitem__(
            "Header/latitude", "37.2")],
        "degrees for radians": lambda f: f["Header/phase_center_app_dec"].__setitem__((), 54.57),
        "hour angle": lambda f: f["Header/extra_keywords/ha_phase_center"].__setitem__((), 0.1),
        "unknown antenna": lambda f: f["Header/ant_2_array"].__setitem__(7, 77),
        "same antenna twice": lambda f: f["Header/antenna_numbers"].__setitem__(3, 0),
        "frequency 0": lambda f: f["Header/freq_array"].__setitem__((0, 2), 0),
        "only autocorrelations": lambda f: f["Header/ant_2_array"].__setitem__(
            slice(None), f["Header/ant_1_array"][()]),
    }
    for name, spoil in cases.items():
        small(path)
        with h5py.File(path, "r+") as f:
            spoil(f)
        p = run(path)
        check(p.returncode == 1 and path in p.stderr and p.stderr.count("\n") == 1,
              name + ": " + p.stderr.strip()[:150])
    whole = open(small(path), "rb").read()
    for cut in (0, 7, 100, 5000, len(whole) - 4000):
        open(path, "wb").write(whole[:cut])
        p = run(path)
        check(p.returncode == 1 and path in p.stderr, "cut to %d: %s" % (cut,
                                                                         p.stderr.strip()[:120]))


def main():
    if os.path.isdir(DATA):
        real()
    else:
        print("no real data at %s: only made files are read" % DATA)
    with tempfile.TemporaryDirectory() as folder:
        made(folder)
        hostile(folder)
    print("%d bad" % len(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
