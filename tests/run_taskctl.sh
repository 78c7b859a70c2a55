#!/bin/bash
# taskctl: every verb on every store that there is here: answers, exit codes, JSON, hand edits, wrong usage.
set -eu
cd "$(dirname "$0")/.."
. tests/lib.sh
own_dir taskctl
taskctl=$build/taskctl
fields=$top/tests/run_taskctl.py

# ---- asking ----

t() { "$taskctl" -c w.conf "$@"; }
exits() { # CODE ARGUMENT...: run it; its words are in out and err
    local want=$1 got=0
    shift
    t "$@" >out 2>err || got=$?
    [ $got = "$want" ] || fail "taskctl $* ended with $got, not $want: $(cat out err)"
}
says() { grep -E -q -e "$1" "${2:-out}" || fail "no line like $1 in ${2:-out}: $(cat "${2:-out}")"; }
is() { [ "$2" = "$3" ] || fail "$1: $2, not $3"; }
# One Python answers all questions: starting one for each takes longer than all that is asked.
mkfifo questions answers
/usr/bin/python3 -c 'import json, sys
for question in sys.stdin:
    x = json.load(open("out"))
    print(eval(question), flush=True)' <>questions >answers 2>questions.err &
exec 5>questions 6<>answers
value_of() { # EXPRESSION: of the answer in out, which is x; into $value
    echo "$1" >&5
    IFS= read -r -t "$patience_s" value <&6 || fail "no value of $1: $(cat questions.err)"
}
json() { # EXPRESSION WANT
    value_of "$1"
    is "$1" "$value" "$2"
}
id_of() { # KEY
    exits 0 show "$1" --json
    value_of 'x["task_id"]'
    echo "$value"
}
status_of() { # KEY STATUS
    exits 0 show "$1" --json
    json 'x["status"]' "$2"
}

# ---- a worker, told by lines ----

work() { # WORKER [PID]: from now on
    coproc WORKER { exec "$build/tests/test_taskctl" w.conf "$@"; }
    worker=$WORKER_PID
}
tell() { echo "$1" >&"${WORKER[1]}"; } # LINE
hear() { # PATTERN: its next line
    local line
    read -r -t "$patience_s" line <&"${WORKER[0]}" || fail "the worker says nothing, and not $1"
    case $line in $1) said=$line ;; *) fail "the worker says $line, not $1" ;; esac
}
fire() { # close its stdin: it ends and leaves all as it is
    eval "exec ${WORKER[1]}>&-"
    wait "$worker"
}

# ---- the verbs ----

wrong_usage() {
    local verb
    "$taskctl" --help >out
    for verb in stats list show submit retry cancel prioritize stuck workers scale pause resume drain \
        monitor preflight backup restore migrate vacuum; do
        says "^  $verb "
        "$taskctl" "$verb" --help >help
        says "^usage: taskctl $verb " help
        says '\[--json\]' help
    done
    says 'Exit codes:'
    "$taskctl" --version >out
    says '^taskctl [0-9]'
    exits 64
    exits 64 no-such-verb
    says "^taskctl: there is no verb no-such-verb; see taskctl --help" err
    exits 64 lst
    says "^taskctl: there is no verb lst; the nearest is list" err
    exits 64 list --since yesterday
    exits 64 stats --limit 3
    exits 64 stats something
    exits 64 list --limit x
    exits 64 list --status running
    exits 64 list --nonsense
    exits 64 show
    exits 64 stuck --older soon
    exits 64 retry
    exits 64 retry --all --name noop
    exits 64 cancel 0123 --all
    exits 64 prioritize high --all
    exits 64 prioritize
    exits 64 submit noop
    exits 64 scale many
    exits 64 scale 3 4
    exits 64 drain --undo
    exits 64 backup
    exits 64 backup nowhere --keep 3
    exits 64 backup nowhere --keep 0
    exits 64 restore
    exits 66 restore not-there --yes
    exits 64 monitor --every soon
    local rc=0
    "$taskctl" stats -c not-there.conf 2>err || rc=$?
    is "no settings" $rc 78
    rc=0
    printf '[queue]\nstore = sqlite\nnonsense = 1\n' >bad.conf
    "$taskctl" stats -c bad.conf 2>err || rc=$?
    is "bad settings" $rc 78
    says 'nonsense' err
    rc=0
    "$taskctl" preflight -c bad.conf >out || rc=$?
    is "preflight with bad settings" $rc 1
    says '^FAIL  settings .*nonsense'
    WATCHERD_CONF=w.conf "$taskctl" migrate --dry-run >out || fail '$WATCHERD_CONF is not read'
}

