# lib.sh: what the tests that run whole programs share.  Sourced after `set -eu`.
#
#   own_dir NAME                 make $dir, remove it (and end what we started) at the end
#   settings [LINE...]           write w.conf in $dir for small, quick runs; lines are added
#   start [CONF]                 start the daemon in the background: $daemon its pid, log in log
#   once [CONF]                  run it with --once: $rc its exit status, log in log
#   wait_for FILE PATTERN S      until a line of FILE matches (egrep), or fail after S seconds
#   stop                         TERM, and wait: $rc
# shellcheck shell=bash disable=SC2034,SC2154

build=$(cd "${BUILD:-build}" && pwd)
top=$(pwd)
daemon=
rc=0

fail() {
    echo "FAIL: $*"
    [ -z "${dir:-}" ] || [ ! -f "$dir/log" ] || tail -25 "$dir/log"
    exit 1
}

skip() {
    echo "skipped: $*"
    exit 77
}

end_all() {
    local p
    for p in $(jobs -p); do kill -KILL "$p" 2>/dev/null || true; done
    wait 2>/dev/null || true
    for p in ${mounted:-}; do umount -l "$p" 2>/dev/null || true; done
    chmod -R u+w "$dir" 2>/dev/null || true
    [ -n "${KEEP:-}" ] || rm -rf "$dir"
}

own_dir() {
    dir=$(mktemp -d "${TMPDIR:-/tmp}/watcherd-$1-XXXXXX")
    trap end_all EXIT
    trap 'exit 1' INT TERM
    cd "$dir"
}

settings() {
    cat >w.conf <<END
[paths]
root = $dir/root
incoming = $dir/in
[watch]
stabilization_time_s = 0.1
[imaging]
weighting = natural
size = 512
cell_arcsec = 11
niter = 50
[calibration]
model_rounds = 0
[mosaic]
tiles = 2
overlap = 0
[workers]
retry_delay_s = 0.1
END
    # A section given again by a test goes on where ours stood.
    local section=
    for line in "$@"; do
        case $line in
        \[*\]) section=$line; grep -qxF "$section" w.conf || echo "$section" >>w.conf ;;
        *)
            sed -i "/^${line%% *} = /d" w.conf
            awk -v s="$section" -v l="$line" '{ print } $0 == s { print l }' w.conf >w.new
            mv w.new w.conf ;;
        esac
    done
    mkdir -p in
}

# simulate DIR START [OPTION...]: one small group (a few hundred kB), named from START on.
simulate() {
    local to=$1 at=$2
    shift 2
    "$build/uvh5sim" --out "$to" --truth "$dir/truth" --start "$at" --antennas 14 \
        --integrations 4 --channels 2 --calibrator 0834+555 --no-field --noise-sefd 600 \
        --seed 7 --quiet "$@"
}

start() {
    "$build/watcherd" -c "${1:-w.conf}" 2>>"${2:-log}" &
    daemon=$!
    wait_for "${2:-log}" 'event=ready' 5
}

once() {
    rc=0
    timeout 60 "$build/watcherd" -c "${1:-w.conf}" --once 2>>"${2:-log}" || rc=$?
}

stop() {
    rc=0
    kill -TERM "$daemon"
    wait "$daemon" || rc=$?
}

# tail -F tells of each line as it is written; grep ends at the first that matches.
wait_for() {
    timeout "$3" grep -E -m1 -q -e "$2" <(exec tail -n +1 -F "$1" 2>/dev/null --pid=$$) ||
        fail "no line like $2 in $1 within $3 s"
}

count() { # count PATTERN [FILE]: lines that match
    grep -E -c -e "$1" "${2:-log}" || true
}

lines() { # lines N PATTERN [FILE]: exactly N
    local n
    n=$(count "$2" "${3:-log}")
    [ "$n" -eq "$1" ] || fail "$n lines like $2, not $1"
}

sql() { sqlite3 -cmd '.timeout 5000' "$@"; }

sums() { (cd "$1" && find . -type f | sort | xargs -r sha256sum); }
