#!/bin/bash
# bench_batch.sh: which of 100,000 items still need work?  batchctl beside a script like seed 003's
# batch_utils.py (pathlib, one json.load a folder), warm, medians of 3 in the same run.
# One line a quantity: what, ours, the peer's, peer / ours; seconds, smaller is better.
#
#   folders   a plain data set: NAME/info.json, 35 in 100 complete
#   groups    100,000 groups (of MEMBERS=1 file) in incoming, 35 in 100 published, those with an ended
#             claim in locks; by scan, and from the index.  The peer looks at each tile's manifest.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build} N=${N:-100000} MEMBERS=${MEMBERS:-1} PY=/usr/bin/python3
dir=$(mktemp -d "${TMPDIR:-/tmp}/watcherd-bench-XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM

$PY - "$dir" "$N" "$MEMBERS" <<'EOF'
import datetime, json, os, sys
top, n, members = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def put(path, text):
    with open(path, 'w') as f:
        f.write(text)
whole = json.dumps({'lufs': -14.2, 'lra': 6.1, 'bpm': 120.0, 'title': 'a "b" c', 'tags': list(range(20))})
part = json.dumps({'lufs': -14.2, 'lra': 6.1, 'title': 'a "b" c', 'tags': list(range(20))})
for d in ('set', 'incoming', 'products/tiles', 'locks', 'state'):
    os.makedirs(f'{top}/{d}')
manifest = json.dumps({'manifest': 1, 'files': [{'name': 'image.fits', 'size': 1, 'sha256': '0' * 64}],
                       'inputs': [{'path': 'x' * 60, 'size': 1, 'mtime_ns': 1}] * 16, 'meta': {'kind': 'tile'}})
t0 = datetime.datetime(2025, 1, 1)
for i in range(n):
    done = i % 100 < 35
    os.mkdir(f'{top}/set/Artist - Track {i:06d}')
    put(f'{top}/set/Artist - Track {i:06d}/info.json', whole if done else part)
    name = (t0 + datetime.timedelta(seconds=309 * i)).strftime('%Y-%m-%dT%H:%M:%S')
    for m in range(members):
        open(f'{top}/incoming/{name}_sb{m:02d}.hdf5', 'w').close()
    if done:
        os.mkdir(f'{top}/products/tiles/{name}.gen1')
        put(f'{top}/products/tiles/{name}.gen1/manifest.json', manifest)
        os.symlink(f'{name}.gen1', f'{top}/products/tiles/{name}')
        os.mkdir(f'{top}/locks/{name}')
        put(f'{top}/locks/{name}/g.1', '')
        put(f'{top}/locks/{name}/r.1', '')
EOF
printf '[paths]\nroot = %s\n[group]\nexpected = %d\n' "$dir" "$MEMBERS" >"$dir/w.conf"

cat >"$dir/peer.py" <<'EOF'
import json, sys
from pathlib import Path
def folders(root, wanted):
    todo = 0
    for folder in sorted(p for p in Path(root).iterdir() if p.is_dir()):
        info, lock = folder / 'info.json', folder.with_name(folder.name + '.lock')
        data = json.loads(info.read_text()) if info.exists() else {}
        if not all(data.get(f) is not None for f in wanted) and not lock.exists():
            todo += 1
    return todo
def groups(root):
    names = sorted({p.name[:19] for p in (Path(root) / 'incoming').iterdir()})
    todo = 0
    for name in names:
        manifest = Path(root) / 'products/tiles' / name / 'manifest.json'
        done = manifest.exists() and 'files' in json.loads(manifest.read_text())
        if not done and not (Path(root) / 'locks' / name / 'g.1').exists():
            todo += 1
    return todo
print(folders(sys.argv[2], sys.argv[3:]) if sys.argv[1] == 'folders' else groups(sys.argv[2]))
EOF

median() { # COMMAND...: once to warm up, then the median of 3, in seconds
    "$@" >"$dir/out" || true
    for _ in 1 2 3; do
        local t0=$EPOCHREALTIME
        "$@" >"$dir/out" || true
        echo "$t0 $EPOCHREALTIME"
    done | awk '{ print $2 - $1 }' | sort -n | sed -n 2p
}
say() { awk -v q="$1" -v a="$2" -v b="$3" 'BEGIN { printf "%s\t%.3f\t%.3f\t%.1f\n", q, a, b, b / a }'; }
same() { # both must have counted the same
    local ours
    ours=$(sed -n 's/^Folders to Process: //p' "$dir/out")
    [ "$ours" = "$1" ] || { echo "batchctl says $ours, the peer $1" >&2; exit 1; }
}

peer=$(median $PY "$dir/peer.py" folders "$dir/set" lufs lra bpm)
todo=$(cat "$dir/out")
ours=$(median "$BUILD/batchctl" check "$dir/set" --features lufs lra bpm)
same "$todo"
say "which of $N folders need work, s" "$ours" "$peer"
peer=$(median $PY "$dir/peer.py" groups "$dir")
todo=$(cat "$dir/out")
ours=$(median "$BUILD/batchctl" check -c "$dir/w.conf" --scan)
same "$todo"
say "which of $N groups need work, by scan, s" "$ours" "$peer"
ours=$(median "$BUILD/batchctl" check -c "$dir/w.conf")
same "$todo"
[ -s "$dir/state/tally.index" ] || { echo "no index was written" >&2; exit 1; }
say "which of $N groups need work, from the index, s" "$ours" "$peer"
