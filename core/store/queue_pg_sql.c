/*
 * queue_pg_sql.c: the tables of the queue in PostgreSQL and the functions that change them,
 * version by version.
 *
 * A task's moves are functions in the server, so that each is one round trip and one
 * transaction.  They are planned once (force_generic_plan), with all ways but the indexes
 * forbidden: a planner that counts rows would, with old statistics, sort the whole backlog or
 * read years of history for one claim.  Where a task is known by its id the condition is
 * status || '' = 'claimed', lest all that is claimed be read by its own small index.
 *
 * A claimed task's attempt is the task's own row; it becomes a row of t_attempts when it
 * ends.  A fence is the server's clock in microseconds, above the task's last one.  It is no
 * sequence, because a crash may forget the last numbers of a sequence together with the claims
 * not forced to disk.
 *
 * watcherd.ours is on in transactions of our functions that move tasks: so the triggers
 * know an operator's UPDATE.
 */
#include "core/store/queue_pg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"

/* Keeps two that make the tables at once apart: "wdq1". */
#define LOCK "SELECT pg_catalog.pg_advisory_xact_lock(2003071281);"

/* How functions that are called from outside run; those that they call do as they do. */
#define PLANNED                                                                        \
    " SET plan_cache_mode = force_generic_plan SET enable_seqscan = off"               \
    " SET enable_bitmapscan = off SET enable_sort = off SET enable_hashjoin = off"     \
    " SET enable_mergejoin = off SET enable_material = off SET jit = off AS $$\n"

#define TASK_ROW                                                                       \
    "task_id uuid, task_name text, task_key text, params text, result text,"           \
    " status text, priority int, retry_count int, max_retries int,"                    \
    " timeout_sec float8, cancel_requested boolean, fence bigint, run_after float8,"   \
    " created_at float8, claimed_at float8, last_heartbeat float8,"                    \
    " completed_at float8, error text, worker_id text"

