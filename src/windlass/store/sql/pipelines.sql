-- name: last_planned
SELECT coalesce(max(push), 0) AS push FROM push_plans;

-- name: plan
SELECT push, at, runs, reason FROM push_plans WHERE push = :push;

-- name: insert_plan
INSERT INTO push_plans (push, at, runs, reason) VALUES (:push, :at, :runs, :reason);

-- name: next_number
SELECT coalesce(max(number), 0) + 1 AS number FROM runs WHERE repository = :repository AND path = :path;

-- name: insert_run
INSERT INTO runs (number, repository, path, workflow, event, ref, sha, actor, title, push, attempt, status,
    cancel_in_progress, concurrency_queue, created_at)
VALUES (:number, :repository, :path, :workflow, :event, :ref, :sha, :actor, :title, :push, 1, 'queued',
    0, 'single', :created_at)
RETURNING *;

-- name: name_run
UPDATE runs SET title = :title, status = :status, conclusion = :conclusion, reason = :reason,
    concurrency_group = :concurrency_group, cancel_in_progress = :cancel_in_progress,
    concurrency_queue = :concurrency_queue, finished_at = :finished_at
WHERE id = :run;

-- name: insert_source
INSERT INTO run_sources (run, source, payload, inputs, vars) VALUES (:run, :source, :payload, :inputs, :vars);

-- name: source
SELECT run, source, payload, inputs, vars FROM run_sources WHERE run = :run;

-- name: run
SELECT * FROM runs WHERE id = :run;

-- name: active
SELECT * FROM runs WHERE status <> 'completed' ORDER BY id;

-- name: supersede
UPDATE runs SET superseded_by = :by
WHERE repository = :repository AND path = :path AND ref = :ref AND event = 'push' AND id < :by
    AND superseded_by IS NULL
RETURNING id, status;

-- name: set_run_status
UPDATE runs SET status = :status, reason = NULL, started_at = coalesce(started_at, :started_at) WHERE id = :run;

-- name: set_run_reason
UPDATE runs SET reason = :reason WHERE id = :run;

-- name: request_run_cancel
UPDATE runs SET cancel_requested = :at, reason = :reason
WHERE id = :run AND status <> 'completed' AND cancel_requested IS NULL
RETURNING id, repository;

-- name: finish_run
UPDATE runs SET status = 'completed', conclusion = :conclusion, reason = coalesce(:reason, reason), finished_at = :at
WHERE id = :run AND status <> 'completed'
RETURNING id, repository, number, workflow, sha, ref, created_at, started_at;

-- name: rerun
UPDATE runs SET status = :status, conclusion = NULL, reason = NULL, cancel_requested = NULL, attempt = attempt + 1,
    started_at = NULL, finished_at = NULL, rerun_by = :by, debug = :debug
WHERE id = :run AND status = 'completed'
RETURNING attempt;

-- name: list
SELECT * FROM runs
WHERE (:repository IS NULL OR repository = :repository) AND (:ref IS NULL OR ref = :ref)
    AND (:path IS NULL OR path = :path) AND (:status IS NULL OR status = :status)
    AND (:before IS NULL OR id < :before)
ORDER BY id DESC LIMIT :limit;

-- name: of_commit
SELECT * FROM runs WHERE repository = :repository AND sha = :sha ORDER BY id;

-- name: of_push
SELECT * FROM runs WHERE push = :push ORDER BY id;

-- name: latest_of_workflow
SELECT * FROM runs WHERE repository = :repository AND path = :path AND ref = :ref ORDER BY id DESC LIMIT 1;

-- name: annotations
SELECT * FROM annotations WHERE run = :run ORDER BY id LIMIT 2000;

-- name: insert_annotation
INSERT INTO annotations (run, job, step, level, message, file, line, col, title, at)
VALUES (:run, :job, :step, :level, :message, :file, :line, :col, :title, :at);

-- name: count_annotations
SELECT count(*) AS count FROM annotations WHERE job = :job;

-- name: insert_image
INSERT INTO run_images (run, job, image, digest, tags, at) VALUES (:run, :job, :image, :digest, :tags, :at)
ON CONFLICT (run, image, digest) DO UPDATE SET tags = excluded.tags, job = excluded.job, at = excluded.at;

-- name: images
SELECT * FROM run_images WHERE run = :run ORDER BY at;

-- name: of_digest
SELECT runs.* FROM runs JOIN run_images ON run_images.run = runs.id WHERE run_images.digest = :digest ORDER BY runs.id;

-- name: insert_fact
INSERT INTO run_facts (run, job, kind, data, at) VALUES (:run, :job, :kind, :data, :at);

-- name: facts
SELECT * FROM run_facts WHERE run = :run AND kind = :kind ORDER BY at;

-- name: expired_runs
SELECT id FROM runs WHERE status = 'completed' AND finished_at < :before ORDER BY id LIMIT 500;

-- name: delete_run
DELETE FROM runs WHERE id = :run AND status = 'completed' RETURNING id;
