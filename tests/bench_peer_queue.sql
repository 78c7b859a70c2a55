-- bench_peer_queue.sql: the shape of two task queues on PostgreSQL, for `make bench`, beside ours.  Written from what is known
-- of them (which tables, which indexes, in which order a claim takes what), not from their text, and without their
-- other features.
--
--   dsa:  one table; a claim takes the highest priority, then the oldest; an index on (status) and one on (priority, created_at)
--   runs: tasks and their runs in two tables (earendil's `absurd`); a claim first looks through the tasks for cancellation
--         policies, then takes the run that has been available for longest
DROP SCHEMA IF EXISTS peer CASCADE;
CREATE SCHEMA peer;

CREATE TABLE peer.dsa(
    task_id uuid PRIMARY KEY DEFAULT gen_random_uuid(), queue_name text NOT NULL DEFAULT 'q', task_name text NOT NULL,
    params jsonb NOT NULL DEFAULT '{}', priority int NOT NULL DEFAULT 0, status text NOT NULL DEFAULT 'pending',
    worker_id text, attempt int NOT NULL DEFAULT 0, result jsonb, created_at timestamptz NOT NULL DEFAULT now(),
    claimed_at timestamptz, completed_at timestamptz);
CREATE INDEX dsa_status ON peer.dsa(queue_name, status);
CREATE INDEX dsa_order ON peer.dsa(priority DESC, created_at);
CREATE FUNCTION peer.dsa_claim(worker text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE id uuid;
BEGIN
    SELECT task_id INTO id FROM peer.dsa WHERE queue_name = 'q' AND status = 'pending'
        ORDER BY priority DESC, created_at LIMIT 1 FOR UPDATE SKIP LOCKED;
    UPDATE peer.dsa SET status = 'claimed', worker_id = worker, claimed_at = now(), attempt = attempt + 1 WHERE task_id = id;
    RETURN id;
END $$;
CREATE FUNCTION peer.dsa_complete(id uuid) RETURNS void LANGUAGE sql AS $$
    UPDATE peer.dsa SET status = 'completed', completed_at = now(), result = '{}' WHERE task_id = id AND status = 'claimed' $$;

CREATE TABLE peer.t(
    task_id uuid PRIMARY KEY DEFAULT gen_random_uuid(), params jsonb NOT NULL DEFAULT '{}', cancellation jsonb,
    enqueue_at timestamptz NOT NULL DEFAULT now(), state text NOT NULL DEFAULT 'pending', attempts int NOT NULL DEFAULT 0,
    completed_payload jsonb);
CREATE TABLE peer.r(
    run_id uuid PRIMARY KEY DEFAULT gen_random_uuid(), task_id uuid NOT NULL, attempt int NOT NULL DEFAULT 1,
    state text NOT NULL DEFAULT 'pending', claimed_by text, claim_expires_at timestamptz,
    available_at timestamptz NOT NULL DEFAULT now(), started_at timestamptz, completed_at timestamptz, result jsonb);
CREATE INDEX r_state ON peer.r(state, available_at);
CREATE INDEX r_task ON peer.r(task_id);
CREATE FUNCTION peer.runs_claim(worker text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE id uuid; task uuid;
BEGIN
    UPDATE peer.t SET state = 'cancelled' WHERE state IN ('pending', 'sleeping', 'running')
        AND cancellation IS NOT NULL AND enqueue_at < now() - make_interval(secs => (cancellation->>'max_delay')::float8);
    SELECT run_id, task_id INTO id, task FROM peer.r WHERE state IN ('pending', 'sleeping') AND available_at <= now()
        ORDER BY available_at, run_id LIMIT 1 FOR UPDATE SKIP LOCKED;
    UPDATE peer.r SET state = 'running', claimed_by = worker, started_at = now(), claim_expires_at = now() + interval '30 s'
        WHERE run_id = id;
    UPDATE peer.t SET state = 'running', attempts = attempts + 1 WHERE task_id = task;
    RETURN id;
END $$;
CREATE FUNCTION peer.runs_complete(id uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE task uuid;
BEGIN
    SELECT task_id INTO task FROM peer.r WHERE run_id = id AND state = 'running' FOR UPDATE;
    UPDATE peer.r SET state = 'completed', completed_at = now(), result = '{}' WHERE run_id = id;
    UPDATE peer.t SET state = 'completed', completed_payload = '{}' WHERE task_id = task;
END $$;

-- n more tasks that wait, or are history
CREATE FUNCTION peer.fill(n int, pending boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE text jsonb := jsonb_build_object('files', repeat('x', 280));
BEGIN
    INSERT INTO peer.dsa(task_name, params, status) SELECT 'bench', text, CASE WHEN pending THEN 'pending' ELSE 'completed' END
        FROM generate_series(1, n);
    WITH made AS (INSERT INTO peer.t(params, state) SELECT text, CASE WHEN pending THEN 'pending' ELSE 'completed' END
        FROM generate_series(1, n) RETURNING task_id, state)
    INSERT INTO peer.r(task_id, state) SELECT task_id, state FROM made;
END $$;
