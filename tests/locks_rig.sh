# locks_rig.sh: sourced by the lock trials: other mounts, other hosts, other answers of the kernel.
# shellcheck shell=bash
set -u
lockctl=$(realpath "${BUILD:-build}/lockctl") || exit 1
rig=$(mktemp -d /tmp/watcherd-locks-XXXXXX) || exit 1
mounts=() started=()
export WATCHERD_BOOTS=

end_rig() {
    local p m
    for p in ${started[@]+"${started[@]}"}; do kill -CONT "$p"; kill -9 "$p"; done 2>/dev/null
    wait 2>/dev/null
    for m in ${mounts[@]+"${mounts[@]}"}; do umount "$m" || umount -l "$m"; done 2>/dev/null
    rm -rf "$rig"
}
trap end_rig EXIT
cd "$rig" || exit 1

fail() {
    echo "FAIL: $*"
    exit 1
}
skip() {
    echo "skipped: $*"
    exit 77
}
# Wait until a command succeeds; the limit bounds a failure and says nothing about speed.
until_true() {
    local end=$((SECONDS + ${WATCHERD_TEST_PATIENCE_S:-600}))
    [ -p "$rig/never" ] || mkfifo "$rig/never"
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || fail "never came true: $*"
        read -r -t 0.02 <>"$rig/never"
    done
}
# Run in the background and be killed at the end; its PID is in $pid.
start() {
    "$@" &
    pid=$!
    started+=("$pid")
}

# Sanitizers want to be loaded before any LD_PRELOAD.
sanitized() { nm "$lockctl" 2>/dev/null | grep -q __asan; }

# two_mounts [coherent]: A and B are two clients' views of back.
two_mounts() {
    local opts=()
    command -v bindfs >/dev/null || skip "bindfs is not installed"
    [ -c /dev/fuse ] && [ "$(id -u)" = 0 ] || skip "FUSE mounts need /dev/fuse and root"
    [ "${1:-}" = coherent ] && opts=(--multithreaded --enable-lock-forwarding)
    mkdir -p back A B
    bindfs ${opts[@]+"${opts[@]}"} back A && mounts=("$PWD/A" ${mounts[@]+"${mounts[@]}"}) || skip "cannot mount with bindfs"
    bindfs ${opts[@]+"${opts[@]}"} back B && mounts=("$PWD/B" ${mounts[@]+"${mounts[@]}"}) || skip "cannot mount with bindfs"
}
drop_mounts() {
    umount A B && mounts=("${mounts[@]:2}")
    rm -rf back
}

need_unshare() {
    unshare -u -p -f -m --mount-proc true 2>/dev/null || skip "unshare needs root"
}
# start_host NAME BOOT COMMAND...: in the background on "another machine"; $pid ends it all.
start_host() {
    local name=$1 boot=$2
    shift 2
    echo "$boot" >"boot.$name"
    start unshare -u -p -f -m --mount-proc --kill-child bash -c '
        hostname "$1"; mount --bind "$2" /proc/sys/kernel/random/boot_id; shift 2; exec "$@"' \
        _ "$name" "$rig/boot.$name" "$@"
}
state() { # DIR GROUP: the state that list shows
    "$lockctl" list "$1" | sed -n "s/^  \[\([A-Z]*\)\] $2\.lock .*/\1/p"
}
expect_state() { # WHAT DIR GROUP STATE [REASON]
    local got why
    got=$(state "$2" "$3")
    [ "$got" = "$4" ] || fail "$1: $3 is ${got:-free}, not $4: $("$lockctl" explain "$2" "$3")"
    [ $# -lt 5 ] && return
    why=$("$lockctl" explain "$2" "$3" --json | /usr/bin/python3 -c 'import json,sys; print(json.load(sys.stdin)["reason"])')
    case $why in *"$5"*) ;; *) fail "$1: reason is '$why', not '$5'" ;; esac
}
ended() { # a zombie has ended too; who reaps an orphan, and when, is not our affair
    case $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) in "" | Z* | X*) return 0 ;; esac
    return 1
}
end_of() { # PID: its exit code
    wait "$1"
    local rc=$?
    return $rc
}
kill_hard() {
    kill -9 "$1"
    wait "$1" 2>/dev/null
}