tables_are_made() {
    exits 69 stats
    says 'taskctl migrate' err
    exits 0 migrate --dry-run
    exits 69 stats
    exits 0 migrate --json
    json 'x["have"], x["steps"] != []' '(0, True)'
    exits 0 migrate
    says 'nothing to do'
    exits 0 stats
    says 'no tasks'
}

tasks_are_made_and_found() {
    local id
    exits 0 submit noop trial-1 --params '{"seconds": 2, "text": "ä"}' --priority 5 --retries 1 --timeout 1h
    id=$(cat out)
    exits 0 show "$id" --json
    json 'x["params"]["seconds"], x["params"]["text"], x["priority"], x["max_retries"], x["timeout_s"], x["status"]' \
        "(2, 'ä', 5, 1, 3600.0, 'pending')"
    exits 1 submit noop trial-1
    says "$id" err
    exits 1 submit noop trial-1 --again --json
    json 'x["made"]' False
    exits 65 submit noop trial-2 --params '{"seconds":'
    exits 65 submit noop ''
    exits 0 submit mosaic trial-1 --json
    json 'x["made"], x["task_name"], x["task_key"]' "(True, 'mosaic', 'trial-1')"
    exits 0 submit noop 2026-01-26T08:07:07 --delay 1h
    exits 0 show 2026-01-26T08:07:07
    says '^due .*in 60 min'
    exits 0 submit odd $'a\tb\033[31m/c'
    exits 0 list
    says 'a\\x09b\\x1b\[31m/c'
    says '^ID '
    is "lines of list" "$(wc -l <out)" 5
    exits 0 show $'a\tb\033[31m/c'
    exits 0 show $'odd/a\tb\033[31m/c' --json
    json 'x["task_key"]' $'a\tb\033[31m/c'

    exits 0 show "${id:0:35}"
    exits 0 show "$(echo "$id" | tr a-f A-F)"
    exits 0 show noop/trial-1
    says "^task  *$id"
    exits 0 show "${id:28}" # as the monitor has it
    says "^task  *$id"
    exits 64 show trial-1 # two names have it
    says 'mosaic' err
    exits 64 show "${id:0:4}" # all were made within a minute
    says "$id" err
    exits 1 show 0123abcd
    exits 1 show noop/none
    exits 1 show no-such-key
    says 'no-such-key' err

    exits 0 list --name noop --json
    json 'len(x), sorted(t["task_key"] for t in x)' "(2, ['2026-01-26T08:07:07', 'trial-1'])"
    exits 0 list --key trial-1 --limit 1 --json
    json 'len(x)' 1
    exits 0 list --limit 0 --sort key --json
    json '[t["task_key"] for t in x] == sorted(t["task_key"] for t in x)' True
    exits 0 list -n 2 --json
    json '[t["task_name"] for t in x]' "['odd', 'noop']"
    exits 0 list -n 2 --csv --columns task_name,status
    is "csv" "$(cat out)" $'task_name,status\nodd,pending\nnoop,pending'
    exits 0 list --name odd --columns task_key
    says '^task_key'
    exits 0 list --since 1h --until 2099-01-01T00:00:00 --json
    json 'len(x)' 4
    exits 1 list --until 1h
    exits 1 list --since 2099-01-01T00:00:00
    exits 64 list --columns task_nam
    says 'nearest is task_name' err
    exits 1 log noop/trial-1
    says 'there is no log' err
    mkdir -p root/state/logs
    printf 'one\ntwo \033[2J\n' >"root/state/logs/$id.log"
    exits 0 log noop/trial-1
    is "log" "$(cat out)" $'one\ntwo \\x1b[2J'
    rm "root/state/logs/$id.log"
    exits 75 watch noop/trial-1 --timeout 0.1s
    says 'pending'
    exits 1 list --status failed
    exits 1 list --status failed --json
    json 'x' '[]'
    exits 0 stats
    says '^noop  *2  *0  *0  *0  *0$'
    says '^all  *4  *0'
    says '^oldest pending  noop trial-1'
    exits 0 stats --json
    json 'x["status"]["pending"], x["names"]["noop"]["pending"], x["mode"], x["completed_last_hour"]' "(4, 2, 'running', 0)"
    json 'x["oldest_pending"]["task_key"], x["oldest_claimed"]' "('trial-1', None)"
}

