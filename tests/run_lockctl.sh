#!/bin/bash
# lockctl list and cleanup: the seeds' words, exit codes, JSON; legacy files beside claims.
# matrix: locks 29 legacy PID files listed and cleaned
set -u
lockctl=$(realpath "${BUILD:-build}/lockctl") || exit 1
dir=$(mktemp -d) || exit 1
sleeper=
trap '[ -n "$sleeper" ] && kill $sleeper 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export WATCHERD_BOOTS=
fail() {
    echo "FAIL: $*"
    exit 1
}
same() { # WHAT EXPECTED GOT
    [ "$2" = "$3" ] || fail "$1: expected: $2
got: $3"
}

mkdir -p tree/sub tree/"odd name"
sleep 1000 &
sleeper=$!
sleep 0 &
dead=$!
wait $dead
echo $sleeper >tree/Track123.lock
echo "$dead" >tree/Track789.lock
printf '%s\n%s\n' "$dead" "$(uname -n)" >tree/sub/Track1.lock
printf '{"pid": %s, "host": "elsewhere"}' "$dead" >tree/"odd name"/far.lock
: >tree/empty.lock
touch -d '754 seconds ago' tree/*.lock

same list "Found 4 lock files:
  [ACTIVE] Track123.lock (age: 12.6 min) legacy
  [DEAD] Track789.lock (age: 12.6 min) legacy
  [ACTIVE] odd name/far.lock (age: 0.0 min) legacy
  [DEAD] sub/Track1.lock (age: 0.0 min) legacy" "$("$lockctl" list tree)"
same dry "Scanning for dead locks in: tree/
Found 4 lock files
Would remove dead lock: Track789.lock (process no longer exists)
Would remove dead lock: sub/Track1.lock (process no longer exists)
Would remove 2 dead lock files" "$("$lockctl" cleanup tree/ --dry-run)"
[ -e tree/Track789.lock ] || fail "--dry-run removed a file"
same cleanup "Scanning for dead locks in: tree/
Found 4 lock files
Removed dead lock: Track789.lock (process no longer exists)
Removed dead lock: sub/Track1.lock (process no longer exists)
Removed 2 dead lock files" "$("$lockctl" cleanup tree/ --timeout 3600)"
[ ! -e tree/Track789.lock ] && [ ! -e tree/sub/Track1.lock ] || fail "dead files stay"
[ -e tree/Track123.lock ] && [ -e tree/"odd name"/far.lock ] || fail "a live file went"
same again "Scanning for dead locks in: tree
Found 2 lock files
Removed 0 dead lock files" "$("$lockctl" cleanup tree)"

# a live lock is never removed for its age
touch -d '30 hours ago' tree/Track123.lock
"$lockctl" cleanup tree --timeout 1 | grep -q '^Removed 0' || fail "age alone removed a lock"
# nor one that another program holds by flock, dead PID or not
echo "$dead" >tree/held.lock
flock tree/held.lock "$lockctl" cleanup tree | grep -q '^Removed 0' || fail "a held flock was broken"
"$lockctl" cleanup tree | grep -q '^Removed dead lock: held.lock' || fail "held.lock stays"

"$lockctl" list tree --json | /usr/bin/python3 -c '
import json, sys
rows = {r["lock"]: r for r in json.load(sys.stdin)}
assert set(rows) == {"Track123.lock", "odd name/far.lock"}, rows
assert rows["Track123.lock"]["state"] == "ACTIVE" and rows["Track123.lock"]["legacy"]
assert rows["odd name/far.lock"]["host"] == "elsewhere"
' || fail "list --json"

# exit codes
"$lockctl" list nowhere 2>err
same "exit code of a missing directory" 66 $?
grep -q 'nowhere' err || fail "the sentence does not name the directory"
"$lockctl" list 2>/dev/null
same "exit code without DIR" 64 $?
"$lockctl" frobnicate x 2>/dev/null
same "exit code of an unknown command" 64 $?
"$lockctl" cleanup tree --timeout soon 2>/dev/null
same "exit code of a bad number" 64 $?
"$lockctl" --help | grep -q cleanup || fail "--help"
"$lockctl" --version | grep -q '^lockctl [0-9]' || fail "--version"
same "empty tree" "Found 0 lock files" "$(mkdir none && "$lockctl" list none)"
exit 0
