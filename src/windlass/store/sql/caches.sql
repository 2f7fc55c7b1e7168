-- name: insert
INSERT INTO caches (repository, scope, key, version, job, size, digest, created_at, used_at)
VALUES (:repository, :scope, :key, :version, :job, :size, :digest, :now, :now)
ON CONFLICT (repository, scope, key, version) DO NOTHING
RETURNING *;

-- name: entry
SELECT * FROM caches WHERE id = :id;

-- name: exact
SELECT * FROM caches WHERE repository = :repository AND scope = :scope AND key = :key AND version = :version;

-- name: found
SELECT * FROM caches
WHERE repository = :repository AND scope = :scope AND version = :version
    AND substr(key, 1, length(:prefix)) = :prefix
ORDER BY CASE WHEN key = :prefix THEN 0 ELSE 1 END, created_at DESC, id DESC LIMIT 1;

-- name: used
UPDATE caches SET used_at = :now WHERE id = :id;

-- name: total
SELECT coalesce(sum(size), 0) AS size FROM caches WHERE repository = :repository;

-- name: oldest
SELECT * FROM caches WHERE repository = :repository AND id <> :keep ORDER BY used_at, id LIMIT 1;

-- name: of_repository
SELECT * FROM caches WHERE repository = :repository ORDER BY used_at DESC LIMIT 1000;

-- name: delete
DELETE FROM caches WHERE id = :id RETURNING id, repository, key;
