#!/bin/bash
# torture_watch.sh: rows 1, 8, 11 and 15 of the watching fault matrix in full size.
# Run by `make torture` (about two minutes); alone: BUILD=build tests/torture_watch.sh [STEADY_SECONDS]
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
steady=${1:-60}
dir=$(mktemp -d "${TMPDIR:-/tmp}/torture-watch-XXXXXX")
pid=
finish() { [ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true; rm -rf "$dir"; }
trap finish EXIT
# shellcheck disable=SC2086
${CC:-cc} -std=c11 -D_GNU_SOURCE -O2 -I. -o "$dir/driver" tests/watch_driver.c \
    "$build/libwatcherd.a" "$build/libcore.a" -ljansson -lcrypto -lm
driver=$dir/driver failed=0

# begin QUIET N SECONDS: start a watcher on $dir/in and wait until it says that it is ready
begin() {
    mkfifo "$dir/out"
    "$driver" watch "$dir/in" "$@" >"$dir/out" 2>>"$dir/notices" &
    pid=$!
    exec 3<"$dir/out"
    rm "$dir/out"
    read -r _ <&3
}
# result ROW WANT_SETTLED EXPRESSION-for-awk: read the watcher's line and check it
result() {
    local line
    read -r line <&3 || line="the watcher died"
    wait "$pid" || true
    pid=
    echo "$1: $line"
    echo "$line" | tr ' ' '\n' | awk -F= -v want="$2" "{v[\$1] = \$2}
        END {exit !(v[\"settled\"] == want && ($3))}" || { echo "FAILED: $1"; failed=1; }
}
fresh() { rm -rf "$dir/in"; mkdir "$dir/in"; }

# matrix: watch 1 queue overflow: stopped while 50,000 files drop in
fresh
begin 0.2 50000 60
kill -STOP "$pid"
"$driver" write "$dir/in" 50000 0
kill -CONT "$pid"
result "1 stopped during a burst of 50,000" 50000 'v["overflows"] >= 1'

# a plain burst
fresh
begin 0 100000 60
"$driver" write "$dir/in" 100000 0
result "plain burst of 100,000" 100000 'v["rss_mib"] < 64'

# matrix: watch 11 many files there at the start
begin 0.2 100000 60
result "11 start-up with 100,000 files there" 100000 'v["scan_s"] < 2'

# matrix: watch 11 a million files there at the start (900,000 more of them)
"$driver" write "$dir/in" 900000 0
begin 0.2 1000000 120
result "11 start-up with 1,000,000 files there" 1000000 'v["scan_s"] < 20'

# matrix: watch 8 a thousand directories
fresh
begin 0.2 3000 60
for i in $(seq 1000); do echo "$dir/in/$i/b/c"; done | xargs mkdir -p
for i in $(seq 1000); do echo "$dir/in/$i/1.csv $dir/in/$i/b/2.csv $dir/in/$i/b/c/3.csv"; done |
    xargs -n 300 bash -c 'for f; do echo x >"$f"; done' _
result "8 a thousand trees of directories" 3000 1

# matrix: watch 15 steady stream: p99 <= quiet + 100 ms; renamed files need no quiet
fresh
begin 2 $((500 * steady)) $((steady + 30))
"$driver" write "$dir/in" $((500 * steady)) -500
result "15 steady 500 files/s, closed, quiet 2 s" $((500 * steady)) 'v["p99_ms"] <= 2100'
fresh
begin 2 10000 40
"$driver" write "$dir/in" 10000 1000
result "15 steady 1,000 files/s, renamed" 10000 'v["p99_ms"] <= 100'

[ "$failed" -eq 0 ]
