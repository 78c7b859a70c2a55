#!/usr/bin/python3
"""The published dirty image and PSF against a direct Fourier sum over what h5py reads.

Simulated group -> watcherd --once with niter = 0 -> FITS.  Where a pixel is, the FITS header and
astropy.wcs say; where that direction is from the array, astropy and ERFA say.  Nothing of ours
is between the files in and the pixels out.
"""
import glob
import os
import subprocess
import sys
import tempfile
import warnings

try:
    import h5py
    import numpy as np
    from astropy import units as u
    from astropy.io import fits
    from astropy.utils import iers
    from astropy.wcs import WCS
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import judging_earth  # noqa: E402

EARTH = [0.0, 0.0, 0.0]  # of the last simulation
warnings.simplefilter("ignore")
iers.conf.auto_download = False
iers.conf.iers_degraded_accuracy = "ignore"
BUILD = os.environ.get("BUILD", "build")
C = 299792458.0  # m/s, exact
SUBBANDS, SIDE, CELL = 5, 1250, 7.7  # pixels of CELL arcsec: 1.34 degrees to each side
TOLERANCE = 1e-4                     # of the image's peak: the house's promise

# Offsets from the field's centre in degrees (east, north), Jy, spectral index.
SKY = [(0.31, -0.17, 1.4, -0.7), (-0.62, 0.83, 2.1, 0.3), (1.05, 0.66, 1.7, -1.1),
       (-0.95, -0.88, 0.9, 0.0), (0.12, 1.21, 2.6, -0.8), (-1.18, 0.05, 1.2, -0.4)]
CONF = f"""[paths]
root = .
[watch]
stabilization_time_s = 0
[group]
expected = {SUBBANDS}
[calibration]
calibrator = none
[flagging]
enabled = no
[imaging]
niter = 0
weighting = natural
size = {SIDE}
cell_arcsec = {CELL}
"""
faults = []


def check(ok, what):
    print("ok  " if ok else "FAIL", what)
    if not ok:
        faults.append(what)


def simulate(root, dec, start):
    """A group whose sources lie around its own mean pointing; returns nothing but files."""
    subprocess.run(
        [f"{BUILD}/uvh5sim", "--out", f"{root}/probe", "--quiet", "--antennas", "2",
         "--integrations", "5", "--channels", "1", "--subbands", "1", "--dec", str(dec),
         "--start", start], check=True, stdout=subprocess.DEVNULL)
    with h5py.File(glob.glob(f"{root}/probe/*.hdf5")[0], "r") as f:
        jd = np.mean(f["Header/time_array"])
    EARTH[:] = judging_earth.earth_of(f"{root}/probe/truth/groups.json")
    centre = judging_earth.meridian(dec, jd, EARTH)
    with open(f"{root}/sky.csv", "w") as out:
        out.write("name,ra_deg,dec_deg,flux_jy,spix,freq_mhz\n")
        for i, (east, north, jy, spix) in enumerate(SKY):
            p = centre.spherical_offsets_by(east * u.deg, north * u.deg)
            out.write(f"S{i},{p.ra.deg:.8f},{p.dec.deg:.8f},{jy},{spix},1400\n")
    subprocess.run(
        [f"{BUILD}/uvh5sim", "--out", f"{root}/incoming", "--truth", f"{root}/truth", "--quiet",
         "--antennas", "14", "--integrations", "5", "--channels", "3", "--subbands",
         str(SUBBANDS), "--dec", str(dec), "--start", start, "--sky", f"{root}/sky.csv",
         "--noise-sefd", "0", "--gain-rms", "0", "--bandpass-rms", "0"],
        check=True, stdout=subprocess.DEVNULL)


def publish(root):
    with open(f"{root}/w.conf", "w") as f:
        f.write(CONF)
    ran = subprocess.run([f"{BUILD}/watcherd", "-c", f"{root}/w.conf", "--once"],
                         capture_output=True, text=True)
    tiles = [d for d in glob.glob(f"{root}/products/tiles/*") if not os.path.islink(d)]
    if ran.returncode != 0 or len(tiles) != 1:
        print(ran.stderr)
        print("FAIL: the group was not published")
        sys.exit(1)
    return tiles[0]


