#!/bin/bash
# batchctl progress, check, missing: the seeds' words, exit codes, JSON; folders, groups, locks, the index.
set -u
batchctl=$(realpath "${BUILD:-build}/batchctl") || exit 1
dir=$(mktemp -d) || exit 1
sleeper=
trap '[ -n "$sleeper" ] && kill $sleeper 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fail() {
    echo "FAIL: $*"
    exit 1
}
same() { # WHAT EXPECTED GOT
    [ "$2" = "$3" ] || fail "$1: expected: $2
got: $3"
}
exits() { # CODE COMMAND...
    local want=$1 rc=0
    shift
    "$@" >out 2>err || rc=$?
    [ $rc = "$want" ] || fail "$* ended with $rc, not $want: $(cat out err)"
}
sleep 1000 &
sleeper=$!
sleep 0 &
dead=$!
wait $dead

# ---- a plain data set ----
track() { # NAME FILE TEXT
    mkdir -p "set/$1/$(dirname "$2")"
    printf '%s' "$3" >"set/$1/$2"
}
track "A - B - Track 1" info.json '{"lufs": 1, "lra": 0, "bpm": [{"danceability": 1}], "x": "danceability"}'
track "A - B - Track 2" other.info '{"title": "lufs"}'
track whole whole.info '{"lufs": -3.5e1, "lra": false, "bpm": "", "danceability": {}}'
track null info.json '{"lufs": null, "lra": NaN, "bpm": 1, "danceability": 1}'
track cut info.json '{"lufs": 1, "lra": 1, "bpm": 1, "danceability": 1'
track made .watcherd/manifest.json '{"files": [{"name": "lufs.csv"}, {"name": "lra"}], "meta": {"bpm": 1, "danceability": 2}}'
mkdir set/empty set/.hidden
touch set/file
all=(--features lufs lra bpm danceability)
exits 0 "$batchctl" progress set "${all[@]}"
same progress "Processing Progress:
  Total folders:  7
  Complete:       2 (28.6%)
  Incomplete:     5
  Locked:         0" "$(cat out)"
exits 1 "$batchctl" missing "${all[@]}" -- set
same missing "A - B - Track 1:
  Missing: danceability

A - B - Track 2:
  Missing: lufs, lra, bpm, danceability

cut:
  Missing: lufs, lra, bpm, danceability

empty:
  Missing: lufs, lra, bpm, danceability

null:
  Missing: lufs" "$(cat out)"

echo $sleeper >"set/A - B - Track 1.lock"
echo "$dead" >set/null.lock # of the dead: does not hold
mkdir set/cut/.watcherd
echo $sleeper >set/empty/empty.lock
echo $sleeper >set/whole.lock # complete: not asked
exits 1 "$batchctl" check set "${all[@]}"
same check "Folders to Process: 3
  Total:          7
  Ready:          3
  Skipped (done): 2
  Skipped (lock): 2" "$(cat out)"
