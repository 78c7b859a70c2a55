# lib.sh: what the tests that run whole programs share.  Sourced after `set -eu`.
#
#   own_dir NAME                 make $dir, remove it (and end what we started) at the end
#   settings [LINE...]           write w.conf in $dir for small, quick runs; lines are added
#   start [CONF]                 start the daemon in the background: $daemon its pid, a new log in log
#   once [CONF]                  run it with --once: $rc its exit status, log added to log
#   wait_for FILE PATTERN        until a line of FILE matches (egrep)
#   until_true COMMAND...        until it succeeds
#   stop                         TERM, and wait: $rc
#   gone PID                     wait until the process has ended
#
# Whatever waits fails after $patience_s, which is far more than the slowest machine needs: it bounds a
# failure and is no statement about speed.
# shellcheck shell=bash disable=SC2034,SC2154

build=$(cd "${BUILD:-build}" && pwd)
top=$(pwd)
patience_s=${WATCHERD_TEST_PATIENCE_S:-600}
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
    "$build/uvh5sim" --quiet --out "$to" --truth "$dir/truth" --start "$at" --antennas 14 \
        --integrations 4 --channels 2 --calibrator 0834+555 --no-field --noise-sefd 600 \
        --seed 7 "$@" >/dev/null
}

start() {
    [ ! -e "${2:-log}" ] || mv "${2:-log}" "${2:-log}.before"
    "$build/watcherd" -c "${1:-w.conf}" 2>>"${2:-log}" &
    daemon=$!
    wait_for "${2:-log}" 'event=ready'
}

once() {
    rc=0
    timeout "$patience_s" "$build/watcherd" -c "${1:-w.conf}" --once 2>>"${2:-log}" || rc=$?
}

stop() {
    rc=0
    kill -TERM "$daemon"
    wait "$daemon" || rc=$?
}

# grep ends at the first line that matches, tail when it then has nobody to write to (or at -s: some
# file systems, overlays among them, give tail no events).
wait_for() {
    grep -E -m1 -q -s -e "$2" "$1" ||
        timeout "$patience_s" grep -E -m1 -q -e "$2" <(exec tail -s 0.02 -n +1 -F "$1" 2>/dev/null) ||
        fail "no line like $2 in $1"
}

# until_true COMMAND...: ask again and again what tells nobody of its change.
until_true() {
    local end=$((SECONDS + patience_s))
    [ -p "$dir/never" ] || mkfifo "$dir/never"
    until "$@"; do
        [ $SECONDS -lt $end ] || fail "never true: $*"
        read -r -t 0.02 <>"$dir/never" || true
    done
}

ended() { # ended PID: no such process, or nobody has fetched its status yet
    case $(cut -d')' -f2 "/proc/$1/stat" 2>/dev/null) in '' | ' Z'*) ;; *) return 1 ;; esac
}

gone() { until_true ended "$1"; }

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

queue() { sql root/state/queue.sqlite3 "$@"; }

# noop KEY [PARAMS [COLUMN VALUE]]: queue a trial task (pipeline/noop/noop.h) the way an operator's SQL would
noop() {
    queue "INSERT INTO t_tasks(task_id, task_name, task_key, params${3:+, $3})
        VALUES ('$(cat /proc/sys/kernel/random/uuid)', 'noop', '$1', '${2:-{\}}'${4:+, $4})"
}

# state_of KEY: status of its task, and each attempt's outcome
state_of() {
    queue "SELECT status || coalesce((SELECT ' ' || group_concat(outcome, ' ') FROM
        (SELECT outcome FROM t_attempts a WHERE a.task_id = t.task_id ORDER BY attempt)), '') FROM t_tasks t
        WHERE task_key = '$1'"
}

is_state() { [ "$(state_of "$1")" = "$2" ]; } # is_state KEY STATE
