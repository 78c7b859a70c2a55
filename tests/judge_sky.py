#!/usr/bin/python3
"""A known sky through the whole house: noise, unknown gains and bandpass, calibrator, CLEAN, mosaic.

Three drifting groups go in as files; out of products/ and state/ come FITS, PNG, manifests and
registry rows.  Each source that was put in must be there: within a tenth of the beam and 3 % of
its flux, fitted here on the pixels of mosaic.fits and of the middle tile's image-pb.fits.
"""
import glob
import hashlib
import json
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
import warnings
import zlib

try:
    import numpy as np
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from astropy.io import fits
    from astropy.wcs import WCS
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)
if shutil.which("fitsverify") is None:
    print("skipped: fitsverify is not installed")
    sys.exit(77)

warnings.simplefilter("ignore")
BUILD = os.environ.get("BUILD", "build")
FLUX, OFFSET = 0.03, 0.1  # allowed: share of the flux, share of the (minor) beam
MEDIAN = 0.01             # ... and of the median flux: a bias of CLEAN or of the gains shows here
MIN_BEAM = 0.3            # sources are judged where some tile's primary beam is more
ARRAY = ["--antennas", "40", "--integrations", "6", "--channels", "2", "--groups", "3"]

# 0834+555 of the built-in table (VLA calibrator manual: 9 Jy at 327.5 MHz, 8.8 Jy at 1465 MHz).
CALIBRATOR = ("0834+555", 128.72876715, 55.57251972, 8.806, -0.015, 1405.0)
# Others: degrees east and north of the middle centre, Jy at 1400 MHz, spectral index; tiles are 0.74
# degrees apart, and none lies in the strip at a tile's edge that CLEAN does not search.
SKY = [(0.42, -0.33, 0.55, -0.7), (-0.51, 0.22, 0.40, -1.2), (0.23, 0.74, 0.70, 0.4),
       (-0.18, -0.93, 0.85, -0.8), (1.07, 0.27, 0.90, -0.3), (-1.13, -0.41, 1.10, -0.9),
       (0.64, -0.98, 1.30, -0.6), (-0.57, 1.02, 1.60, 0.0), (1.37, 0.71, 1.50, -1.0),
       (-1.39, 0.36, 1.20, -0.5), (0.11, -0.44, 0.25, -0.7), (-0.36, -0.21, 0.30, 0.8)]
CONF = """[paths]
root = .
[watch]
stabilization_time_s = 0
[workers]
count = 2
[imaging]
weighting = natural
size = 1000
cell_arcsec = 11
[mosaic]
tiles = 3
"""
faults = []


def check(ok, what):
    print("ok  " if ok else "FAIL", what)
    if not ok:
        faults.append(what)


def simulate(root):
    """Where the groups look when the calibrator transits in the middle one, then the sky around it."""
    sim = [f"{BUILD}/uvh5sim", "--quiet"]
    subprocess.run([*sim, "--out", f"{root}/probe", "--antennas", "2", "--subbands", "1", *ARRAY[2:],
                    "--calibrator", CALIBRATOR[0], "--no-field"], check=True, stdout=subprocess.DEVNULL)
    with open(f"{root}/probe/truth/groups.json") as f:
        groups = json.load(f)["groups"]
    centre = SkyCoord(groups[1]["ra_deg"] * u.deg, groups[1]["dec_deg"] * u.deg)
    with open(f"{root}/sky.csv", "w") as f:
        f.write("name,ra_deg,dec_deg,flux_jy,spix,freq_mhz\n")
        f.write("{},{:.8f},{:.8f},{},{},{}\n".format(*CALIBRATOR))
        for i, (east, north, jy, spix) in enumerate(SKY):
            p = centre.spherical_offsets_by(east * u.deg, north * u.deg)
            f.write(f"S{i:02d},{p.ra.deg:.8f},{p.dec.deg:.8f},{jy},{spix},1400\n")
    subprocess.run([*sim, "--out", f"{root}/incoming", "--truth", f"{root}/truth", *ARRAY,
                    "--sky", f"{root}/sky.csv", "--start", groups[0]["start"], "--dec",
                    str(groups[0]["dec_app_deg"]), "--seed", "4"],
                   check=True, stdout=subprocess.DEVNULL)
    return np.genfromtxt(f"{root}/sky.csv", delimiter=",", names=True, dtype=None, encoding="utf8")