hand_edits_are_seen() {
    edit "UPDATE t_tasks SET status = 'failed', error = 'by hand' WHERE task_name = 'mosaic'"
    exits 0 list --status failed --json
    json '[(t["task_name"], t["error"]) for t in x]' "[('mosaic', 'by hand')]"
    edit "UPDATE t_tasks SET priority = 77 WHERE task_name = 'odd'"
    exits 0 list --name odd --json
    json 'x[0]["priority"]' 77
    exits 0 retry --status failed --name mosaic
    says '^1 task pending again'
    status_of mosaic/trial-1 pending
    exits 1 retry --status failed
    says 'nothing to retry'
    exits 0 prioritize 100 --name mosaic --json
    json 'x["tasks"]' 1
    is "priority by hand" "$(edit "SELECT priority FROM t_tasks WHERE task_name = 'mosaic'")" 100
    exits 0 prioritize --name mosaic -- -5
    is "priority by hand" "$(edit "SELECT priority FROM t_tasks WHERE task_name = 'mosaic'")" -5
    exits 0 cancel mosaic/trial-1 --dry-run
    says 'would change 1 task'
    status_of mosaic/trial-1 pending
    exits 0 cancel --key trial-1 --dry-run --json
    json 'x["dry_run"], x["tasks"], len(x["task_ids"])' '(True, 2, 2)'
    exits 0 cancel mosaic/trial-1
    status_of mosaic/trial-1 cancelled
    exits 1 cancel mosaic/trial-1
    exits 1 cancel mosaic/trial-1 --dry-run
    exits 1 cancel 0123abcd
    exits 0 submit mosaic trial-1 --again
    status_of mosaic/trial-1 pending
    exits 0 cancel --all
    says '^4 tasks cancelled'
    exits 0 retry --all --json
    json 'x["tasks"]' 4
    exits 0 cancel --all
}

a_worker_is_followed() {
    local id
    exits 1 workers
    exits 0 submit noop w-1
    exits 0 submit noop w-2
    work host:w:1
    tell beat; hear beat
    tell claim; hear '*-*'
    id=$said
    tell 'step read'; hear stepped
    exits 0 workers
    says '^host:w:1 *running *alive'
    exits 0 workers --json
    json 'x[0]["worker_id"], x[0]["life"], x[0]["slots"]' "('host:w:1', 'alive', 4)"
    exits 0 show "$id"
    says '^status *claimed'
    says '^ *1 .* under way *host:w:1'
    says '^read .* 2.5 s .*as it should'
    says "^log .*/state/logs/$id.log: not there"
    mkdir -p root/state/logs
    { seq 1 30; printf 'e\033[2Jnd\n'; } >"root/state/logs/$id.log"
    exits 0 show "$id"
    says '^    22$'
    says '^    e\\x1b\[2Jnd$'
    ! grep -q '^    21$' out || fail "more than ten lines of the log"
    tell 'end 1 no such file'; hear 'ended 0'
    exits 0 show "$id" --json
    json 'x["status"], x["error"], x["worker_id"]' "('failed', 'no such file', 'host:w:1')"
    json '[(a["outcome"], a["error"], a["usage"]) for a in x["attempts"]]' "[('failed', 'no such file', {'cpu_s': 1.5})]"
    json '[(s["step"], s["took_s"]) for s in x["steps"]], x["log_tail"][-2]' "([('read', 2.5)], '30')"
    exits 0 list --status failed
    says 'no such file'
    exits 0 retry "$id"
    says '1 task pending again'
    tell claim; hear '*-*'
    tell 'end 0 {"x": 1}'; hear 'ended 0'
    exits 0 stats --json
    json 'x["completed_last_hour"], x["status"]["completed"]' '(1, 1)'
    exits 1 retry "$id"
}

