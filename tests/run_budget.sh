#!/bin/bash
# A group that does not fit into [workers] memory_mib is refused before it is read, with both
# figures, and loses nothing; the figure is what the group then really takes, or a little more.
# shellcheck source=tests/lib.sh disable=SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir budget
"$build/uvh5sim" --out in --truth truth --calibrator 0834+555 --antennas 24 --integrations 6 \
    --channels 12 --quiet
before=$(cd in && sha256sum ./*)

settings '[imaging]' 'size = 900' '[workers]' 'memory_mib = 200' 'max_retries = 0'
once
grep -Eo 'needs about [0-9]+ MiB \([^)]*\) and may take [0-9]+ MiB' log | head -1 >sentence
[ -s sentence ] || fail "no sentence"
cat sentence
grep -q 'rows, 192 channels, 2 polarisations, 900 pixels' sentence || fail "wrong figures"
need=$(grep -o 'about [0-9]*' sentence | cut -d' ' -f2)
[ "$before" = "$(cd in && sha256sum ./*)" ] || fail "the files have changed"
[ -z "$(ls root/products/tiles 2>/dev/null)" ] || fail "a refused group has a tile"

rm -r root
settings '[imaging]' 'size = 900'
peak=$(python3 - "$build/watcherd" <<'END'
import resource, subprocess, sys
subprocess.run([sys.argv[1], "-c", "w.conf", "--once"], capture_output=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
END
)
[ -n "$(ls root/products/tiles)" ] || fail "no tile without a limit"
echo "about $need MiB were expected, and $peak MiB taken"
[ "$peak" -le "$need" ] || fail "the group took more than it was said to need"
[ $((10 * need)) -le $((13 * peak)) ] || fail "the group took much less than it was said to need"
echo "1 passed"