def publish(root):
    with open(f"{root}/w.conf", "w") as f:
        f.write(CONF)
    ran = subprocess.run([f"{BUILD}/watcherd", "-c", f"{root}/w.conf", "--once"],
                         capture_output=True, text=True)
    real = [sorted(d for d in glob.glob(f"{root}/products/{kind}/*") if not os.path.islink(d))
            for kind in ("tiles", "mosaics")]
    print(*(line for line in ran.stderr.splitlines() if "step=image" in line or "step=refine" in line
            or "step=calibrate" in line), sep="\n")
    if ran.returncode != 0 or [len(r) for r in real] != [3, 1]:
        print(ran.stderr)
        print(f"FAIL: {len(real[0])} tiles and {len(real[1])} mosaics were published, not 3 and 1")
        sys.exit(1)
    return real[0], real[1][0]


def fit(image, x, y, width):
    """Peak and place of the elliptical Gaussian near (x, y): least squares on the logarithm,
    weighted by value squared, over the pixels above 0.6 of the highest within `width` pixels."""
    i, j, r = int(round(x)), int(round(y)), int(np.ceil(width))
    if not (r < i < image.shape[1] - r - 1 and r < j < image.shape[0] - r - 1):
        return None
    yy, xx = np.mgrid[j - r:j + r + 1, i - r:i + r + 1]
    v = image[j - r:j + r + 1, i - r:i + r + 1]
    near = np.hypot(xx - x, yy - y) <= width
    top = np.nanmax(np.where(near, v, -np.inf))
    use = near & (v > 0.6 * top)
    if not np.isfinite(top) or use.sum() < 7:
        return None
    dx, dy, z = xx[use] - x, yy[use] - y, v[use]
    a = np.stack([np.ones_like(dx), dx, dy, dx * dx, dx * dy, dy * dy], axis=1)
    c = np.linalg.lstsq(a * z[:, None], np.log(z) * z, rcond=None)[0]
    h = np.array([[2 * c[3], c[4]], [c[4], 2 * c[5]]])
    at = -np.linalg.solve(h, c[1:3])
    return np.exp(c[0] + 0.5 * c[1:3] @ at), x + at[0], y + at[1]


def judge_sources(path, sky, beam, noise):
    """beam, noise: maps on the same pixels; a source counts where beam > MIN_BEAM."""
    hdu = fits.open(path)[0]
    image, header = hdu.data[0, 0], hdu.header
    wcs = WCS(header).celestial
    hz, pixel = header["CRVAL3"], abs(header["CDELT2"])
    bmaj, bmin = header["BMAJ"] / pixel, header["BMIN"] / pixel
    ratios = []
    print(f"     {os.path.basename(path)}: {image.shape[1]} x {image.shape[0]} pixels, beam {bmaj:.2f} x "
          f"{bmin:.2f} pixels, {hz / 1e6:.2f} MHz\n     source    flux Jy  beam   ratio  sigma   off/beam")
    for s in sky:
        x, y = wcs.wcs_world2pix([[s["ra_deg"], s["dec_deg"]]], 0)[0]
        i, j = int(round(x)), int(round(y))
        if not (0 <= i < image.shape[1] and 0 <= j < image.shape[0] and beam[j, i] > MIN_BEAM):
            continue
        jy = s["flux_jy"] * (hz / (s["freq_mhz"] * 1e6)) ** s["spix"]
        if 5 * noise[j, i] > FLUX * jy:
            continue
        got = fit(image, x, y, 0.6 * bmin)
        if got is None:
            check(False, f"{s['name']} is in {path}")
            continue
        # (The beam's fall with frequency moves the effective frequency of a source at beam 0.3 with
        # index -1 by 0.4 % in flux: var(ln nu) = 0.0015 times 1 times 2 ln(0.3).)
        ratio, off = got[0] / jy, np.hypot(got[1] - x, got[2] - y) / bmin
        print(f"     {s['name']:8s} {jy:8.4f}  {beam[j, i]:.2f}  {ratio:.4f}  {noise[j, i] / jy:.4f}  {off:.4f}")
        ratios.append(ratio)
        if abs(ratio - 1) > FLUX or off > OFFSET:
            check(False, f"{s['name']} comes back: ratio {ratio:.4f}, {off:.3f} beams off")
    check(abs(np.median(ratios) - 1) < MEDIAN, f"median ratio {np.median(ratios):.4f}, within 1 %")
    return len(ratios)


def png_pixels(path):
    """Width and height, after inflating every row of an 8-bit grey PNG and checking its sums."""
    with open(path, "rb") as f:
        raw = f.read()
    assert raw[:8] == b"\x89PNG\r\n\x1a\n"
    at, data, head = 8, b"", None
    while at < len(raw):
        size, kind = struct.unpack(">I4s", raw[at:at + 8])
        body = raw[at + 8:at + 8 + size]
        assert zlib.crc32(kind + body) == struct.unpack(">I", raw[at + 8 + size:at + 12 + size])[0]
        head = struct.unpack(">IIBBBBB", body) if kind == b"IHDR" else head
        data += body if kind == b"IDAT" else b""
        at += 12 + size
    assert kind == b"IEND" and head[2] == 8 and head[3] == 0
    rows = zlib.decompress(data)
    assert len(rows) == head[1] * (head[0] + 1)
    return head[:2], np.frombuffer(rows, np.uint8).reshape(head[1], -1)[:, 1:]


