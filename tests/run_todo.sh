#!/bin/bash
# Which groups are there, and what is still to do for them: the daemon, why, status, batchctl and
# preflight are asked about the same awkward trees, and must give one answer.
#
# Nobody works here ([workers] count = 0): what is to do stays pending.  An answer for a group is
#   waiting   members are missing
#   ready     it is whole, and has no product of these files
#   done      its product is made of these files
set -eu
. "$(dirname "$0")/lib.sh"
own_dir todo
simulate made 2026-01-26T08:01:58 --jitter none --subbands 1
made=$(ls "$dir"/made/*)
g=2026-01-26T08:01:58 h=2026-01-26T09:00:00

cat >ask.py <<'PY'
import json, os, subprocess, sys

build, when, want = sys.argv[1], sys.argv[2], dict(a.rsplit("=", 1) for a in sys.argv[3:])
c = ["-c", "w.conf"]
wrong = []

def run(*command):
    p = subprocess.run([build + "/" + command[0], *command[1:]], capture_output=True, text=True)
    try:
        return p.returncode, json.loads(p.stdout)
    except ValueError:
        sys.exit("%s: exit %d: %s%s" % (" ".join(command), p.returncode, p.stdout, p.stderr))

def same(who, expected, got):
    if expected != got:
        wrong.append("%s: %s says %s, not %s" % (when, who, got, expected))

def named(*states):
    return sorted(n for n, s in want.items() if s in states)

# batchctl, by a scan and as it comes
for scan in ["--scan"], []:
    rc, p = run("batchctl", "progress", "--json", *c, *scan)
    same("progress", (len(want), len(named("done"))), (p["total"], p["complete"]))
    rc, p = run("batchctl", "check", "--json", *c, *scan)
    same("check", (named("ready"), len(named("waiting"))), (sorted(p["names"]), p["waiting"]))
    same("exit of check", int(named("ready", "waiting") != []), rc)
    rc, p = run("batchctl", "missing", "--json", *c, *scan)
    same("missing", {n: want[n] for n in named("ready", "waiting")},
         {m["name"]: "ready" if m["files"] >= m["files_expected"] else "waiting" for m in p})

# why, of each
def state_of(w):
    if w["done"]:
        return "done"
    if w.get("task", {}).get("status") in ("pending", "claimed"):
        return "ready"
    if not w.get("known") or w["present"] == 0:
        return "none"
    return "ready" if w["present"] == w["expected"] else "waiting"

for name in [*want, "2026-01-27T00:00:00" if "2026" in "".join(want) else "nothing"]:
    rc, w = run("watcherd", "why", name, "--json", *c)
    same("why " + name, want.get(name, "none"), state_of(w))
    same("exit of why", w["done"], rc == 0)

# the daemon's own groups, and its queue
if when == "daemon":
    rc, s = run("watcherd", "status", "--json", *c)
    n = s["groups"]
    same("status", [len(named("waiting")), len(named("ready")), len(named("done"))],
         [n["collecting"] + n["partial"], n["enqueued"], n["done"]])
    same("queue of status", len(named("ready")), s["queue"]["pending"])
    tasks = subprocess.run(["sqlite3", "-readonly", "root/state/queue.sqlite3",
                            "SELECT task_key FROM t_tasks WHERE status = 'pending'"],
                           capture_output=True, text=True).stdout.split("\n")[:-1]
    same("queue", named("ready"), sorted(tasks))
    rc, f = run("taskctl", "preflight", "--json", *c)
    same("preflight on directories", ["ok"],
         [r["result"] for r in f["checks"] if r["check"] == "directories"])
print("\n".join(wrong))
sys.exit(bool(wrong))
PY
ask() { /usr/bin/python3 "$dir/ask.py" "$build" "$@" >why_not 2>&1; }

# agree WHEN NAME=STATE...: all of them say so, at last
agree() {
    local end=$((SECONDS + ${WATCHERD_TEST_PATIENCE_S:-60}))
    [ -p never ] || mkfifo never
    until ask "$@"; do
        [ $SECONDS -lt $end ] || fail "tree $tree: $(cat why_not)"
        read -r -t 0.1 <>never || true
    done
}

# offline and daemon NAME=STATE...
offline() { ask offline "$@" || fail "tree $tree: $(cat why_not)"; }
daemon() {
    start
    agree daemon "$@"
}
end_tree() {
    stop
    offline "$@"
    cd "$top_dir"
    dir=$top_dir
}

top_dir=$dir
# tree NAME [SETTING...]: a root of its own, with a queue that is empty
tree() {
    tree=$1
    dir=$top_dir/$1
    shift
    mkdir "$dir"
    cp "$top_dir/ask.py" "$dir/"
    cd "$dir"
    settings '[group]' 'expected = 2' '[workers]' 'count = 0' '[watch]' 'stabilization_time_s = 0.05' "$@"
    once
    : >log
}

put() { # put DIR FILE...: whole files of these names
    local to=$1 f
    shift
    mkdir -p "$to"
    for f in "$@"; do cp "$made" "$to/$f"; done
}

# product NAME FILE...: published, made of these files, by a task that is completed
product() {
    /usr/bin/python3 - "$@" <<'PY'
import json, os, sys, uuid, sqlite3
name, files = sys.argv[1], sys.argv[2:]
tile = "root/products/tiles/" + name
os.makedirs(tile + ".gen1")
os.symlink(os.path.basename(tile) + ".gen1", tile)
def entry(path):
    s = os.stat(path)
    return {"path": os.path.abspath(path), "size": s.st_size, "mtime_ns": s.st_mtime_ns}
json.dump({"name": name, "generation": 1, "files": [], "inputs": [entry(f) for f in files]},
          open(tile + "/manifest.json", "w"))
with sqlite3.connect("root/state/queue.sqlite3") as db:
    db.execute("INSERT INTO t_tasks(task_id, task_name, task_key, params) VALUES (?, 'continuum', ?, ?)",
               (str(uuid.uuid4()), name, json.dumps({"files": [os.path.abspath(f) for f in files]})))
    db.execute("UPDATE t_tasks SET status = 'completed' WHERE task_key = ?", (name,))
PY
}

tree comma '[watch]' 'extensions = .hdf5,.uvh5'
put in ${g}_sb00.hdf5 ${g}_sb01.uvh5 ${h}_sb00.hdf5 ${h}_sb01.dat
offline $g=ready $h=waiting
daemon $g=ready $h=waiting
end_tree $g=ready $h=waiting

tree 'comma-and-space' '[watch]' 'extensions = .hdf5 , .uvh5'
put in ${g}_sb00.uvh5 ${g}_sb01.hdf5
product $g in/${g}_sb0*
offline $g=done
daemon $g=done
end_tree $g=done

tree added
put 'late comers' ${g}_sb00.hdf5 ${g}_sb01.hdf5
put in ${h}_sb00.hdf5
daemon $h=waiting
"$build/watcherd" watch add "$dir/late comers" -c w.conf >out || fail "watch add: $(cat out)"
agree daemon $g=ready $h=waiting
mv 'late comers' gone
"$build/taskctl" preflight -c w.conf >out || true
grep -q '^FAIL *directories *root: cannot read .*late comers' out || fail "preflight: $(cat out)"
"$build/batchctl" check -c w.conf >out 2>&1 && fail "check without one of its roots: $(cat out)"
mv gone 'late comers'
end_tree $g=ready $h=waiting
tree=added-and-damaged
cd "$top_dir/added"
echo '{' >root/state/roots.json
"$build/batchctl" check -c w.conf >out 2>&1 && fail "check with a damaged roots.json: $(cat out)"
"$build/watcherd" why $g -c w.conf >out 2>&1 && fail "why with a damaged roots.json: $(cat out)"
grep -q 'roots.json' out || fail "why with a damaged roots.json: $(cat out)"
cd "$top_dir"

tree recursive '[watch]' 'recursive = true'
deep=in$(printf '/d%.0s' {1..40})
put "$deep" ${g}_sb00.hdf5
put in/a ${g}_sb01.hdf5 ${h}_sb00.hdf5
put in/.hidden ${h}_sb01.hdf5
put in/b_incomplete ${h}_sb01.hdf5
offline $g=ready $h=waiting
daemon $g=ready $h=waiting
end_tree $g=ready $h=waiting

tree flat # not recursive: the same, and what lies deeper does not count
put in ${g}_sb00.hdf5 .${g}_sb01.hdf5
put in/deeper ${g}_sb01.hdf5
offline $g=waiting
daemon $g=waiting
end_tree $g=waiting

tree directories '[group]' 'pattern = directory'
put 'in/night one' x.dat y.dat
put in/two/deep z.dat
mkdir in/empty
put in loose.dat
offline 'night%20one=ready' two=ready
daemon 'night%20one=ready' two=ready
"$build/watcherd" why "$dir/in/night one/x.dat" -c w.conf >out 2>&1 || true
grep -q '^night%20one: ' out || fail "why of a file in a directory: $(cat out)"
put in/two/deep more.dat
agree daemon 'night%20one=ready' two=ready
end_tree 'night%20one=ready' two=ready

tree rewritten # while the daemon looks, which removes batchctl's index: that sees directories only
put in ${g}_sb00.hdf5 ${g}_sb01.hdf5
product $g in/${g}_sb0*
offline $g=done
daemon $g=done
echo old >root/state/tally.index
cat "$made" >in/${g}_sb01.hdf5
agree daemon $g=ready
! grep -qsx old root/state/tally.index || fail "the index outlived a file that was rewritten in place"
end_tree $g=ready

tree stale # while nobody looked
put in ${g}_sb00.hdf5 ${g}_sb01.hdf5 ${h}_sb00.hdf5 ${h}_sb01.hdf5
product $g in/${g}_sb0*
product $h in/${h}_sb0*
touch -d '2026-02-01' in/${g}_sb00.hdf5
offline $g=ready $h=done
daemon $g=ready $h=done
end_tree $g=ready $h=done

tree deadline '[group]' 'deadline_s = 0.2'
put in ${g}_sb00.hdf5 ${h}_sb00.hdf5 ${h}_sb01.hdf5
offline $g=waiting $h=ready
start
wait_for log "event=partial.* group=$g"
agree daemon $g=waiting $h=ready
end_tree $g=waiting $h=ready

tree blanks '[group]' 'pattern = {name}_part{member:2}' '[watch]' 'extensions ='
put in 'one two_part00.hdf5' 'one two_part01.hdf5' 'three  four_part01.hdf5'
offline 'one%20two=ready' 'three%20%20four=waiting'
daemon 'one%20two=ready' 'three%20%20four=waiting'
end_tree 'one%20two=ready' 'three%20%20four=waiting'

tree links '[watch]' "also = $top_dir/links/link $top_dir/links/again"
put elsewhere ${g}_sb00.hdf5
put in ${g}_sb01.hdf5 ${h}_sb00.hdf5
ln -s elsewhere link
ln -s in again # the same files a second time: no root
ln -s ${h}_sb00.hdf5 in/${h}_sb01.hdf5 # a link is no file
product $g elsewhere/${g}_sb00.hdf5 in/${g}_sb01.hdf5
offline $g=done $h=waiting
daemon $g=done $h=waiting
end_tree $g=done $h=waiting

tree duplicate
put in ${g}_sb00.hdf5 2026-01-26T08:01:59_sb00.hdf5 ${h}_sb00.hdf5 ${h}_sb01.hdf5 2026-01-26T09:00:01_sb01.hdf5
offline $g=waiting $h=ready
daemon $g=waiting $h=ready
end_tree $g=waiting $h=ready

tree moved # the product was made of the same files in another place
put old ${g}_sb00.hdf5 ${g}_sb01.hdf5
product $g old/*
mv old/* in/
offline $g=done
daemon $g=done
end_tree $g=done
echo "all agree"
