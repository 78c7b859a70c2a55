#!/bin/bash
# A source beside the calibrator keeps its flux: gains that are solved without it swallow a part, which comes back
# when it is in the model; and nothing above a thousandth of the calibrator is found that is not there.
# shellcheck source=tests/lib.sh disable=SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir neighbour

printf 'name,ra_deg,dec_deg,flux_jy,spix,freq_mhz\nCAL,128.72877,55.57252,8.8,0,1400\nNORTH,128.72877,56.07252,1.0,0,1400\n' >sky.csv
"$build/uvh5sim" --quiet --out in --truth truth --sky sky.csv --dec 55.5 --start 2026-01-26T08:07:07 --antennas 32 \
    --integrations 6 --channels 3 --beam none --noise-sefd 3000 >/dev/null
settings '[instrument]' 'beam = none' '[calibration]' 'calibrator = CAL,128.72877,55.57252,8.8,1400,0' 'model_rounds = 4' \
    '[imaging]' 'weighting = briggs' 'size = 800' 'cell_arcsec = 5' 'niter = 100000'
once
[ $rc -eq 0 ] || fail "exit $rc, not 0"
found=$(awk -F, 'NR > 1 { n += $4 > 0.01; if ($4 > 5) cal = $4; if ($3 > 56.06 && $3 < 56.08) north = $4 }
    END { printf "calibrator %.3f of 8.8, neighbour %.3f of 1, %d sources of 2 above 10 mJy", cal, north, n
          exit !(north > 0.98 && north < 1.02 && cal > 8.7 && cal < 8.9 && n == 2) }' \
    root/products/tiles/*.gen1/sources.csv) || fail "$found"
grep -q '"last_change": [0-9]' root/products/tiles/*.gen1/qa.json || fail "qa.json does not say how much fluxes moved"
echo "$found"
