#!/bin/bash
# A task whose notification never comes (PostgreSQL's triggers are off while it is made) is found by looking.
# matrix: queue 13 a task that nobody tells of
# shellcheck source=tests/lib.sh disable=SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
rig=$top/tests/pg_rig.sh
"$rig" bin >/dev/null || skip "no PostgreSQL server is installed"
own_dir queue-unheard
mkdir pg
chmod 755 "$dir"
"$rig" make "$dir/pg"
settings '[queue]' "store = host=$dir/pg user=watcherd dbname=postgres" 'poll_s = 0.3'
psql="$("$rig" bin)/psql -XqtA -h $dir/pg -U watcherd -d postgres"
"$rig" run "$dir/pg" &
server=$!
until_true $psql -c 'SELECT 1' >/dev/null 2>&1
start

# make KEY [SQL]: in a session that listens, too; what it heard is in heard
make_task() {
    $psql -c 'LISTEN "wd_dsa110-pipeline"' ${2:+-c "$2"} \
        -c "INSERT INTO absurd.t_tasks(task_name, task_key) VALUES ('noop', '$1')" -c 'SELECT 1' >heard 2>&1
}
make_task told
grep -q 'Asynchronous notification' heard || fail "nobody was told: $(cat heard)"
wait_for log 'event=done task=noop group=told'
make_task untold 'SET session_replication_role = replica'
grep -q 'Asynchronous notification' heard && fail "the triggers were not off"
wait_for log 'event=done task=noop group=untold'
stop
[ $rc -eq 0 ] || fail "exit $rc"
kill -QUIT "$server"
wait "$server" 2>/dev/null || true