same names "A - B - Track 2
cut
null" "$("$batchctl" check set --names --features lufs,lra bpm danceability)"
same locked "  Locked:         2" "$("$batchctl" progress set "${all[@]}" | tail -1)"
[ "$("$batchctl" missing set --json "${all[@]}" | /usr/bin/python3 -c '
import json, sys
rows = {r["name"]: r for r in json.load(sys.stdin)}
assert rows["null"] == {"name": "null", "missing": ["lufs"], "locked": False}, rows
assert rows["empty"]["locked"] and len(rows) == 5, rows
print("good")')" = good ] || fail "missing --json"
"$batchctl" check set set --json "${all[@]}" | /usr/bin/python3 -c '
import json, sys
c = json.load(sys.stdin)
assert (c["total"], c["ready"], c["skipped_done"], c["skipped_lock"]) == (14, 6, 4, 4), c
assert len(c["names"]) == 6, c' || fail "check --json of two"
exits 0 "$batchctl" check set/whole --features lufs # no folders in it
exits 0 "$batchctl" progress set/whole --features lufs --json
grep -q '"percent": 100.0' out || fail "nothing to do is 100 %: $(cat out)"

# ---- groups ----
tile() { # NAME GENERATION
    mkdir -p "root/products/tiles/$1.gen$2"
    printf '{"files": [{"name": "image.fits"}, {"name": "gain.h5"}], "meta": {"noise_jy": 1}}' \
        >"root/products/tiles/$1.gen$2/manifest.json"
    ln -sfn "$1.gen$2" "root/products/tiles/$1"
}
group() { # NAME MEMBER...
    local name=$1 m
    shift
    for m in "$@"; do touch "root/incoming/${name}_sb0$m.hdf5"; done
}
mkdir -p root/incoming root/state root/locks
printf '[paths]\nroot = root\n[group]\nexpected = 3\n' >w.conf
group 2025-05-07T00:00:00 0 1 2
group 2025-05-07T00:10:00 0 1
touch root/incoming/2025-05-07T00:10:01_sb02.uvh5 root/incoming/notes.hdf5 root/incoming/.2025-05-07T00:50:00_sb00.hdf5
group 2025-05-07T00:20:00 0 2
group 2025-05-07T00:30:00 0 1 2
exits 0 "$batchctl" progress -c w.conf # there are no products at all yet
same nothing "  Complete:       0 (0.0%)" "$(sed -n 3p out)"
tile 2025-05-07T00:00:00 3
tile 2025-05-07T00:30:00 1
mkdir -p root/products/mosaics/m.gen1
printf '{"inputs": [{"path": "/x/tiles/2025-05-07T00:30:00/manifest.json"}]}' >root/products/mosaics/m.gen1/manifest.json
ln -s m.gen1 root/products/mosaics/m
exits 1 "$batchctl" check -c w.conf
want="Folders to Process: 1
  Total:          4
  Ready:          1
  Skipped (done): 2
  Skipped (lock): 0
  Waiting:        1"
same groups "$want" "$(cat out)"
exits 1 "$batchctl" missing -c w.conf --features image mosaic gain noise_jy beam
same "missing of groups" "2025-05-07T00:00:00:
  Missing: mosaic, beam

2025-05-07T00:10:00:
  Missing: image, mosaic, gain, noise_jy, beam

2025-05-07T00:20:00:
  Missing: image, mosaic, gain, noise_jy, beam
  Files: 2 of 3

2025-05-07T00:30:00:
  Missing: beam" "$(cat out)"
# A published group keeps its name when an earlier file comes late, as in the daemon.
touch root/incoming/2025-05-07T00:29:59_sb00.hdf5
same late "  Skipped (done): 2" "$("$batchctl" check -c w.conf --scan | grep done)"
rm root/incoming/2025-05-07T00:29:59_sb00.hdf5

# ---- the index: right at once after any change, used when nothing changed ----
index=root/state/tally.index
"$batchctl" check -c w.conf >/dev/null
[ ! -e $index ] || fail "an index of directories that changed just now"
# ctime cannot be set back; a directory must rest for 2 s.
for _ in 1 2 3 4 5 6 7 8 9; do
    "$batchctl" check -c w.conf >/dev/null
    [ -e $index ] && break
    read -rt 0.4 <> <(:) || true
done
fs=$(stat -f -c %T .)
case $fs in
ext2/ext3 | xfs | btrfs | tmpfs)
    [ -e $index ] || fail "no index on $fs"
    opened() { strace -f -e trace=openat,getdents64 "$batchctl" check -c w.conf 2>&1 >out; }
    same "from the index" "$want" "$("$batchctl" check -c w.conf)"
    if command -v strace >/dev/null; then
        # incoming is asked for its times and not read
        opened | grep -c getdents64 >count || true
        [ "$(cat count)" -le 2 ] || fail "the index was not used: $(cat count) getdents64"
    fi
    tile 2025-05-07T00:10:00 1
    same "a tile more" "  Skipped (done): 3" "$("$batchctl" check -c w.conf | grep done)"
    group 2025-05-07T00:40:00 0 1 2
    same "a group more" "  Total:          5" "$("$batchctl" check -c w.conf | grep Total)"
    printf 'watcherd-tally 1 0 99 99\n{}\nrubbish' >$index
    same "a damaged index" "  Total:          5" "$("$batchctl" check -c w.conf | grep Total)"
    ;;
*) echo "the index is not used on $fs" ;;
esac
same "another question" "  Skipped (done): 1" "$("$batchctl" check -c w.conf --features mosaic | grep done)"

# ---- claims on groups ----
lockctl=$(dirname "$batchctl")/lockctl
"$lockctl" run root/locks 2025-05-07T00:40:00 -- "$batchctl" progress -c w.conf >out
same "a live claim" "  Locked:         1" "$(tail -1 out)"
same "an ended claim" "  Locked:         0" "$("$batchctl" progress -c w.conf | tail -1)"
echo $sleeper >root/locks/2025-05-07T00:40:00.lock
same "a legacy lock of a group" "  Locked:         1" "$("$batchctl" progress -c w.conf | tail -1)"

# ---- one file is one group ----
mkdir -p files/incoming/sub files/products
printf '[paths]\nroot = files\n[watch]\nextensions = .fits\nrecursive = yes\n[group]\npattern = file\n' >f.conf
touch "files/incoming/a b.fits" files/incoming/sub/c.fits files/incoming/d.txt
same "pattern = file" "a%20b
c" "$("$batchctl" check -c f.conf --names)"

# ---- what is wrong ----
exits 64 "$batchctl"
exits 64 "$batchctl" frobnicate set
exits 64 "$batchctl" check set
exits 64 "$batchctl" check set -c w.conf --features a
exits 64 "$batchctl" check
exits 64 "$batchctl" check --bogus
exits 66 "$batchctl" check nowhere --features a
exits 66 "$batchctl" check set/file --features a
exits 66 "$batchctl" check -c nowhere.conf
exits 66 "$batchctl" check --root nowhere
printf '[group]\npattern = {time:%%Y}\n' >bad.conf
exits 78 "$batchctl" check -c bad.conf
grep -q 'needs either %m and %d or %j' err || fail "$(cat err)"
exits 0 "$batchctl" --help
exits 0 "$batchctl" --version
"$batchctl" check set "${all[@]}" >/dev/full 2>/dev/null
[ $? = 74 ] || fail "a full disk behind the output"
exit 0
