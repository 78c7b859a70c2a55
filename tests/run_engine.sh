#!/bin/bash
# [imaging] engine = wsclean: WSClean that is missing, fails, hangs or fills the disk is one sentence and leaves
# nothing behind, no process either; and where it is installed, its products have the fluxes that ours have.
# shellcheck source=tests/lib.sh disable=SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir engine
group=2026-01-26T08:07:07
simulate in "$group" --jitter none
mkdir bin
ln -s "$(command -v sleep)" "$(command -v head)" bin/

# fake LINE...: a wsclean that does this; it keeps account where a worker in its sandbox may not write
fake() {
    printf '%s\n' '#!/bin/sh' 'echo $$ >>'"$dir/pids" "$@" >bin/wsclean
    chmod +x bin/wsclean
    : >pids
    chosen=$dir/bin
}
# refused SENTENCE [SETTING...]: the task fails with it, once, and nothing is left
refused() {
    local want=$1
    shift
    rm -rf root log
    settings '[imaging]' 'engine = wsclean' '[workers]' 'max_retries = 0' 'sandbox = no' "$@"
    PATH=$chosen once_here
    [ "$rc" -eq 1 ] || fail "$want: exit $rc: $(tail -2 log)"
    lines 1 "event=task_failed .*group=$group reason=\"$want\""
    nothing_left
}
once_here() {
    rc=0
    "$build/watcherd" -c w.conf --once 2>>log || rc=$?
}
nothing_left() {
    local pid
    [ -z "$(find root/scratch root/products \( -type f -o -name wsclean \) 2>/dev/null)" ] ||
        fail "left behind: $(find root/scratch root/products)"
    while read -r pid; do ended "$pid" || fail "process $pid is still there"; done <pids
}

: >pids
mkdir empty
chosen=$dir/empty
refused 'there is no program wsclean, which \[imaging\] engine asks for'
fake 'echo "+ >>> it is Monday"' 'echo "+ + +"' 'exit 2'
refused 'wsclean ended with 2: it is Monday'
fake 'exit 0'
refused "[^\"]*$dir/root/scratch/$group/[0-9]*/wsclean/out-psf.fits[^\"]*"
fake 'sleep 1000 & echo $! >>'"$dir/pids" 'sleep 1000'
refused 'wsclean was killed after 1 s .\[imaging\] engine_timeout_s.' '[imaging]' 'engine_timeout_s = 1'
echo "missing, failing and hanging ones are told"

# Stopped in the middle: the task is handed back, and WSClean is gone.
mkfifo told
fake 'sleep 1000 & echo $! >>'"$dir/pids" "echo here >$dir/told" 'exec sleep 1000'
rm -rf root log
settings '[imaging]' 'engine = wsclean' '[workers]' 'stop_grace_s = 0' 'sandbox = no'
PATH=$chosen:$PATH start
read -r _ <told
stop
[ "$rc" -eq 0 ] || fail "stopped: exit $rc"
lines 0 'event=task_failed'
nothing_left
echo "stopped: $(wc -l <pids) processes of it are gone"

# The disk fills while it runs.
if [ "$(id -u)" -eq 0 ] && mkdir disk && mount -t tmpfs -o size=80M tmpfs disk 2>/dev/null; then
    mounted=$dir/disk
    fake 'head -c 1G /dev/zero >big' 'exit 1'
    rm -rf root log
    settings '[imaging]' 'engine = wsclean' '[paths]' "scratch = $dir/disk/scratch" '[workers]' 'retry_delay_s = 0.1' 'sandbox = no' \
        '[disk]' 'stop_pct = 100'
    PATH=$chosen:$PATH start
    wait_for log 'No space left on the disk of scratch: wsclean ended with 1'
    stop
    lines 0 'event=task_failed'
    [ -z "$(find disk -name wsclean)" ] || fail "left on the disk: $(find disk)"
    nothing_left
    echo "a full disk is waited for"
else
    echo "no file system can be mounted here: a full disk is not tried"
fi

if [ -z "$(command -v wsclean)" ]; then
    echo "WSClean is not installed: its images are not compared"
    exit 0
fi
rm -rf in root log
"$build/uvh5sim" --quiet --out in --truth "$dir/truth" --start "$group" --jitter none --antennas 48 --integrations 4 \
    --channels 2 --calibrator 0834+555 --noise-sefd 9000 --radius 0.5 --min-flux 0.1 >/dev/null
for engine in own wsclean; do
    settings '[imaging]' "engine = $engine" 'size = 540' 'cell_arcsec = 7.5' 'niter = 5000' 'mgain = 0.6' '[paths]' \
        "root = $dir/$engine" '[qa]' "catalogue = $dir/truth/sky.csv"
    once
    [ "$rc" -eq 0 ] || fail "$engine: exit $rc: $(tail -2 log)"
done
[ "$(ls own/products/tiles/$group)" = "$(ls wsclean/products/tiles/$group)" ] || fail "other products"
[ -z "$(find wsclean/scratch -type f)" ] || fail "left behind: $(find wsclean/scratch)"
/usr/bin/python3 - <<'END'
import csv
import glob
import json
import math

tile = {e: glob.glob(e + "/products/tiles/*.gen1")[0] for e in ("own", "wsclean")}
qa = {e: json.load(open(t + "/qa.json")) for e, t in tile.items()}
found = {}
for e, t in tile.items():
    with open(t + "/sources.csv") as f:
        found[e] = [(float(s["ra_deg"]), float(s["dec_deg"]), float(s["flux_jy"])) for s in csv.DictReader(f)]
    head = open(t + "/image.fits", "rb").read(11520).decode("ascii", "replace")
    card = {c.split("=")[0].strip(): c.split("=")[1].split("/")[0].strip(" '") for c in
            (head[i:i + 80] for i in range(0, 11520, 80)) if c[8:9] == "="}
    slant = math.hypot(float(card.get("PV2_1", 0)), float(card.get("PV2_2", 0)))
    print("%s: ENGINE %s, beam %.2f x %.2f, slant %.4f, noise %.2f mJy, %d sources, catalogue %s"
          % (e, card["ENGINE"], qa[e]["bmaj_arcsec"], qa[e]["bmin_arcsec"], slant, 1e3 * qa[e]["noise_jy"], len(found[e]), qa[e]["catalogue"]))
    assert card["ENGINE"] == e == qa[e]["engine"]
    assert (slant == 0) == (e == "wsclean"), "the header says what the projection is"
a, b = qa["own"], qa["wsclean"]
assert abs(a["bmaj_arcsec"] / b["bmaj_arcsec"] - 1) < 0.01, "one restoring beam"
assert abs(a["noise_jy"] / b["noise_jy"] - 1) < 0.15, "noise"
assert b["catalogue"]["found"] >= a["catalogue"]["found"] - 1 > 1, "sources"
worst = 0.0
for ra, dec, jy in found["own"]:
    apart, there = min((math.hypot((r - ra) * math.cos(math.radians(dec)), d - dec) * 3600, f)
                       for r, d, f in found["wsclean"])
    if jy > 15 * a["noise_jy"]:
        print("  %7.4f Jy: %7.4f by WSClean, %.2f arcsec away" % (jy, there, apart))
        assert apart < 5 and abs(there - jy) < 0.01 * jy + 5 * a["noise_jy"]
END
echo "products and fluxes of both engines agree"
