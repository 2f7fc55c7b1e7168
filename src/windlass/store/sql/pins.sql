-- name: of_run
SELECT kind, name, value FROM run_pins WHERE run = :run ORDER BY kind, name;

-- name: insert
INSERT INTO run_pins (run, kind, name, value) VALUES (:run, :kind, :name, :value)
ON CONFLICT (run, kind, name) DO NOTHING;

-- name: facts
SELECT DISTINCT kind, data FROM run_facts WHERE run = :run AND kind IN ('action', 'image') ORDER BY kind, data;

-- name: copy_run
INSERT INTO runs (number, repository, path, workflow, event, ref, sha, actor, title, push, attempt, status,
    cancel_in_progress, concurrency_queue, concurrency_group, superseded_by, created_at, rerun_by, replay_of)
SELECT :number, repository, path, workflow, event, ref, sha, actor, title, NULL, 1,
    CASE WHEN concurrency_group IS NULL THEN 'queued' ELSE 'pending' END,
    cancel_in_progress, concurrency_queue, concurrency_group, superseded_by, :at, :by, id
FROM runs WHERE id = :run AND status = 'completed'
RETURNING *;

-- name: copy_source
INSERT INTO run_sources (run, source, payload, inputs, vars, pinned_at)
SELECT :to, source, payload, inputs, vars, :at FROM run_sources WHERE run = :run;

-- name: copy_called
INSERT INTO run_called (run, uses, repository, sha, path, source)
SELECT :to, uses, repository, sha, path, source FROM run_called WHERE run = :run;

-- name: copy_pins
INSERT INTO run_pins (run, kind, name, value)
SELECT :to, kind, name, value FROM run_pins WHERE run = :run AND kind <> 'lock'
ON CONFLICT (run, kind, name) DO NOTHING;