what_is_stuck_is_said() {
    local id
    exits 0 stuck
    tell claim; hear '*-*'
    id=$said
    exits 0 stuck
    says 'no claimed task'
    edit "UPDATE t_tasks SET claimed_at = '2020-01-01T00:00:00Z' WHERE task_id = '$id'"
    exits 1 stuck
    says "^$id .*host:w:1 *alive"
    exits 1 stuck --json
    json 'x[0]["why"], x[0]["worker_life"], x[0]["claimed_s"] > 1e8' "('old', 'alive', True)"
    exits 0 stuck --older 0
    exits 0 stuck --older 2h --name other
    edit "UPDATE t_tasks SET last_heartbeat = '2020-01-01T00:00:00Z' WHERE task_id = '$id'"
    edit "UPDATE t_workers SET last_seen = '2020-01-01T00:00:00Z'"
    exits 1 stuck --older 0 --silent 1h
    says "alive: process is running"
    exits 0 stuck --older 0 --silent 0
    exits 0 workers
    says 'alive'
    fire
    exits 1 stuck
    says 'gone: process no longer exists'
    exits 0 workers --json
    json 'x[0]["life"]' gone
    edit "UPDATE t_workers SET boot = 'another', machine = 'another'"
    exits 1 stuck
    says 'silent: on another machine'
    edit "DELETE FROM t_workers"
    exits 1 stuck
    says 'unknown: the queue does not know it'
    edit "UPDATE t_tasks SET status = 'pending' WHERE task_id = '$id'"
    exits 0 stuck
}

a_running_task_is_stopped() {
    local waiting rc=0
    work host:w:2
    tell beat; hear beat
    tell claim; hear '*-*'
    exits 75 cancel "$said" --timeout 0.1s
    says 'still run'
    t cancel --status claimed --wait >waited 2>&1 &
    waiting=$!
    tell beat; hear to-cancel; hear beat
    tell 'end 4 as asked'; hear 'ended 0'
    wait $waiting || rc=$?
    # The cancel of before may have been all there was to do, or have come first.
    case $rc in 0 | 1) ;; *) fail "cancel --wait ended with $rc: $(cat waited)" ;; esac
    exits 0 list --status cancelled --name noop
    tell claim; hear none
    exits 0 submit noop stop-2
    tell claim; hear '*-*'
    t cancel noop/stop-2 --wait --json >waited 2>&1 &
    waiting=$!
    until_true asked_to_stop
    tell 'end 4 as asked'; hear 'ended 0'
    wait $waiting
    cp waited out
    json 'x["tasks"], x["asked_to_stop"], x["still_running"]' '(1, 1, 0)'
    status_of noop/stop-2 cancelled
}
asked_to_stop() {
    tell beat
    read -r -t "$patience_s" said <&"${WORKER[0]}"
    read -r -t "$patience_s" _ <&"${WORKER[0]}"
    [ "$said" = to-cancel ]
}

the_queue_is_paused_and_drained() {
    local waiting rc=0
    exits 0 submit noop d-1
    exits 0 pause --reason $'new\ndisks'
    says '^paused: .*1 pending'
    tell claim; hear none
    exits 0 stats
    says '^mode *paused, for .*: new\\x0adisks'
    exits 0 pause --json
    json 'x["mode"], x["was"], x["reason"]' "('paused', 'paused', None)"
    exits 0 resume
    exits 0 resume --json
    json 'x["mode"], x["was"]' "('running', 'running')"
    exits 75 drain --timeout 0.2s --undo --reason upgrade
    says 'running as before'
    exits 0 stats
    says '^mode *running'
    exits 75 drain --timeout 0.2s --json
    json 'x["drained"], x["mode"], x["pending"]' "(False, 'draining', 1)"
    exits 0 stats
    says '^mode *draining'
    exits 0 resume
    setsid "$taskctl" -c w.conf drain --wait >waited 2>&1 &
    waiting=$!
    until_true mode_is draining
    until_true catches "$waiting"
    kill -INT $waiting
    wait $waiting || rc=$?
    is "drain that was interrupted" $rc 75
    says 'interrupted: 1 pending and 0 being worked on; the queue is draining until taskctl resume' waited
    t drain --wait >waited 2>&1 &
    waiting=$!
    tell claim; hear '*-*'
    tell 'end 0 done'; hear 'ended 0'
    wait $waiting || fail "drain --wait: $(cat waited)"
    says '^drained' waited
    exits 0 drain --wait
    exits 0 drain
    says 'as before'
    exits 0 resume
}
mode_is() { # MODE
    t stats --json >out
    grep -q "\"mode\": \"$1\"" out
}
catches() { # PID: it has its own handler of SIGINT
    local mask
    mask=$(sed -n 's/^SigCgt:\t*//p' "/proc/$1/status")
    [ $((0x$mask & 2)) != 0 ]
}

