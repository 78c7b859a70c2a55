#!/bin/bash
# A source is where it was put: with the longitude that fringes were stopped at, with a table of the
# earth's orientation of one's own, and with the one in the program, whose age is said.
# shellcheck source=tests/lib.sh disable=SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir astrometry

simulate_here() { # the calibrator's place shows by itself: no gains, no noise, imaged as it is
    rm -rf in root
    "$build/uvh5sim" --out in --quiet --calibrator 0834+555 --no-field --antennas 24 --integrations 4 --channels 2 \
        --gain-rms 0 --bandpass-rms 0 --noise-sefd 30 --jitter none "$@" >/dev/null
    group=$(basename "$(ls in/*_sb00.hdf5)" _sb00.hdf5)
}
off() { # off LEAST MOST: arc seconds in right ascension of the brightest source from the truth
    once
    [ $rc -eq 0 ] || fail "exit $rc"
    awk -F, -v least="$1" -v most="$2" 'FNR == 1 { next }
        NR == FNR { ra = $2; dec = $3; next }
        { x = ($2 - ra) * cos(dec * 3.14159265 / 180) * 3600; y = ($3 - dec) * 3600
          print "off by", x, y; exit !(x >= least && x <= most && y > -1.2 && y < 1.2) }' \
        in/truth/sky.csv "root/products/tiles/$group/sources.csv" >where || fail "$(cat where), not $1 to $2"
}

simulate_here --stop-longitude -118.3117 # 0.03 degrees west of the header's: 61 arcsec here
settings '[calibration]' 'calibrator = none'
off 56 66
rm -rf root
settings '[calibration]' 'calibrator = none' '[instrument]' 'stop_longitude = -118.3117'
off -0.4 0.4
grep -q 'step=convert .*directions to 0.7' log || fail "the age of the table is not said: $(grep step=convert log)"
grep -q '"from": "the table of earth orientation ends on 2022-11-29' "root/products/tiles/$group/qa.json" || fail "qa.json"

printf 'mjd,ut1_utc_s,pole_x_arcsec,pole_y_arcsec\n' >earth.csv
for mjd in 61000 61050 61100 61150; do echo "$mjd,0.8,0.1,0.3"; done >>earth.csv # 12 arcsec of UT1
simulate_here --earth earth.csv
settings '[calibration]' 'calibrator = none'
off -8.2 -5.8
rm -rf root
settings '[calibration]' 'calibrator = none' '[instrument]' "earth = $PWD/earth.csv"
off -0.4 0.4
grep -q 'step=convert .*directions to 0.002' log || fail "$(grep step=convert log)"

settings '[instrument]' 'stop_longitude = east'
! "$build/watcherd" -c w.conf --check-config >said 2>&1 || fail "a longitude that is none"
grep -q 'stop_longitude must be file, or degrees' said || fail "$(cat said)"
echo "ok: sources are where they were put"
