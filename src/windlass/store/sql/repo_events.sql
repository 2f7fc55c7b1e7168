-- name: add
INSERT INTO repo_events (repository, name, action, ref, sha, actor, actor_kind, payload, paths, source, created_at)
VALUES (:repository, :name, :action, :ref, :sha, :actor, :actor_kind, :payload, :paths, :source, :created_at)
ON CONFLICT (repository, source) DO NOTHING
RETURNING id;

-- name: get
SELECT id, repository, name, action, ref, sha, actor, actor_kind, payload, paths, created_at FROM repo_events
WHERE id = :id;

-- name: after
SELECT id, repository, name, action, ref, sha, actor, actor_kind, payload, paths, created_at FROM repo_events
WHERE id > :after AND (repository = :repository OR CAST(:repository AS TEXT) IS NULL) ORDER BY id LIMIT :limit;

-- name: delete
DELETE FROM repo_events WHERE repository = :repository;