the_page_shows_everything() {
    exits 0 submit noop m-1
    exits 0 monitor --once
    is "the order of the sections" \
        "$(grep -o -E '^(Service Status|Active Workers|Task Queue Statistics|Recent Task Activity \(Last 10\)|Disk Space|Recent Log Lines|Commands)' out | tr '\n' ,)" \
        'Service Status,Active Workers,Task Queue Statistics,Recent Task Activity (Last 10),Disk Space,Recent Log Lines,Commands,'
    says '^  daemon *✗ STOPPED'
    says '^  queue *✓ RUNNING'
    says '^  workers *✓ RUNNING *1 alive'
    says '^  Count: 1'
    says '^  Completed *[1-9]'
    says '^  Pending *1$'
    cp out page
    says "^  $(id_of noop/m-1 | cut -c29-36)  noop .* pending .* [0-2][0-9]:[0-5][0-9]:[0-5][0-9]$" page
    cp page out
    says '^  incoming .*% .* free'
    ! grep -q $'\033' out || fail "colours without a terminal"
    exits 0 monitor --json
    json 'x["daemon"], x["mode"], x["status"]["pending"], len(x["disks"]), x["recent"][0]["task_key"]' \
        "(None, 'running', 1, 4, 'm-1')"
    /usr/bin/python3 "$fields" live "$taskctl" -c w.conf monitor --every 0.1
    NO_COLOR=1 /usr/bin/python3 "$fields" plain "$taskctl" -c w.conf monitor --once
    fire
}

copies_are_made_and_put_back() {
    exits 0 vacuum
    exits 0 backup one.copy
    [ -s one.copy ] || fail "no backup"
    mkdir -p copies/2020-01-01T000000Z copies/2021-01-01T000000Z copies/mine
    sqlite3 root/state/products.sqlite3 'CREATE TABLE foreign_one(x)'
    exits 65 backup copies
    [ "$(ls copies)" = "$(printf '%s\n' 2020-01-01T000000Z 2021-01-01T000000Z mine)" ] || fail "half a backup: $(ls -A copies)"
    rm root/state/products.sqlite3*
    exits 0 backup copies/ --keep 2 --json
    json 'x["removed"]' 1
    [ ! -e copies/2020-01-01T000000Z ] && [ -d copies/2021-01-01T000000Z ] && [ -d copies/mine ] ||
        fail "not what --keep 2 leaves: $(ls copies)"
    is "how many" "$(ls copies | wc -l)" 3
    edit "DELETE FROM t_tasks"
    exits 64 restore one.copy </dev/null
    exits 1 list
    edit "DELETE FROM t_workers"
    exits 0 restore one.copy --yes
    exits 0 list --key m-1
    edit "DELETE FROM t_tasks"
    edit "DELETE FROM t_workers"
    exits 0 restore "copies/$(ls copies | grep -v -e 2021 -e mine)" --yes --json
    exits 0 list --key m-1
    edit "DELETE FROM t_workers"
    work host:w:3
    tell beat; hear beat
    exits 75 restore one.copy --yes
    fire
    edit "DELETE FROM t_workers"
}

all_verbs() {
    settings "[queue]" "store = $store"
    fresh
    tables_are_made
    wrong_usage
    tasks_are_made_and_found
    hand_edits_are_seen
    a_worker_is_followed
    what_is_stuck_is_said
    a_running_task_is_stopped
    the_queue_is_paused_and_drained
    the_page_shows_everything
    copies_are_made_and_put_back
    echo "all verbs on $1, $SECONDS s"
}

# ---- the stores ----

in_sqlite() {
    store=sqlite
    edit() { sql root/state/queue.sqlite3 "$1"; }
    fresh() { rm -rf root && mkdir -p root/state; }
    all_verbs SQLite
}