def read_samples(root):
    """All cross-correlations of all files: baseline, time, frequency, stop, Stokes I, weight."""
    out = {k: [] for k in ("b", "jd", "freq", "vis", "weight")}
    stop = None
    for path in sorted(glob.glob(f"{root}/incoming/*.hdf5")):
        with h5py.File(path, "r") as f:
            pos = f["Header/antenna_positions"][()]
            number = list(f["Header/antenna_numbers"][()])
            one = [number.index(a) for a in f["Header/ant_1_array"][()]]
            two = [number.index(a) for a in f["Header/ant_2_array"][()]]
            cross = np.array(one) != np.array(two)
            freq = f["Header/freq_array"][()].ravel()
            v = f["Data/visdata"][()].reshape(len(one), len(freq), -1)[cross]
            n = f["Data/nsamples"][()] * ~f["Data/flags"][()]
            n = n.reshape(len(one), len(freq), -1)[cross]
            lon = np.radians(f["Header/longitude"][()])
            dec = f["Header/extra_keywords/phase_center_dec"][()]
            # Stokes I of two equal hands; a sample needs both.
            vis, both = v[..., :2].mean(axis=-1), (n[..., :2] > 0).all(axis=-1)
            weight = both * 4 / (1 / np.where(both, n[..., 0], 1) + 1 / np.where(both, n[..., 1], 1))
            out["b"].append(np.repeat((pos[two] - pos[one])[cross], len(freq), axis=0))
            out["jd"].append(np.repeat(f["Header/time_array"][()][cross], len(freq)))
            out["freq"].append(np.tile(freq, int(cross.sum())))
            out["vis"].append(vis.ravel())
            out["weight"].append(weight.ravel())
            # Hour angle 0 at this declination, in the earth's frame.
            stop = np.array([np.cos(dec) * np.cos(lon), np.cos(dec) * np.sin(lon), np.sin(dec)])
    return {k: np.concatenate(x) for k, x in out.items()}, stop


def itrf(ra_deg, dec_deg, jd):
    return judging_earth.itrf(ra_deg, dec_deg, jd, EARTH)


def cosines(centre, ra, dec):
    """l east, m north, n of ICRS directions about the centre, degrees in."""
    ra0, dec0 = np.radians(centre)
    ra, dec = np.radians(ra), np.radians(dec)
    return (np.cos(dec) * np.sin(ra - ra0),
            np.sin(dec) * np.cos(dec0) - np.cos(dec) * np.sin(dec0) * np.cos(ra - ra0),
            np.sin(dec) * np.sin(dec0) + np.cos(dec) * np.cos(dec0) * np.cos(ra - ra0))


def tangent(centre, ra, dec, jd):
    """As itrf, but exact at the centre only: its derivatives there (by differences of itrf over
    20 arcsec), continued over the field.  This is what any program with u, v and w does."""
    ra0, dec0 = np.radians(centre)
    step = 1e-4
    east = np.array([-np.sin(ra0), np.cos(ra0), 0])
    north = np.array([-np.sin(dec0) * np.cos(ra0), -np.sin(dec0) * np.sin(ra0), np.cos(dec0)])
    here = np.array([np.cos(dec0) * np.cos(ra0), np.cos(dec0) * np.sin(ra0), np.sin(dec0)])
    basis = []
    for axis in (east, north):
        ends = [here * np.sqrt(1 - step ** 2) + sign * step * axis for sign in (1, -1)]
        d = [itrf(np.degrees(np.arctan2(e[1], e[0])), np.degrees(np.arcsin(e[2])), jd) for e in ends]
        basis.append((d[0] - d[1]) / (2 * step))
    l, m, n = cosines(centre, ra, dec)
    return np.outer(l, basis[0]) + np.outer(m, basis[1]) + np.outer(n, itrf(*centre, jd))


def direct_sum(s, ra, dec, stop, vis=None, exact=False):
    """sum w Re[V exp(-2 pi i nu/c b.(direction - stop))] / sum w; stop None: towards the sample's
    own `s["centre"]` with V = 1 (the PSF)."""
    total = np.zeros(len(ra))
    for jd in np.unique(s["jd"]):
        at = s["jd"] == jd
        towards = stop if stop is not None else itrf(*s["centre"], jd)
        d = (itrf(ra, dec, jd) if exact else tangent(s["centre"], ra, dec, jd)) - towards
        phase = 2 * np.pi / C * s["freq"][at, None] * (s["b"][at] @ d.T)
        v = (s["vis"] if vis is None else vis)[at, None]
        total += (s["weight"][at, None] * (v * np.exp(-1j * phase)).real).sum(axis=0)
    return total / s["weight"].sum()


