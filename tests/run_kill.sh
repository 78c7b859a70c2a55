#!/bin/bash
# kill -9, of the worker and of the daemon, after every step, between publishing and registering: each
# group is published all the same, once, with the numbers of a run that nobody disturbed.
# matrix: watch 14 daemon killed at any time
# shellcheck source=tests/lib.sh disable=SC2010,SC2012,SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir kill
settings '[workers]' 'retry_delay_s = 0' 'max_retries = 9'
one=2026-01-26T08:01:58
simulate in "$one" --jitter none --groups 2
sums in >before
worker() { pgrep -P "$daemon" || true; }
kill_worker() {
    local w
    w=$(worker)
    [ -z "$w" ] || { kill -KILL "$w" 2>/dev/null && gone "$w"; }
}
kill_daemon() { # its worker has to end by itself
    local w
    w=$(worker)
    kill -KILL "$daemon"
    wait "$daemon" 2>/dev/null || true
    [ -z "$w" ] || gone "$w"
}

# What is compared: each product's files and numbers, whatever its generation.
cat >say.py <<'END'
import glob, json, os
for link in sorted(p for p in glob.glob("root/products/*/*") if os.path.islink(p)):
    m = json.load(open(link + "/manifest.json"))
    meta = {k: m["meta"][k] for k in ("noise_jy", "peak_jy", "bmaj_arcsec", "sources")}
    print(link, sorted(f["name"] for f in m["files"]), len(m["inputs"]), m["meta"].get("tiles"),
          {k: "%.6g" % v for k, v in meta.items()})
END

once
[ $rc -eq 0 ] || fail "undisturbed: exit $rc"
/usr/bin/python3 say.py >undisturbed
[ "$(wc -l <undisturbed)" -eq 3 ] || fail "undisturbed: $(cat undisturbed)"

same() { # NAME: after it all is as if nothing had happened
    /usr/bin/python3 say.py | diff undisturbed - || fail "$1: other products"
    [ -z "$(find root/scratch -type f)" ] || fail "$1: left in scratch: $(find root/scratch -type f)"
    [ -z "$(find root/products -name '.*' -not -path root/products)" ] || fail "$1: left in products"
    [ -z "$(queue "SELECT * FROM t_tasks WHERE status <> 'completed'")" ] || fail "$1: $(queue .dump)"
    [ "$(sql root/state/data_registry.sqlite3 'SELECT count(*) FROM data_registry')" -eq 3 ] ||
        fail "$1: the registry has not three rows"
    sums in | cmp - before || fail "$1: an input was changed"
}

# The worker, in the middle: the next attempt has the next generation.
rm -rf root
mkdir -p "root/scratch/$one/0"
echo "left by a killed worker" >"root/scratch/$one/0/image.fits"
start
wait_for log "event=step .*group=$one step=convert"
kill_worker
wait_for log 'event=done task=mosaic'
lines 1 'event=failed .*signal 9'
[ "$(readlink root/products/tiles/$one)" = "$one.gen2" ] || fail "$(readlink root/products/tiles/$one), not gen2"
[ "$(ls root/products/tiles | grep -c gen)" -eq 2 ] || fail "published twice: $(ls root/products/tiles)"
[ "$(queue "SELECT retry_count FROM t_tasks WHERE task_key = '$one'")" -eq 1 ] || fail "retry_count is not 1"
stop
same "worker killed"

# The daemon, in the middle: its worker ends by itself, the next daemon goes on.
rm -rf root
start
wait_for log "event=step .*group=$one step=convert"
kill_daemon
[ ! -e "root/products/tiles/$one" ] || fail "the orphan worked on"
[ "$(queue 'SELECT count(*) FROM t_tasks WHERE status = "claimed"')" -eq 1 ] || fail "nothing was claimed"
start
wait_for log 'event=recovered'
wait_for log 'event=done task=mosaic'
stop
same "daemon killed"
[ "$(queue 'SELECT max(retry_count) FROM t_tasks')" -eq 0 ] || fail "the daemon's end cost an attempt"

# Between publishing and registering: somebody holds the registry, so the worker waits right there.
rm -rf root
start
mkfifo hold
/usr/bin/python3 -c 'import sqlite3, sys
c = sqlite3.connect("root/state/products.sqlite3", isolation_level=None)
c.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()' <hold >held &
exec 5>hold
wait_for held held
wait_for log "event=step .*group=$one step=write"
until_true test -L "root/products/tiles/$one"
kill_worker
exec 5>&-
wait_for log 'event=done task=mosaic'
lines 1 "event=skipped .*group=$one"
[ "$(readlink root/products/tiles/$one)" = "$one.gen1" ] || fail "$(readlink root/products/tiles/$one), not gen1"
stop
same "killed before registering"

# After every step of the first group and of the mosaic, worker and daemon in turn.
rm -rf root
start
kills=0
for step in convert calibrate image qa write; do
    wait_for log "event=step .*group=$one step=$step|event=skipped .*group=$one"
    if [ $((kills % 2)) -eq 0 ]; then
        kill_worker
        kill_daemon
    else
        kill_daemon
    fi
    kills=$((kills + 1))
    start
done
wait_for log 'event=step task=mosaic .*step=tiles'
kill_daemon
start
wait_for log 'event=(done|skipped) task=mosaic'
stop
same "$kills kills"
echo "4 stories, $((kills + 4)) kills"