static const char *const version_1[] = {
    /* ---- tables ---- */
    /* one that is there may be ours without the right to make others */
    "DO $$ BEGIN IF to_regnamespace('absurd') IS NULL THEN CREATE SCHEMA absurd;"
    " END IF; END $$;",
    "CREATE TABLE absurd.t_schema("
    " version int PRIMARY KEY, made_at timestamptz NOT NULL DEFAULT now());",
    /* UUID version 7, for rows that are inserted by hand; see queue_new_id */
    "CREATE FUNCTION absurd.new_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$\n"
    "SELECT (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12,"
    " '0') || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid $$;",
    "CREATE TABLE absurd.t_tasks("
    " task_id uuid PRIMARY KEY DEFAULT absurd.new_id(),"
    " queue_name text COLLATE \"C\" NOT NULL DEFAULT 'dsa110-pipeline',"
    " task_name text COLLATE \"C\" NOT NULL,"
    " task_key text COLLATE \"C\" NOT NULL DEFAULT gen_random_uuid()::text,"
    " params jsonb NOT NULL DEFAULT '{}', priority int NOT NULL DEFAULT 0,"
    " timeout_sec float8, status text NOT NULL DEFAULT 'pending'"
    "  CHECK (status IN ('pending','claimed','completed','failed','cancelled')),"
    " worker_id text, error text, result text,"
    " retry_count int NOT NULL DEFAULT 0, max_retries int NOT NULL DEFAULT 3,"
    " attempts int NOT NULL DEFAULT 0, fence bigint NOT NULL DEFAULT 0,"
    " cancel_requested boolean NOT NULL DEFAULT false,"
    " run_after timestamptz NOT NULL DEFAULT now(),"
    " created_at timestamptz NOT NULL DEFAULT now(),"
    " claimed_at timestamptz, last_heartbeat timestamptz, lease_until timestamptz,"
    " completed_at timestamptz, UNIQUE (queue_name, task_name, task_key))"
    " WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02,"
    "  autovacuum_analyze_scale_factor = 0.05);",
    /* What is done is in none of the first four. */
    "CREATE INDEX t_ready ON absurd.t_tasks"
    " (queue_name, priority DESC, task_key, task_id, run_after)"
    " WHERE status = 'pending';"
    "CREATE INDEX t_oldest ON absurd.t_tasks (queue_name, task_id, run_after)"
    " WHERE status = 'pending';"
    "CREATE INDEX t_due ON absurd.t_tasks (queue_name, run_after)"
    " WHERE status = 'pending';"
    "CREATE INDEX t_held ON absurd.t_tasks (queue_name, worker_id)"
    " WHERE status = 'claimed';"
    "CREATE INDEX t_failed ON absurd.t_tasks (created_at DESC)"
    " WHERE status = 'failed';",
    "CREATE TABLE absurd.t_attempts("
    " task_id uuid, attempt int, fence bigint NOT NULL, worker_id text,"
    " claimed_at timestamptz, ended_at timestamptz, outcome text, error text,"
    " rusage json, PRIMARY KEY (task_id, attempt));"
    "CREATE TABLE absurd.t_steps("
    " task_id uuid, step text, fence bigint NOT NULL, at timestamptz NOT NULL,"
    " took_s float8 NOT NULL, detail text, PRIMARY KEY (task_id, step));"
    "CREATE TABLE absurd.t_workers("
    " worker_id text PRIMARY KEY, queue_name text NOT NULL, machine text, boot text,"
    " host text, pid bigint, start bigint, state text, slots int, running int,"
    " lease_sec float8 NOT NULL, started_at timestamptz NOT NULL,"
    " last_seen timestamptz NOT NULL);"
    "CREATE TABLE absurd.t_queues("
    " name text PRIMARY KEY, mode text NOT NULL DEFAULT 'running'"
    "  CHECK (mode IN ('running','draining','paused')),"
    " reason text, since timestamptz NOT NULL DEFAULT now());",
    /* under the names of DSA-110's own table */
    "CREATE VIEW absurd.tasks AS SELECT *, retry_count AS attempt,"
    " extract(epoch FROM claimed_at - created_at)::float8 AS wait_time_sec,"
    " extract(epoch FROM completed_at - claimed_at)::float8 AS execution_time_sec"
    " FROM absurd.t_tasks;",

    /* ---- hand edits ---- */
    /* Triggers are short to ask for: PostgreSQL reads their WHEN anew at each statement. */
    "CREATE FUNCTION absurd.t_edit() RETURNS trigger LANGUAGE plpgsql AS $$\n"
    "BEGIN\n"
    " IF NEW.status <> OLD.status THEN\n"
    "  IF NEW.status = 'claimed' THEN\n"
    "   RAISE EXCEPTION 'only a worker claims a task' USING ERRCODE = "
    "'check_violation',"
    "    HINT = 'Set its status to pending: a worker will claim it.';\n"
    "  ELSIF OLD.status = 'claimed' THEN\n"
    "   INSERT INTO absurd.t_attempts(task_id, attempt, fence, worker_id, claimed_at,"
    "    ended_at, outcome) VALUES (OLD.task_id, OLD.attempts, OLD.fence,"
    "    OLD.worker_id, OLD.claimed_at, clock_timestamp(), 'fenced');\n"
    "   NEW.lease_until := NULL;\n"
    "  END IF;\n"
    "  NEW.cancel_requested := false;\n"
    "  IF NEW.status = 'pending' THEN\n"
    "   NEW.retry_count := 0;\n"
    "   NEW.completed_at := NULL;\n"
    "   NEW.result := NULL;\n"
    "   IF NEW.run_after = OLD.run_after THEN NEW.run_after := now(); END IF;\n"
    "  ELSIF NEW.completed_at IS NULL OR OLD.status IN ('pending','claimed') THEN\n"
    "   NEW.completed_at := now();\n"
    "  END IF;\n"
    " END IF;\n"
    " IF NEW.status <> OLD.status OR NEW.priority <> OLD.priority"
    "   OR NEW.cancel_requested <> OLD.cancel_requested THEN\n"
    /* The same note again in one transaction is one note. */
    "  PERFORM pg_notify('wd_' || NEW.queue_name, '');\n"
    " END IF;\n"
    " RETURN NEW;\n"
    "END $$;"
    "CREATE TRIGGER t_edit BEFORE UPDATE ON absurd.t_tasks FOR EACH ROW"
    " WHEN (current_setting('watcherd.ours', true) IS DISTINCT FROM 'on')"
    " EXECUTE FUNCTION absurd.t_edit();",
    "CREATE FUNCTION absurd.t_made() RETURNS trigger LANGUAGE plpgsql AS $$\n"
    "BEGIN\n"
    " IF NEW.status = 'pending' THEN\n"
    "  PERFORM pg_notify('wd_' || NEW.queue_name, '');\n"
    " ELSIF NEW.status = 'claimed' THEN\n"
    "  RAISE EXCEPTION 'only a worker claims a task' USING ERRCODE = "
    "'check_violation',"
    "   HINT = 'Insert it as pending: a worker will claim it.';\n"
    " END IF;\n"
    " RETURN NULL;\n"
    "END $$;"
    "CREATE TRIGGER t_made AFTER INSERT ON absurd.t_tasks FOR EACH ROW"
    " WHEN (current_setting('watcherd.ours', true) IS DISTINCT FROM 'on')"
    " EXECUTE FUNCTION absurd.t_made();",
    "CREATE FUNCTION absurd.t_mode() RETURNS trigger LANGUAGE plpgsql AS $$\n"
    "BEGIN\n"
    " PERFORM pg_notify('wd_' || NEW.name, '');\n"
    " RETURN NULL;\n"
    "END $$;"
    "CREATE TRIGGER t_mode AFTER INSERT OR UPDATE ON absurd.t_queues FOR EACH ROW"
    " EXECUTE FUNCTION absurd.t_mode();"
    "CREATE FUNCTION absurd.t_gone() RETURNS trigger LANGUAGE plpgsql AS $$\n"
    "BEGIN\n"
    " DELETE FROM absurd.t_attempts WHERE task_id = OLD.task_id;\n"
    " DELETE FROM absurd.t_steps WHERE task_id = OLD.task_id;\n"
    " RETURN NULL;\n"
    "END $$;"
    "CREATE TRIGGER t_gone AFTER DELETE ON absurd.t_tasks FOR EACH ROW"
    " EXECUTE FUNCTION absurd.t_gone();",

    /* ---- moves ---- */
    /* Where an end leads. */
    "CREATE FUNCTION absurd.wd_next(how text, retries int, most int, stop boolean)"
    " RETURNS text LANGUAGE sql IMMUTABLE AS $$\n"
    "SELECT CASE WHEN how = 'complete' THEN 'completed' WHEN how = 'fail' THEN 'failed'"
    " WHEN how = 'cancel' OR stop THEN 'cancelled'"
    " WHEN how = 'release' OR retries < most THEN 'pending' ELSE 'failed' END $$;",
    /* End tasks: one element of each array for each.  Returned: how many were still held. */
    "CREATE FUNCTION absurd.wd_end(queue text, ids uuid[], fences bigint[], hows "
    "text[],"
    " words text[], texts text[], uses json[], delays float8[])"
    " RETURNS int LANGUAGE plpgsql AS $$\n"
    "#variable_conflict use_column\n"
    "DECLARE n int;\n"
    "BEGIN\n"
    " PERFORM set_config('watcherd.ours', 'on', true);\n"
    /* What ends for good keeps its worker and claimed_at: one statement does it. */
    " IF NOT hows && '{retry,release}' THEN\n"
    "  WITH done AS (UPDATE absurd.t_tasks t SET status = CASE e.how WHEN 'complete'"
    "    THEN 'completed' WHEN 'fail' THEN 'failed' ELSE 'cancelled' END,"
    "   completed_at = clock_timestamp(), lease_until = NULL, cancel_requested = false,"
    "   result = CASE e.how WHEN 'complete' THEN e.text ELSE t.result END,"
    "   error = CASE e.how WHEN 'complete' THEN NULL WHEN 'fail' THEN e.text"
    "    ELSE coalesce(e.text, t.error) END"
    "  FROM unnest(ids, fences, hows, words, texts, uses)"
    "   AS e(id, fence, how, word, text, use)"
    "  WHERE t.task_id = e.id AND t.fence = e.fence AND t.status || '' = 'claimed'"
    "  RETURNING t.task_id, t.attempts, t.fence, t.worker_id, t.claimed_at,"
    "   t.completed_at, e.word, CASE WHEN e.how <> 'complete' THEN e.text END, e.use)"
    " INSERT INTO absurd.t_attempts(task_id, attempt, fence, worker_id, claimed_at,"
    "  ended_at, outcome, error, rusage) SELECT * FROM done;\n"
    "  GET DIAGNOSTICS n = ROW_COUNT;\n"
    "  RETURN n;\n"
    " END IF;\n"
    " INSERT INTO absurd.t_attempts(task_id, attempt, fence, worker_id, claimed_at,"
    "  ended_at, outcome, error, rusage)"
    " SELECT t.task_id, t.attempts, t.fence, t.worker_id, t.claimed_at,"
    "  clock_timestamp(), e.word, CASE WHEN e.how <> 'complete' THEN e.text END, e.use"
    " FROM unnest(ids, fences, hows, words, texts, uses)"
    "  AS e(id, fence, how, word, text, use)"
    " JOIN absurd.t_tasks t ON t.task_id = e.id AND t.fence = e.fence"
    " WHERE t.status || '' = 'claimed' FOR UPDATE OF t;\n"
    " GET DIAGNOSTICS n = ROW_COUNT;\n"
    " IF n > 0 THEN\n"
    " UPDATE absurd.t_tasks t SET"
    "  status = absurd.wd_next(e.how, t.retry_count, t.max_retries,"
    "   t.cancel_requested),"
    "  completed_at = CASE WHEN absurd.wd_next(e.how, t.retry_count, t.max_retries,"
    "   t.cancel_requested) <> 'pending' THEN clock_timestamp() END,"
    "  worker_id = CASE WHEN e.how = 'release' OR absurd.wd_next(e.how, t.retry_count,"
    "   t.max_retries, t.cancel_requested) = 'pending' THEN NULL"
    "   ELSE t.worker_id END,"
    "  retry_count = t.retry_count + (e.how = 'retry' AND t.retry_count < t.max_retries"
    "   AND NOT t.cancel_requested)::int,"
    "  claimed_at = CASE WHEN e.how <> 'release' THEN t.claimed_at END,"
    "  run_after = CASE WHEN e.how IN ('retry','release') THEN"
    "   clock_timestamp() + e.delay * interval '1 second' ELSE t.run_after END,"
    "  result = CASE WHEN e.how = 'complete' THEN e.text ELSE t.result END,"
    "  error = CASE WHEN e.how = 'complete' THEN NULL WHEN e.how IN ('fail','retry')"
    "   THEN e.text ELSE coalesce(e.text, t.error) END,"
    "  lease_until = NULL, cancel_requested = false"
    " FROM unnest(ids, fences, hows, texts, delays) AS e(id, fence, how, text, delay)"
    " WHERE t.task_id = e.id AND t.fence = e.fence AND t.status || '' = 'claimed';\n"
    " PERFORM pg_notify('wd_' || queue, '');\n"
    " END IF;\n"
    " RETURN n;\n"
    "END $$;",
    /* Take claimed tasks away whatever their fence. */
    "CREATE FUNCTION absurd.wd_take(queue text, ids uuid[], how text, word text, why "
    "text)"
    " RETURNS int LANGUAGE plpgsql AS $$\n"
    "DECLARE n int := cardinality(ids);\n"
    "BEGIN\n"
    " IF n = 0 THEN RETURN 0; END IF;\n"
    " RETURN absurd.wd_end(queue, ids, ARRAY(SELECT t.fence FROM unnest(ids) WITH "
    "ORDINALITY"
    "   AS e(id, i) JOIN absurd.t_tasks t ON t.task_id = e.id ORDER BY e.i),"
    "  array_fill(how, ARRAY[n]), array_fill(word, ARRAY[n]),"
    "  array_fill(why, ARRAY[n]), array_fill(NULL::json, ARRAY[n]),"
    "  array_fill(0::float8, ARRAY[n]));\n"
    "END $$;",
    /*
     * One turn.  The first row tells the mode and, when an end was late, what became of each
     * (1: lost); the others are the tasks claimed, `aged` of them because they are the oldest.
     */
    "CREATE FUNCTION absurd.wd_turn(queue text, worker text, want int, aged int,"
    " lease float8, ids uuid[], fences bigint[], hows text[], words text[],"
    " texts text[], uses json[], delays float8[])"
    " RETURNS TABLE (mode text, lost int[], " TASK_ROW ") LANGUAGE plpgsql"
    "" PLANNED "#variable_conflict use_column\n"
    "DECLARE got uuid[] := '{}'; moment timestamptz;\n"
    "BEGIN\n"
    " IF ids IS NULL THEN\n" /* a claim that a power cut forgets was held by nobody */
    "  PERFORM set_config('synchronous_commit', 'off', true),"
    "   set_config('watcherd.ours', 'on', true);\n"
    " ELSIF absurd.wd_end(queue, ids, fences, hows, words, texts, uses, delays)"
    "   < cardinality(ids) THEN\n"
    /* late, or told before by a call whose answer was lost */
    "  lost := ARRAY(SELECT 1 - EXISTS (SELECT FROM absurd.t_attempts a WHERE"
    "    a.task_id = e.id AND a.fence = e.fence AND a.outcome = e.word)::int"
    "   FROM unnest(ids, fences, words) WITH ORDINALITY AS e(id, fence, word, i)"
    "   ORDER BY e.i);\n"
    " END IF;\n"
    " mode := coalesce((SELECT k.mode FROM absurd.t_queues k WHERE k.name = queue),"
    "  'running');\n"
    " RETURN NEXT;\n"
    " IF want = 0 OR mode = 'paused' THEN RETURN; END IF;\n"
    " moment := clock_timestamp();\n"
    " IF aged > 0 THEN\n"
    "  got := ARRAY(SELECT t.task_id FROM absurd.t_tasks t WHERE t.queue_name = queue"
    "   AND t.status = 'pending' AND t.run_after <= moment ORDER BY t.task_id LIMIT "
    "aged"
    "   FOR UPDATE SKIP LOCKED);\n"
    "  got := got || ARRAY(SELECT t.task_id FROM absurd.t_tasks t"
    "   WHERE t.queue_name = queue AND t.status = 'pending' AND t.run_after <= moment"
    "   AND t.task_id <> ALL (got) ORDER BY t.priority DESC, t.task_key, t.task_id"
    "   LIMIT want - cardinality(got) FOR UPDATE SKIP LOCKED);\n"
    " ELSE\n"
    "  got := ARRAY(SELECT t.task_id FROM absurd.t_tasks t WHERE t.queue_name = queue"
    "   AND t.status = 'pending' AND t.run_after <= moment"
    "   ORDER BY t.priority DESC, t.task_key, t.task_id LIMIT want"
    "   FOR UPDATE SKIP LOCKED);\n"
    " END IF;\n"
    " IF cardinality(got) = 0 THEN RETURN; END IF;\n"
    " RETURN QUERY UPDATE absurd.t_tasks t SET status = 'claimed', worker_id = worker,"
    "  claimed_at = moment, last_heartbeat = moment, cancel_requested = false,"
    "  lease_until = clock_timestamp() + lease * interval '1 second',"
    "  attempts = t.attempts + 1, fence = greatest(t.fence + 1,"
    "   (extract(epoch FROM moment) * 1000000)::bigint"
    "   + array_position(got, t.task_id))"
    " WHERE t.task_id = ANY (got) RETURNING NULL::text, NULL::int[], t.task_id,"
    "  t.task_name, t.task_key, t.params::text, t.result, t.status, t.priority,"
    "  t.retry_count, t.max_retries, t.timeout_sec, t.cancel_requested, t.fence,"
    "  extract(epoch FROM t.run_after)::float8,"
    "  extract(epoch FROM t.created_at)::float8,"
    "  extract(epoch FROM t.claimed_at)::float8,"
    "  extract(epoch FROM t.last_heartbeat)::float8, NULL::float8, t.error,"
    "  t.worker_id;\n"
    "END $$;",
    /* made[i]: there was none, or `again` put it back. */
    "CREATE FUNCTION absurd.wd_spawn(queue text, ids uuid[], names text[], keys text[],"
    " datas jsonb[], priorities int[], mosts int[], timeouts float8[], delays float8[],"
    " agains boolean[]) RETURNS boolean[] LANGUAGE plpgsql" PLANNED
    "DECLARE made boolean[] := '{}'; due timestamptz;\n"
    "BEGIN\n"
    " PERFORM set_config('watcherd.ours', 'on', true);\n"
    " FOR i IN 1 .. cardinality(ids) LOOP\n"
    "  due := clock_timestamp() + delays[i] * interval '1 second';\n"
    "  INSERT INTO absurd.t_tasks(task_id, queue_name, task_name, task_key, params,"
    "    priority, max_retries, timeout_sec, run_after, created_at)"
    "   VALUES (ids[i], queue, names[i], keys[i], datas[i], priorities[i], mosts[i],"
    "    timeouts[i], due, clock_timestamp())"
    "   ON CONFLICT (queue_name, task_name, task_key) DO NOTHING;\n"
    "  IF NOT FOUND AND agains[i] THEN\n"
    "   UPDATE absurd.t_tasks SET status = 'pending', params = datas[i],"
    "     priority = priorities[i], max_retries = mosts[i], timeout_sec = timeouts[i],"
    "     run_after = due, error = NULL, worker_id = NULL, claimed_at = NULL,"
    "     last_heartbeat = NULL, retry_count = 0, completed_at = NULL, result = NULL,"
    "     cancel_requested = false"
    "    WHERE queue_name = queue AND task_name = names[i] AND task_key = keys[i]"
    "     AND status IN ('completed','failed','cancelled');\n"
    "  END IF;\n"
    "  made := made || FOUND;\n"
    " END LOOP;\n"
    " IF true = ANY (made) THEN PERFORM pg_notify('wd_' || queue, ''); END IF;\n"
    " RETURN made;\n"
    "END $$;",
    /* hold[i]: 0 held, 1 lost, 2 asked to stop. */
    "CREATE FUNCTION absurd.wd_beat(queue text, worker text, machine text, boot text,"
    " host text, pid bigint, start bigint, state text, slots int, running int,"
    " lease float8, ids uuid[], fences bigint[], OUT hold int[], OUT dropped int)"
    " LANGUAGE plpgsql" PLANNED "#variable_conflict use_column\n"
    "DECLARE held uuid[]; stop uuid[];\n"
    "BEGIN\n"
    " PERFORM set_config('synchronous_commit', 'off', true),"
    "  set_config('watcherd.ours', 'on', true);\n"
    " WITH b AS (UPDATE absurd.t_tasks t SET last_heartbeat = clock_timestamp(),"
    "   lease_until = clock_timestamp() + lease * interval '1 second'"
    "  FROM unnest(ids, fences) AS e(id, fence) WHERE t.task_id = e.id"
    "   AND t.fence = e.fence AND t.status || '' = 'claimed'"
    "  RETURNING t.task_id, t.cancel_requested)"
    " SELECT array_agg(b.task_id),"
    "  array_agg(b.task_id) FILTER (WHERE b.cancel_requested) INTO held, stop FROM b;\n"
    " hold := ARRAY(SELECT CASE WHEN e.id = ANY (stop) THEN 2 WHEN e.id = ANY (held)"
    "   THEN 0 ELSE 1 END FROM unnest(ids) WITH ORDINALITY AS e(id, i) ORDER BY e.i);\n"
    " dropped := absurd.wd_take(queue, ARRAY(SELECT t.task_id FROM absurd.t_tasks t"
    "   WHERE t.queue_name = queue AND t.worker_id = worker AND t.status = 'claimed'"
    "   AND t.task_id <> ALL (coalesce(held, '{}')) FOR UPDATE), 'release',"
    "  'abandoned', NULL);\n"
    " INSERT INTO absurd.t_workers AS w(worker_id, queue_name, machine, boot, host, "
    "pid,"
    "   start, state, slots, running, lease_sec, started_at, last_seen)"
    "  VALUES (worker, queue, machine, boot, host, pid, start, state, slots, running,"
    "   lease, clock_timestamp(), clock_timestamp())"
    "  ON CONFLICT (worker_id) DO UPDATE SET state = excluded.state,"
    "   slots = excluded.slots, running = excluded.running,"
    "   lease_sec = excluded.lease_sec, last_seen = excluded.last_seen;\n"
    "END $$;",
    "CREATE FUNCTION absurd.wd_bury(queue text, worker text) RETURNS int"
    " LANGUAGE plpgsql" PLANNED "BEGIN\n"
    " DELETE FROM absurd.t_workers WHERE worker_id = worker;\n"
    " RETURN absurd.wd_take(queue, ARRAY(SELECT t.task_id FROM absurd.t_tasks t"
    "   WHERE t.queue_name = queue AND t.worker_id = worker AND t.status = 'claimed'"
    "   FOR UPDATE), 'release', 'abandoned', NULL);\n"
    "END $$;"
    "CREATE FUNCTION absurd.wd_reap(queue text) RETURNS int LANGUAGE plpgsql" PLANNED
    "BEGIN\n"
    " IF NOT pg_try_advisory_xact_lock(2003071281, hashtext(queue)) THEN RETURN 0;"
    " END IF;\n"
    " RETURN absurd.wd_take(queue, ARRAY(SELECT t.task_id FROM absurd.t_tasks t"
    "   WHERE t.queue_name = queue AND t.status = 'claimed'"
    "   AND (t.lease_until < clock_timestamp() OR t.lease_until IS NULL)"
    "   FOR UPDATE SKIP LOCKED), 'retry',"
    "  'expired', 'its worker was not heard of for a whole lease');\n"
    "END $$;"
    /* When the next pending one is due; null: there is none. */
    "CREATE FUNCTION absurd.wd_due(queue text) RETURNS timestamptz"
    " LANGUAGE plpgsql" PLANNED "BEGIN\n"
    " RETURN (SELECT t.run_after FROM absurd.t_tasks t WHERE t.queue_name = queue"
    "  AND t.status = 'pending' ORDER BY t.run_after LIMIT 1);\n"
    "END $$;"
    "CREATE FUNCTION absurd.wd_steps(ids uuid[], fences bigint[], steps text[],"
    " tooks float8[], details text[]) RETURNS void LANGUAGE plpgsql" PLANNED "BEGIN\n"
    " PERFORM set_config('synchronous_commit', 'off', true);\n"
    " FOR i IN 1 .. cardinality(ids) LOOP\n"
    "  INSERT INTO absurd.t_steps AS s(task_id, step, fence, at, took_s, detail)"
    "   SELECT t.task_id, steps[i], t.fence, clock_timestamp(), tooks[i], details[i]"
    "   FROM absurd.t_tasks t WHERE t.task_id = ids[i] AND t.fence = fences[i]"
    "    AND t.status || '' = 'claimed'"
    "   ON CONFLICT (task_id, step) DO UPDATE SET fence = excluded.fence,"
    "    at = excluded.at, took_s = excluded.took_s, detail = excluded.detail;\n"
    " END LOOP;\n"
    "END $$;",
    NULL};

