#!/usr/bin/python3
"""Time smearing through the whole pipeline: sources of a made sky lose what qa.json says, and come back
with [imaging] correct_smearing."""
import glob
import json
import os
import shutil
import sys
import tempfile

from judging import check, faults, run

try:
    import numpy as np
    from astropy.io import fits
    from astropy.wcs import WCS
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
SUBBANDS = 4


def simulate(folder, *args):
    run(BUILD + "/uvh5sim", "--out", folder, "--quiet", "--antennas", "40", "--integrations", "4",
        "--channels", "4", "--subbands", str(SUBBANDS), "--start", "2026-01-26T08:07:07", "--dec", "54.6",
        "--gain-rms", "0", "--bandpass-rms", "0", "--noise-sefd", "0", "--dish", "9", *args)


def tile(root, incoming, *settings):
    """Dirty: a source alone peaks at what the baselines keep of it."""
    os.mkdir(root)
    with open(root + "/w.conf", "w") as f:
        f.write("[paths]\nroot = .\nincoming = %s\n[watch]\nstabilization_time_s = 0\n[group]\n"
                "expected = %d\n[instrument]\ndish_m = 9\n[calibration]\ncalibrator = none\n[imaging]\nniter = 0\n%s"
                % (os.path.abspath(incoming), SUBBANDS, "".join(s + "\n" for s in settings)))
    run(BUILD + "/watcherd", "-c", root + "/w.conf", "--once")
    return glob.glob(root + "/products/tiles/*.gen1")[0]


def peak(folder, name, sky):
    """Of the dirty image in the pixel of the source, a fraction of one beside it: there the longest
    baselines count a little less than at the source itself."""
    with fits.open(folder + "/" + name) as f:
        x, y = WCS(f[0].header).celestial.all_world2pix(*sky, 0)
        return float(f[0].data.squeeze()[int(np.rint(y)), int(np.rint(x))])


def main():
    top = tempfile.mkdtemp(prefix="judge-smearing-")
    os.chdir(top)
    try:
        simulate("probe", "--no-field", "--calibrator", "0834+555")
        with open("probe/truth/groups.json") as f:
            group = json.load(f)["groups"][0]
        sky = (group["ra_deg"] + 0.8 / np.cos(np.radians(group["dec_deg"])), group["dec_deg"] - 0.1)
        with open("sky.csv", "w") as out:
            out.write("name,ra_deg,dec_deg,flux_jy,spix,freq_mhz\nS,%.8f,%.8f,5,0,1400\n" % sky)
        simulate("smeared", "--sky", "sky.csv")
        simulate("sharp", "--sky", "sky.csv", "--no-smearing")
        smeared, sharp = tile("one", "smeared", "correct_smearing = yes"), tile("two", "sharp")
        with open(sharp + "/qa.json") as f:
            said = json.load(f)["time_smearing"]
        lost = 1 - peak(smeared, "image.fits", sky) / peak(sharp, "image.fits", sky)
        kept = peak(smeared, "pb.fits", sky) / peak(sharp, "pb.fits", sky)
        print("     lost %.5f, by the map %.5f; qa.json: %s" % (lost, 1 - kept, said))
        check(lost > 0.001, "there is something to lose")
        check(abs(lost - (1 - kept)) < 0.1 * lost, "the map knows what is lost")
        check(0.2 * lost < said["loss_half_beam"] < said["loss_fifth_beam"] <= said["worst_fifth_beam"]
              and said["loss_fifth_beam"] < said["loss_corners"] and not said["corrected"],
              "qa.json tells it, and more further out")
        back = peak(smeared, "image-pb.fits", sky) / peak(sharp, "image-pb.fits", sky)
        check(abs(back - 1) < 0.1 * lost, "correct_smearing gives it back (%.6f)" % back)
        check(fits.getheader(smeared + "/pb.fits")["SMEARCOR"] == "yes", "and the header says so")
    finally:
        os.chdir("/")
        shutil.rmtree(top)
    print("%d bad" % len(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
