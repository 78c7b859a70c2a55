#!/bin/bash
# Daemon and worker service on PostgreSQL: started before the server is, they wait; the server killed while tasks run: they
# go on and their ends are told when it is back; a worker killed: free at once; edits by SQL; TERM leaves nothing claimed.
# matrix: queue 4 PostgreSQL killed under daemon and worker
# shellcheck source=tests/lib.sh disable=SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
rig=$top/tests/pg_rig.sh
"$rig" bin >/dev/null || skip "no PostgreSQL server is installed"
own_dir workers-pg
mkdir pg
chmod 755 "$dir"
"$rig" make "$dir/pg"
settings '[queue]' "store = host=$dir/pg user=watcherd dbname=postgres" 'poll_s = 20' \
    '[workers]' 'count = 1' 'lease_s = 60' 'heartbeat_s = 20' 'stop_grace_s = 0' 'cancel_grace_s = 0.5'
psql=$("$rig" bin)/psql
queue() { "$psql" -XqtA -h "$dir/pg" -U watcherd -d postgres -c "$1"; }
noop() { queue "INSERT INTO absurd.t_tasks(task_id, task_name, task_key, params) VALUES (gen_random_uuid(), 'noop', '$1', '${2:-{\}}')" >/dev/null; }
state_of() { queue "SELECT status FROM absurd.t_tasks WHERE task_key = '$1'"; }
server() { "$rig" run "$dir/pg" & server=$!; until_true queue 'SELECT 1' >/dev/null 2>&1; }

start
wait_for log 'event=store_down'
server
wait_for log 'event=store_up'
"$build/watcherd" worker -c w.conf --name one 2>log-one &
one=$!
wait_for log-one 'event=ready'
until_true eval '[ "$(queue "SELECT count(*) FROM absurd.t_workers")" = 2 ]'
wait_for log 'event=watching worker=[^ ]*:one:'

noop a '{"ms": 1500}'
noop b '{"ms": 1500}'
wait_for log 'event=start task=noop'
wait_for log-one 'event=start task=noop'
kill -QUIT "$server"
wait "$server" 2>/dev/null || true
until_true eval '[ "$(count event=store_down)" -eq 2 ]'
"$build/watcherd" status -c w.conf >said
grep -q '^store     DOWN for' said || fail "status: $(cat said)"
server
for k in a b; do until_true is_state $k completed; done
[ "$(queue 'SELECT count(*) FROM absurd.t_attempts')" = 2 ] || fail "attempts: $(queue 'SELECT * FROM absurd.t_attempts')"

# Killed on this host, far below the lease; and an edit while it runs.
noop c '{"ms": 3600000}'
noop d '{"ms": 3600000}'
wait_for log 'event=start task=noop group=[cd] '
wait_for log-one 'event=start task=noop group=[cd] '
kill -KILL "$one"
wait_for log 'event=recovered tasks=1 worker=[^ ]*:one:'
queue "UPDATE absurd.t_tasks SET status = 'pending', params = '{}' WHERE task_key IN ('c', 'd')"
wait_for log 'event=lost task=noop'
for k in c d; do until_true is_state $k completed; done

noop e '{"ms": 3600000}'
wait_for log 'event=start task=noop group=e'
stop
[ $rc -eq 0 ] || fail "exit $rc"
is_state e pending || fail "e: $(state_of e)"
[ "$(queue 'SELECT count(*) FROM absurd.t_workers')" = 0 ] || fail "$(queue 'SELECT * FROM absurd.t_workers')"
kill -QUIT "$server"
