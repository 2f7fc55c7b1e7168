-- name: insert
INSERT INTO jobs (id, run, attempt, key, job, leg, legs, expanded, position, place, calls, name, status, conclusion, tolerated, reason,
    matrix, limits, environment, outputs, concurrency_group, cancel_in_progress, concurrency_queue, launches,
    events_read, signals, created_at, ready_at)
VALUES (:id, :run, :attempt, :key, :job, :leg, :legs, :expanded, :position, :place, :calls, :name, :status, NULL, :tolerated, :reason,
    :matrix, :limits, :environment, '{}', :concurrency_group, :cancel_in_progress, :concurrency_queue, 0,
    0, 0, :created_at, :ready_at);

-- name: delete_placeholder
DELETE FROM jobs WHERE id = :id AND expanded = 0 AND status <> 'completed' RETURNING id;

-- name: call
UPDATE jobs SET status = 'in_progress', started_at = :at, reason = NULL
WHERE id = :id AND status = 'queued' AND calls IS NOT NULL
RETURNING id;

-- name: pass
UPDATE jobs SET status = CASE WHEN concurrency_group IS NULL THEN 'queued' ELSE 'pending' END, reason = NULL,
    ready_at = CASE WHEN concurrency_group IS NULL THEN :at ELSE NULL END
WHERE id = :id AND status = 'waiting'
RETURNING id;

-- name: set_environment
UPDATE jobs SET environment = :environment WHERE id = :id;

-- name: retire
UPDATE jobs SET retired = 1 WHERE id = :id;

-- name: job
SELECT * FROM jobs WHERE id = :id;

-- name: of_run
SELECT * FROM jobs WHERE run = :run ORDER BY position, place, leg, attempt;

-- name: current
SELECT * FROM jobs WHERE run = :run AND retired = 0 ORDER BY position, place, leg;

-- name: active
SELECT jobs.* FROM jobs JOIN runs ON runs.id = jobs.run
WHERE runs.status <> 'completed' AND jobs.retired = 0
ORDER BY jobs.run, jobs.position, jobs.place, jobs.leg;

-- name: living
SELECT * FROM jobs WHERE assigned_at IS NOT NULL AND status <> 'completed' ORDER BY assigned_at;

-- name: uncleaned
SELECT * FROM jobs WHERE status = 'completed' AND cleaned_at IS NULL;

-- name: set_reason
UPDATE jobs SET reason = :reason WHERE id = :id AND status <> 'completed';

-- name: acquire
UPDATE jobs SET status = 'queued', reason = NULL, ready_at = :at WHERE id = :id AND status = 'pending' RETURNING id;

-- name: next_group
UPDATE jobs SET concurrency_group = :concurrency_group, cancel_in_progress = :cancel_in_progress,
    concurrency_queue = :concurrency_queue, reason = NULL
WHERE id = :id AND status = 'pending';

-- name: assign
UPDATE jobs SET assigned_at = :at, reason = NULL WHERE id = :id AND status = 'queued' AND assigned_at IS NULL
RETURNING id;

-- name: launch_failed
UPDATE jobs SET launches = launches + 1
WHERE id = :id AND status = 'queued' AND pid IS NULL AND assigned_at IS NOT NULL
RETURNING launches;

-- name: launched
UPDATE jobs SET pid = :pid, pid_started = :pid_started, launches = launches + 1
WHERE id = :id AND status <> 'completed' AND pid IS NULL
RETURNING id;

-- name: start
UPDATE jobs SET status = 'in_progress', started_at = coalesce(started_at, :at),
    pid = :pid, pid_started = :pid_started, reason = NULL
WHERE id = :id AND status = 'queued'
RETURNING id;

-- name: finish
UPDATE jobs SET status = 'completed', conclusion = :conclusion, reason = :reason, outputs = :outputs, finished_at = :at,
    cleaned_at = CASE WHEN assigned_at IS NULL THEN :at ELSE NULL END
WHERE id = :id AND status <> 'completed'
RETURNING id, name, started_at;

-- name: tolerate
UPDATE jobs SET tolerated = 1 WHERE id = :id;

-- name: request_cancel
UPDATE jobs SET cancel_requested = :at, reason = :reason
WHERE id = :id AND status <> 'completed' AND cancel_requested IS NULL
RETURNING id;

-- name: count_signal
UPDATE jobs SET signals = :signals WHERE id = :id;

-- name: read
UPDATE jobs SET events_read = :events_read WHERE id = :id;

-- name: cleaned
UPDATE jobs SET cleaned_at = :at WHERE id = :id;

-- name: start_step
INSERT INTO steps (job, step, name, line, status, started_at) VALUES (:job, :step, :name, :line, 'in_progress', :at)
ON CONFLICT (job, step) DO UPDATE SET name = excluded.name, line = excluded.line, started_at = excluded.started_at;

-- name: finish_step
UPDATE steps SET status = 'completed', outcome = :outcome, conclusion = :conclusion, seconds = :seconds, finished_at = :at
WHERE job = :job AND step = :step RETURNING name;

-- name: end_steps
UPDATE steps SET status = 'completed', outcome = :conclusion, conclusion = :conclusion, finished_at = :at
WHERE job = :job AND status <> 'completed';

-- name: add_summary
UPDATE steps SET summary = coalesce(summary, '') || :markdown WHERE job = :job AND step = :step;

-- name: step
SELECT * FROM steps WHERE job = :job AND step = :step;

-- name: steps
SELECT * FROM steps WHERE job = :job ORDER BY step;

-- name: steps_of_run
SELECT steps.* FROM steps JOIN jobs ON jobs.id = steps.job WHERE jobs.run = :run ORDER BY jobs.position, jobs.place, jobs.leg, steps.step;

-- name: unlaunch
UPDATE jobs SET pid = NULL, pid_started = NULL WHERE id = :id AND status = 'queued' RETURNING id;
