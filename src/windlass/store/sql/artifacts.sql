-- name: insert
INSERT INTO artifacts (run, name, job, size, files, digest, created_at, expires_at, id)
VALUES (:run, :name, :job, :size, :files, :digest, :created_at, :expires_at, (SELECT last FROM artifact_ids))
ON CONFLICT (run, name) DO UPDATE SET id = excluded.id, job = excluded.job, size = excluded.size, files = excluded.files,
    digest = excluded.digest, created_at = excluded.created_at, expires_at = excluded.expires_at
RETURNING *;

-- name: next_id
UPDATE artifact_ids SET last = last + 1 RETURNING last;

-- name: by_id
SELECT * FROM artifacts WHERE id = :id;

-- name: artifact
SELECT * FROM artifacts WHERE run = :run AND name = :name;

-- name: of_run
SELECT * FROM artifacts WHERE run = :run ORDER BY name;

-- name: total
SELECT coalesce(sum(size), 0) AS size FROM artifacts WHERE job = :job;

-- name: expired
SELECT * FROM artifacts WHERE expires_at < :now ORDER BY expires_at LIMIT 500;

-- name: delete
DELETE FROM artifacts WHERE run = :run AND name = :name RETURNING name;
