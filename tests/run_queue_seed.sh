#!/bin/bash
# run_queue_seed.sh: the SQL of the operator's runbook, word for word through psql, on tasks that our daemon keeps in
# PostgreSQL; a group from end to end over it.
set -eu
cd "$(dirname "$0")/.."
. tests/lib.sh
bin=$(tests/pg_rig.sh bin) || skip "no PostgreSQL server is installed (postgresql-15)"
rig=$top/tests/pg_rig.sh
own_dir seed
chmod 711 "$dir"
mkdir pg
"$rig" make "$dir/pg"
"$rig" run "$dir/pg" &
server=$!
trap 'kill -QUIT $server 2>/dev/null && wait $server 2>/dev/null; end_all' EXIT
until_true "$bin/pg_isready" -q -h "$dir/pg" -U watcherd -d postgres
export PGHOST=$dir/pg PGUSER=plain PGDATABASE=dsa110_absurd
psql -qX -U watcherd -d postgres -c "CREATE ROLE plain LOGIN" -c "CREATE DATABASE dsa110_absurd OWNER plain"

q() { psql -qXAt -v ON_ERROR_STOP=1 -c "$1"; }
is() { # is WANT SQL
    local got
    got=$(q "$2") || fail "$2"
    [ "$got" = "$1" ] || fail "$2: '$got' and not '$1'"
}
# claim: the next task, as a worker does it; prints "id fence"
claim() {
    q "SELECT task_id || ' ' || fence FROM absurd.wd_turn('dsa110-pipeline', 'h1:w:1', 1, 0, 600, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL) WHERE task_id IS NOT NULL"
}
# ends ID FENCE HOW WORD: "" when it was taken, {1} when it was late
ends() {
    q "SELECT lost FROM absurd.wd_turn('dsa110-pipeline', 'h1:w:1', 0, 0, 600, '{$1}', '{$2}', '{$3}', '{$4}',
       '{because}', '{NULL}', '{0}')"
}

# ---- a group from end to end ----

settings '[queue]' "store = postgresql://plain@/dsa110_absurd?host=$dir/pg"
simulate in 2026-01-26T08:01:32
once
[ $rc -eq 0 ] || fail "the daemon ended with $rc"
is "continuum|completed" "SELECT task_name, status FROM absurd.t_tasks WHERE task_name = 'continuum'"
[ -e root/products/tiles/2026-01-26T08:01:32/image.fits ] || fail "no product"
[ ! -e root/state/queue.sqlite3 ] || fail "an SQLite queue beside"

# ---- tasks in every state ----

q "DELETE FROM absurd.t_tasks"
for i in 1 2 3; do q "INSERT INTO absurd.t_tasks(task_name, params, priority) VALUES ('TASK_NAME_HERE', '{\"n\": $i}', 9)"; done
for i in 1 2 3; do
    read -r id fence < <(claim)
    [ -z "$(ends "$id" "$fence" fail failed)" ] || fail "the end of $id was late"
done
q "INSERT INTO absurd.t_tasks(task_name, params, priority) VALUES ('hung', '{}', 5), ('done', '{}', 4)"
read -r hung hung_fence < <(claim)
q "UPDATE absurd.t_tasks SET claimed_at = now() - interval '3 hours' WHERE task_id = '$hung'"
read -r id fence < <(claim)
ends "$id" "$fence" complete completed
for name in calibration-solve validation imaging; do q "INSERT INTO absurd.t_tasks(task_name, params) VALUES ('$name', '{}')"; done

# ---- the runbook's statements, in its order ----

is 1 "SELECT 1;"
is 1 "SELECT COUNT(*) FROM absurd.t_tasks WHERE status='claimed';"
[ "$(q "
  SELECT task_id, task_name, error, created_at
  FROM absurd.t_tasks
  WHERE status = 'failed'
  ORDER BY created_at DESC
  LIMIT 10;
" | grep -c '|TASK_NAME_HERE|because|20')" -eq 3 ] || fail "failed tasks are not shown"
failed=$(q "SELECT task_id FROM absurd.t_tasks WHERE status = 'failed' LIMIT 1")
statement="
  SELECT task_id, task_name, params, error, retry_count
  FROM absurd.t_tasks
  WHERE task_id = 'TASK_ID_HERE';
"
q "${statement/TASK_ID_HERE/$failed}" | grep -q "^$failed|TASK_NAME_HERE|{\"n\": .}|because|0\$" || fail "a task is not shown"
q "
  UPDATE absurd.t_tasks
  SET status = 'pending', error = NULL, claimed_at = NULL, worker_id = NULL
  WHERE status = 'failed' AND task_name = 'TASK_NAME_HERE';
"
is 3 "SELECT count(*) FROM absurd.t_tasks WHERE task_name = 'TASK_NAME_HERE' AND status = 'pending'
      AND retry_count = 0 AND completed_at IS NULL AND run_after <= now()"
is "claimed|1
completed|1
pending|6" "SELECT * FROM (
  SELECT status, COUNT(*)
  FROM absurd.t_tasks
  GROUP BY status
) x ORDER BY 1"
q "
  SELECT status, COUNT(*)
  FROM absurd.t_tasks
  GROUP BY status;
" | grep -q "^pending|6" || fail "no counts"
is 6 "SELECT COUNT(*) FROM absurd.t_tasks WHERE status='pending';"
q "UPDATE absurd.t_tasks
SET priority = 100
WHERE task_name = 'calibration-solve' AND status = 'pending';"
q "UPDATE absurd.t_tasks
SET status = 'cancelled'
WHERE task_name = 'validation' AND status = 'pending';"
is 1 "SELECT count(*) FROM absurd.t_tasks WHERE task_name = 'validation' AND status = 'cancelled' AND completed_at IS NOT NULL"
q "VACUUM ANALYZE;" 2>/dev/null
[ "$(q "
  SELECT count(*) FROM pg_stat_activity;
")" -ge 1 ] || fail "no activity"
q "
  SELECT task_id, task_name, worker_id, claimed_at, last_heartbeat
  FROM absurd.t_tasks
  WHERE status = 'claimed'
    AND claimed_at < NOW() - INTERVAL '2 hours'
  ORDER BY claimed_at;
" | grep -q "^$hung|hung|h1:w:1|" || fail "the stuck task is not shown"

# ---- and workers see what was edited ----

read -r id fence < <(claim)
is calibration-solve "SELECT task_name FROM absurd.t_tasks WHERE task_id = '$id'" # priority 100
q "UPDATE absurd.t_tasks SET status = 'pending' WHERE task_id = '$hung'"          # after a restart of its worker
[ "$(ends "$hung" "$hung_fence" complete completed)" = "{1}" ] || fail "a late end was taken"
is fenced "SELECT outcome FROM absurd.t_attempts WHERE task_id = '$hung'"

# ---- its backup ----

pg_dump dsa110_absurd >"absurd_db_$(date +%Y%m%d).sql"
grep -q "CREATE TABLE absurd.t_tasks" absurd_db_*.sql || fail "no backup"
q "DROP SCHEMA absurd CASCADE" 2>/dev/null
psql -qX <"$(ls absurd_db_*.sql)" >/dev/null 2>restored || fail "no restore: $(cat restored)"
is 5 "SELECT COUNT(*) FROM absurd.t_tasks WHERE status='pending';"
read -r id fence < <(claim)
[ -n "$id" ] || fail "nothing is claimed after the restore"
echo "the runbook's statements do what it says"
