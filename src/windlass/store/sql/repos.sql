-- name: create
INSERT INTO repositories (name, folded, default_branch, applications, created)
VALUES (:name, :folded, :default_branch, :applications, :created);

-- name: get
SELECT name, default_branch, applications, created FROM repositories WHERE name = :name;

-- name: like
SELECT name FROM repositories WHERE folded = :folded;

-- name: list
SELECT name, default_branch, applications, created FROM repositories ORDER BY name;

-- name: delete
DELETE FROM repositories WHERE name = :name;

-- name: delete_pushes
DELETE FROM pushes WHERE repo = :name;

-- name: delete_refs
DELETE FROM repository_refs WHERE repo = :name;

-- name: refs
SELECT ref, sha FROM repository_refs WHERE repo = :repo;

-- name: ref
SELECT sha FROM repository_refs WHERE repo = :repo AND ref = :ref;

-- name: set_ref
INSERT INTO repository_refs (repo, ref, sha) VALUES (:repo, :ref, :sha)
ON CONFLICT (repo, ref) DO UPDATE SET sha = excluded.sha;

-- name: drop_ref
DELETE FROM repository_refs WHERE repo = :repo AND ref = :ref;

-- name: add_push
INSERT INTO pushes (repo, ref, old_sha, new_sha, pusher, pusher_kind, at, options, session)
VALUES (:repo, :ref, :old_sha, :new_sha, :pusher, :pusher_kind, :at, :options, :session)
ON CONFLICT (repo, ref, session) DO NOTHING
RETURNING id;

-- name: push
SELECT id, repo, ref, old_sha, new_sha, pusher, pusher_kind, at, options FROM pushes WHERE id = :id;

-- name: pushes
SELECT id, repo, ref, old_sha, new_sha, pusher, pusher_kind, at, options FROM pushes
WHERE id > :after AND (repo = :repo OR CAST(:repo AS TEXT) IS NULL) ORDER BY id LIMIT :limit;

-- name: pushes_of_session
SELECT id, repo, ref, old_sha, new_sha, pusher, pusher_kind, at, options FROM pushes
WHERE repo = :repo AND session = :session ORDER BY id;

-- name: sessions
SELECT session FROM pushes WHERE repo = :repo AND ref = :ref;

-- name: last_push
SELECT MAX(at) AS at FROM pushes WHERE repo = :repo;
