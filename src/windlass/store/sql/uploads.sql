-- name: insert
INSERT INTO uploads (id, job, kind, name, version, retention, size, created_at, expires_at)
VALUES (:id, :job, :kind, :name, :version, :retention, NULL, :created_at, :expires_at);

-- name: upload
SELECT * FROM uploads WHERE id = :id AND expires_at > :now;

-- name: latest
SELECT * FROM uploads
WHERE job = :job AND kind = :kind AND name = :name AND version = :version AND size IS NOT NULL
ORDER BY created_at DESC, id DESC LIMIT 1;

-- name: count
SELECT count(*) AS uploads, coalesce(sum(size), 0) AS size FROM uploads WHERE job = :job;

-- name: committed
UPDATE uploads SET size = :size WHERE id = :id RETURNING id;

-- name: delete
DELETE FROM uploads WHERE id = :id RETURNING id;

-- name: stale
SELECT uploads.id FROM uploads LEFT JOIN jobs ON jobs.id = uploads.job
WHERE uploads.expires_at < :now OR jobs.id IS NULL OR jobs.status = 'completed'
LIMIT 500;

-- name: of_job
SELECT * FROM uploads WHERE job = :job ORDER BY created_at, id;