in_postgresql() {
    local server why
    why=$("$rig" bin) || { echo "$why" && return 0; }
    mkdir -m 755 pg
    chmod 755 .
    "$rig" make "$dir/pg"
    "$rig" run "$dir/pg" &
    server=$!
    until_true eval 'psql -h "$dir/pg" -U watcherd -d postgres -c "SELECT 1" >/dev/null 2>&1'
    store="host=$dir/pg user=watcherd dbname=postgres"
    edit() { PGOPTIONS='-c search_path=absurd' psql -h "$dir/pg" -U watcherd -d postgres -q -A -t -v ON_ERROR_STOP=1 -c "$1"; }
    fresh() { rm -rf root copies one.copy && mkdir -p root/state; }
    all_verbs PostgreSQL
    kill -QUIT $server
    wait $server || true
}

rig=$top/tests/pg_rig.sh
in_sqlite
[ ! -x "$rig" ] || in_postgresql

# ---- without a store, and beside a daemon ----

exits_in_a_sentence() { # CODE ARGUMENT...
    exits "$@"
    is "lines on stderr" "$(wc -l <err)" 1
    is "lines on stdout" "$(wc -l <out)" 0
}
a_store_that_is_away() {
    settings '[queue]' "store = postgresql:///x?host=$dir/no-such-directory"
    exits_in_a_sentence 69 stats
    says 'no-such-directory' err
    exits_in_a_sentence 69 retry --all
    exits_in_a_sentence 69 submit noop x
    exits 69 monitor --once
    says '^  queue *✗ NOT REACHED'
    exits 69 monitor --json
    json 'x["store_error"] is not None, x["recent"]' '(True, [])'
    exits 1 preflight
    says '^FAIL  store '
    exits_in_a_sentence 69 scale 3
}
[ ! -x "$rig" ] || a_store_that_is_away

settings
sed -i 's/^root = .*/root = root2/' w.conf
exits_in_a_sentence 69 list

settings
fresh
exits 0 migrate
for i in $(seq 300); do echo "INSERT INTO t_tasks(task_id, task_name, task_key) VALUES ('$i', 'many', 'key-$i');"; done |
    (echo 'BEGIN;' && cat && echo 'COMMIT;') | sql root/state/queue.sqlite3
set +e
t list --limit 0 2>err | read -r _ # whoever reads goes away
code=${PIPESTATUS[0]}
set -e
case $code in 0 | 141 | 74) ;; *) fail "a closed pipe: exit status $code" ;; esac
is "words about a closed pipe" "$(wc -l <err)" 0
exits 0 cancel --name many
says '^300 tasks cancelled'

exits 1 preflight
says '^FAIL  daemon '
says '^FAIL  workers '
says '^ok    store '
says '^NOT READY'
exits 1 preflight --json
json 'x["ready"], [c["result"] for c in x["checks"] if c["check"] == "daemon"]' "(False, ['FAIL'])"
/usr/bin/python3 "$fields" daemon root/state >asked &
pretender=$!
until_true test -S root/state/control.sock
exits 0 scale 3
says '^3 workers from now on, 1 before'
exits 1 scale 4
says 'no more room' err
wait $pretender
is "what the daemon was asked" "$(cat asked)" '{"ask":"scale","count":3}
{"ask":"scale","count":4}'

start
exits 0 monitor --once
says '^  daemon *✓ RUNNING *pid [0-9]+, up'
t preflight >out || true
says '^ok    settings '
says '^ok    daemon '
says '^ok    directories '
says '^(ok  |WARN)  calibrators '
says '^ok    locks '
sed -i 's/^\[workers\]/[disk]\nwarn_pct = 0\nstop_pct = 0\nresume_pct = 0\n&/' w.conf
exits 1 preflight
says '^FAIL  disks .*no task is started'
exits 0 monitor --once
says 'tasks stop'
stop
exits 0 backup safe/
is "registries beside the queue" "$(cd safe/* && ls | tr '\n' ' ')" \
    'cal_registry.sqlite3 data_registry.sqlite3 products.sqlite3 queue.sqlite3 '
is "calibrators" "$(sqlite3 safe/*/cal_registry.sqlite3 'SELECT count(*) FROM calibrators')" 0
echo passed