/* What makes version i + 1 from version i. */
static const char *const *const upgrades[PG_VERSION] = {version_1};

/* ---- what is there ---- */

/* By the catalogue, which also those may read who may not use the schema. */
static const char sql_look[] =
    "WITH o AS (SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n"
    "  ON n.oid = c.relnamespace WHERE n.nspname = 'absurd' UNION ALL"
    " SELECT p.proname || '()' FROM pg_proc p JOIN pg_namespace n"
    "  ON n.oid = p.pronamespace WHERE n.nspname = 'absurd')"
    " SELECT count(*) FILTER (WHERE name IN ('t_schema','t_tasks','wd_turn()')) = 3,"
    " (SELECT string_agg(name, ', ') FROM (SELECT name FROM o ORDER BY 1 LIMIT 3) x)"
    " FROM o";
static const char sql_version[] = "SELECT max(version) FROM absurd.t_schema";

int queue_pg_version(struct pg *pg, int *version, struct err *e)
{
    PGresult *r = NULL;
    int rc;

    *version = 0;
    rc = pg_ask(pg, &r, e, sql_look, 0, NULL);
    if (rc != 0)
        return rc;
    if (PQgetvalue(r, 0, 0)[0] != 't') {
        if (!PQgetisnull(r, 0, 1))
            rc = err_set(e, ERR_FORMAT,
                         "schema absurd in %.80s is not ours (it has %.80s): nothing "
                         "in it was touched",
                         pg_where(pg), PQgetvalue(r, 0, 1));
        PQclear(r);
        return rc;
    }
    PQclear(r);
    rc = pg_ask(pg, &r, e, sql_version, 0, NULL);
    if (rc != 0)
        return rc;
    *version = (int)pg_int(r, 0, 0);
    PQclear(r);
    if (*version < 1)
        rc = err_set(e, ERR_FORMAT, "absurd.t_schema in %.80s tells no version",
                     pg_where(pg));
    return rc;
}

/* ---- making it ---- */

/* All of it in one simple query is one transaction. */
static char *script(int from)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    if (f == NULL)
        return NULL;
    fputs(LOCK, f);
    for (const char *const *s = upgrades[from]; *s != NULL; s++)
        fputs(*s, f);
    fprintf(f, "INSERT INTO absurd.t_schema(version) VALUES (%d)", from + 1);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

int queue_pg_upgrade(struct pg *pg, int from, struct err *e)
{
    char *text = script(from);
    struct err why = {0};
    int rc, now;

    if (text == NULL)
        return err_set(e, -ENOMEM, "out of memory making the tables of the queue");
    rc = pg_run(pg, text, 60, &why);
    free(text);
    if (rc == 0)
        return 0;
    /* Perhaps another one was quicker. */
    if (rc != ERR_STORE_DOWN && queue_pg_version(pg, &now, NULL) == 0 && now > from)
        return 0;
    return err_set(e, rc, "cannot make the tables of the queue: %.200s", why.text);
}