def pixels():
    """100 scattered pixels, some a few pixels from each corner; (x, y) from 0."""
    rng = np.random.default_rng(11)
    some = rng.integers(0, SIDE, (84, 2))
    near = rng.integers(0, 12, (16, 2))
    for i, (cx, cy) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1)] * 4):
        near[i] = [SIDE - 1 - near[i, 0] if cx else near[i, 0],
                   SIDE - 1 - near[i, 1] if cy else near[i, 1]]
    return np.concatenate([some, near])


def judge(root, dec, start):
    simulate(root, dec, start)
    tile = publish(root)
    hdu = fits.open(f"{tile}/image.fits")[0]
    image, header = hdu.data[0, 0], hdu.header
    wcs = WCS(header).celestial
    peak = image.max()
    print(f"     declination {dec}: {image.shape[1]} x {image.shape[0]} pixels, "
          f"peak {peak:.4f} Jy/beam, slant {header.get('PV2_1', 0):.4f} {header.get('PV2_2', 0):.4f}")
    check(image.shape == (SIDE, SIDE) and abs(header["CDELT2"] * 3600 / CELL - 1) < 1e-12
          and header["CDELT1"] == -header["CDELT2"], "size and cell are the settings'")
    check(np.array_equal(image, fits.getdata(f"{tile}/residual.fits")[0, 0]),
          "niter = 0: the restored image is the dirty image")

    s, stop = read_samples(root)
    s["centre"] = (header["CRVAL1"], header["CRVAL2"])
    check(len(s["vis"]) == 14 * 13 // 2 * 5 * 3 * SUBBANDS, f"{len(s['vis'])} samples in the files")
    px = pixels()
    where = wcs.wcs_pix2world(px, 0)
    got = image[px[:, 1], px[:, 0]]
    off = np.abs(got - direct_sum(s, where[:, 0], where[:, 1], stop, exact=True))
    print(f"     exact directions: worst {off.max() / peak:.2e} of the peak; inside 1 degree "
          f"{off[np.hypot(*(px - SIDE / 2).T) * CELL < 3600].max() / peak:.2e}")
    check(off.max() < 2 * TOLERANCE * peak,
          "the field is flat enough for one u, v, w: exact directions differ by under 2e-4")
    want = direct_sum(s, where[:, 0], where[:, 1], stop)
    off = np.abs(got - want)
    print(f"     100 pixels: rms of the image there {got.std():.4f}, worst {off.max() / peak:.2e}, "
          f"rms {np.sqrt((off ** 2).mean()) / peak:.2e} of the peak; corners {off[84:].max() / peak:.2e}")
    check(got.std() > 0.02 * peak, "the pixels are not empty")
    check(off.max() < TOLERANCE * peak, "image.fits is the direct Fourier sum to 1e-4 of its peak")

    psf = fits.getdata(f"{tile}/psf.fits")[0, 0]
    want = direct_sum(s, where[:, 0], where[:, 1], None, np.ones(len(s["vis"])))
    off = np.abs(psf[px[:, 1], px[:, 0]] - want)
    print(f"     PSF: worst {off.max():.2e}")
    check(off.max() < TOLERANCE and abs(psf[SIDE // 2, SIDE // 2] - 1) < TOLERANCE,
          "psf.fits is the direct sum over unit visibilities, 1 in the middle")

    # The same comparison must see each of the classic mistakes.
    def fails(other):
        return np.abs(got - other).max() > 100 * TOLERANCE * peak

    check(fails(direct_sum(s, where[:, 0], where[:, 1], stop, s["vis"].conj())),
          "it would see a wrong sign of the phase")
    flip = wcs.wcs_pix2world(np.stack([2 * (SIDE // 2) - px[:, 0], px[:, 1]], axis=1), 0)
    check(fails(direct_sum(s, flip[:, 0], flip[:, 1], stop)), "... east to the right")
    turn = wcs.wcs_pix2world(px[:, ::-1], 0)
    check(fails(direct_sum(s, turn[:, 0], turn[:, 1], stop)), "... u and v swapped")
    header["PV2_1"] = header["PV2_2"] = 0.0
    flat = WCS(header).celestial.wcs_pix2world(px, 0)
    check(fails(direct_sum(s, flat[:, 0], flat[:, 1], stop)), "... the slant left out")


def main():
    with tempfile.TemporaryDirectory(prefix="judge_dirty.") as tmp:
        for place, (dec, start) in {"low": (16.3, "2026-01-25T22:26:05"),
                                    "high": (71.6, "2026-03-02T04:11:30")}.items():
            os.mkdir(f"{tmp}/{place}")
            judge(f"{tmp}/{place}", dec, start)
    print(f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
