#!/bin/bash
# etc/README.md: the ten sections of the seed's runbook, and only programs, verbs, units and settings that exist; its
# SQLite statements do on a real queue what they say.
# shellcheck source=tests/lib.sh disable=SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir runbook
settings '[calibration]' 'calibrator = none' '[mosaic]' 'tiles = 9'
simulate in 2026-01-26T08:01:58 --jitter none
once
[ $rc -eq 0 ] || fail "one group: exit $rc"
queue=$dir/root/state/queue.sqlite3
"$build/taskctl" --help >taskctl.help 2>/dev/null || true # empty until there is one
"$build/watcherd" --help >watcherd.help
"$build/batchctl" --help >batchctl.help
"$build/lockctl" --help >lockctl.help
sqlite3 "$queue" 'SELECT task_id FROM t_tasks' >id

/usr/bin/python3 - "$top" "$queue" <<'END2' || fail "see above"
import os, re, subprocess, sys

top, queue = sys.argv[1:]
text = open(top + "/etc/README.md").read()
bad = 0


def complain(*what):
    global bad
    bad += 1
    print(*what)


wanted = ["Service Startup", "Service Shutdown", "Worker Scaling", "Handling Failed Tasks", "Queue Backup/Overflow",
          "Database Issues", "Disk Space Emergency", "Worker Stuck/Hung", "Data Ingestion Start",
          "System Upgrade/Maintenance", "Quick Reference"]
heads = re.findall(r"^## (.*)$", text, re.M)
if [h for h in heads if h in wanted] != wanted:
    complain("sections are", heads)
anchors = {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)}
for link in re.findall(r"\]\(#([^)]*)\)", text):
    if link not in anchors:
        complain("no section", link)

code = "\n".join(re.findall(r"^```(?:bash|sql)\n(.*?)^```", text, re.M | re.S)) + "\n" + "\n".join(
    re.findall(r"`([^`\n]+)`", text))
for program in ("taskctl", "batchctl", "lockctl", "watcherd"):
    known = open(program + ".help").read()
    for verb in set(re.findall(r"(?:^|(?<!-u)[ ;('])%s (?:-c \S+ )?([a-z]+)\b" % program, code, re.M)):
        if known and not re.search(r"\b%s\b" % verb, known):
            complain(program, "has no", verb)
units = os.listdir(top + "/etc/systemd")
aliases = {"dsa110-mosaic-daemon": "watcherd.service", "dsa110-absurd-worker@": "watcherd-worker@.service"}
for line in re.findall(r"(?:systemctl|journalctl) [^\n#|&]*", code):
    for word in re.findall(r"(?:watcherd|dsa110)[a-z0-9-]*(?:@|\.[a-z]+)?", line):
        unit = aliases.get(word, word)
        if unit in ("watcherd.conf", "watcherd-"):
            continue
        if not any(u == unit or u == unit + ".service" or u.startswith(unit) for u in units):
            complain("no unit", word, "in:", line)
conf = open(top + "/etc/watcherd.conf").read()
names = {}
for section, body in re.findall(r"^\[(\w+)\]\n(.*?)(?=^\[|\Z)", conf, re.M | re.S):
    names[section] = re.findall(r"^(\w+) =", body, re.M)
for section, setting in re.findall(r"\[(\w+)\]`? +`?([a-z_]+)\b", text):
    if section in names and setting not in names[section]:
        complain("no setting [%s] %s" % (section, setting))
every = {n for body in names.values() for n in body}
for word in re.findall(r"`([a-z]+(?:_[a-z]+)*_(?:s|d|pct|mib|kib))`", text):
    if word not in every and word != "took_s":
        complain("no setting", word)

id = open("id").read().strip()
sql = re.findall(r'sqlite3 (?:-\w+ )?\$Q \\?"((?:[^"\\]|\\.)*?)\\?"', text)
if len(sql) < 10:
    complain("only", len(sql), "statements for SQLite")
expected = {  # what makes the case, and what the statement must then leave or print
    "status = 'failed' ORDER": ("failed", "SELECT 1", id),
    "SET status = 'pending'": ("failed", "SELECT status || ',' || ifnull(error, '') FROM t_tasks", "pending,"),
    "SET priority = 100": ("pending", "SELECT priority FROM t_tasks", "100"),
    "SET status = 'cancelled'": ("pending", "SELECT status FROM t_tasks", "cancelled"),
    "FROM t_tasks WHERE status='pending'": ("pending", "SELECT 1", "1"),
    "GROUP BY status": ("pending", "SELECT 1", "pending"),
    "task_id = 'TASK": ("failed", "SELECT 1", "continuum"),
}


def run(statement):
    r = subprocess.run(["sqlite3", "-list", queue, statement], capture_output=True, text=True)
    if r.returncode:
        complain(statement, r.stderr)
    return r.stdout


met = set()
for statement in sql:
    s = statement.replace("TASK_ID_HERE", id).replace("TASK_NAME_HERE", "continuum")
    for name in ("validation", "calibration-solve"):
        s = s.replace(name, "continuum")
    for key, (state, look, want) in expected.items():
        if key not in statement:
            continue
        run("UPDATE t_tasks SET status = 'completed'; UPDATE t_tasks SET status = 'pending', priority = 0;"
            + ("UPDATE t_tasks SET status = 'failed', error = 'x'" if state == "failed" else ""))
        said = run(s)
        if want not in said + run(look):
            complain(s, "gives", said, run(look))
        met.add(key)
        break
    else:
        run(s)
for key in set(expected) - met:
    complain("no statement with", key)
sys.exit(bad > 0)
END2
# The options of batchctl clean that it shows.
grep -o 'batchctl clean -c $F[^#`]*' "$top/etc/README.md" | sort -u | sed 's/^batchctl clean -c $F//' >options
[ "$(wc -l <options)" -ge 4 ] || fail "only $(wc -l <options) ways of batchctl clean"
while read -r options; do
    # shellcheck disable=SC2086
    "$build/batchctl" clean -c w.conf $options --dry-run >out 2>&1 || fail "batchctl clean $options: $(cat out)"
done <options
