-- name: stale
SELECT r.name AS repository, 'refs/heads/' || r.default_branch AS ref, coalesce(f.sha, '') AS sha
FROM repositories AS r
LEFT JOIN repository_refs AS f ON f.repo = r.name AND f.ref = 'refs/heads/' || r.default_branch
LEFT JOIN listeners AS l ON l.repository = r.name
WHERE l.repository IS NULL OR l.sha <> coalesce(f.sha, '') OR l.ref <> 'refs/heads/' || r.default_branch
ORDER BY r.name;

-- name: gone
SELECT repository FROM listeners WHERE repository NOT IN (SELECT name FROM repositories);

-- name: forget
DELETE FROM listeners WHERE repository = :repository;

-- name: forget_schedules
DELETE FROM schedules WHERE repository = :repository;

-- name: listen
INSERT INTO listeners (repository, ref, sha, events) VALUES (:repository, :ref, :sha, :events)
ON CONFLICT (repository) DO UPDATE SET ref = excluded.ref, sha = excluded.sha, events = excluded.events;

-- name: listeners
SELECT repository, ref, sha, events FROM listeners WHERE repository = :repository;

-- name: of_repository
SELECT * FROM schedules WHERE repository = :repository;

-- name: add
INSERT INTO schedules (repository, path, cron, timezone, workflow, since, next_at)
VALUES (:repository, :path, :cron, :timezone, :workflow, :since, :next_at);

-- name: rename
UPDATE schedules SET workflow = :workflow
WHERE repository = :repository AND path = :path AND cron = :cron AND timezone = :timezone;

-- name: remove
DELETE FROM schedules
WHERE repository = :repository AND path = :path AND cron = :cron AND timezone = :timezone;

-- name: due
SELECT * FROM schedules WHERE next_at <= :now ORDER BY next_at;

-- name: first
SELECT min(next_at) AS next_at FROM schedules WHERE next_at IS NOT NULL;

-- name: fired
UPDATE schedules SET fired_at = :fired_at, next_at = :next_at, late = :late, missed = missed + :missed
WHERE repository = :repository AND path = :path AND cron = :cron AND timezone = :timezone AND next_at = :expected
RETURNING repository;

-- name: list
SELECT * FROM schedules WHERE (CAST(:repository AS TEXT) IS NULL OR repository = :repository)
ORDER BY next_at IS NULL, next_at, repository, path;

-- name: pusher
SELECT pusher, pusher_kind FROM pushes WHERE repo = :repository AND ref = :ref ORDER BY id DESC LIMIT 1;