def judge_files(folder):
    name = os.path.basename(folder)
    with open(f"{folder}/manifest.json") as f:
        manifest = json.load(f)
    listed = manifest["files"]
    wrong = [e["name"] for e in listed
             if hashlib.sha256(open(f"{folder}/{e['name']}", "rb").read()).hexdigest() != e["sha256"]]
    rest = set(os.listdir(folder)) - {e["name"] for e in listed} - {"manifest.json"}
    check(not wrong and not rest, f"{name}: manifest knows all {len(listed)} files and their SHA-256")
    paths = sorted(glob.glob(f"{folder}/*.fits"))
    check(len(paths) in (2, 5), f"{name}: {len(paths)} FITS files, given to fitsverify")
    for path in paths:
        out = subprocess.run(["fitsverify", path], capture_output=True, text=True).stdout
        if "found 0 warning(s) and 0 error(s)" not in out:
            print(out)
            check(False, f"fitsverify has nothing to say of {path}")
    try:
        size, grey = png_pixels(f"{folder}/preview.png")
        check(min(size) > 100 and grey.std() > 0, f"{name}: preview.png decodes, {size[0]} x {size[1]}")
    except (AssertionError, zlib.error) as why:
        check(False, f"{name}: preview.png decodes ({why!r})")


def rows(root, base, sql):
    db = sqlite3.connect(f"file:{root}/state/{base}.sqlite3?mode=ro", uri=True)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def judge_registry(root, tiles, mosaic):
    noted = rows(root, "data_registry", "SELECT data_type, status, published_path FROM data_registry")
    want = {("image", "published", os.path.realpath(t)) for t in tiles}
    want.add(("mosaic", "published", os.path.realpath(mosaic)))
    check({(k, s, os.path.realpath(p)) for k, s, p in noted} == want,
          "data_registry has the three images and the mosaic as published, with their folders")
    done = rows(root, "products", "SELECT status, ms_paths FROM mosaic_groups")
    check(len(done) == 1 and done[0][0] == "completed" and len(done[0][1].split(",")) == 3,
          "mosaic_groups has one window, completed, of three tiles")
    tables = rows(root, "cal_registry", "SELECT table_type, cal_field, path FROM caltables WHERE status = 'active'")
    check(any(t[0] == "bandpass" for t in tables) and all(os.path.exists(t[2]) for t in tables),
          f"caltables has {len(tables)} tables, a bandpass among them, and all are there")


with tempfile.TemporaryDirectory(prefix="judge_sky.") as tmp:
    sky = simulate(tmp)
    tiles, mosaic = publish(tmp)
    for folder in [*tiles, mosaic]:
        judge_files(folder)
    judge_registry(tmp, tiles, mosaic)

    middle = tiles[1]
    pb = fits.getdata(f"{middle}/pb.fits")[0, 0]
    sigma = fits.getheader(f"{middle}/image.fits")["NOISE"]
    n = judge_sources(f"{middle}/image-pb.fits", sky, pb, sigma / np.maximum(pb, 1e-6))
    check(n >= 9, f"{n} sources judged in the middle tile")

    weight = fits.getdata(f"{mosaic}/weight.fits")[0, 0]
    valid = np.isfinite(fits.getdata(f"{mosaic}/mosaic.fits")[0, 0])
    check((weight[valid] > 0).all() and not (weight[~valid] > 0).any() and valid.mean() > 0.3,
          f"the weight map is positive just where the mosaic has a value ({valid.mean():.2f} of it)")
    beam = np.zeros_like(weight)
    grid = WCS(fits.getheader(f"{mosaic}/mosaic.fits")).celestial
    for tile in tiles:  # the best beam of any tile, at the sources only
        tw, tp = WCS(fits.getheader(f"{tile}/pb.fits")).celestial, fits.getdata(f"{tile}/pb.fits")[0, 0]
        for s in sky:
            place = [[s["ra_deg"], s["dec_deg"]]]
            (x, y), (mx, my) = (np.rint(w.wcs_world2pix(place, 0)[0]).astype(int) for w in (tw, grid))
            if 0 <= x < tp.shape[1] and 0 <= y < tp.shape[0]:
                beam[my, mx] = max(beam[my, mx], tp[y, x])
    n = judge_sources(f"{mosaic}/mosaic.fits", sky, beam, np.where(weight > 0, weight, np.nan) ** -0.5)
    check(n >= 11, f"{n} sources judged in the mosaic")
print(f"{len(faults)} faults")
sys.exit(1 if faults else 0)
