-- name: get
SELECT * FROM repo_remotes WHERE repository = :repository;

-- name: list
SELECT * FROM repo_remotes ORDER BY repository;

-- name: keep
INSERT INTO repo_remotes (repository, url, forge, api, credential, poll, next_at)
VALUES (:repository, :url, :forge, :api, :credential, :poll, :next_at)
ON CONFLICT (repository) DO UPDATE SET url = excluded.url, forge = excluded.forge, api = excluded.api,
    credential = excluded.credential, poll = excluded.poll, next_at = excluded.next_at, failures = 0, error = '',
    etags = '{}';

-- name: set_secret
INSERT INTO repo_remotes (repository, url, forge, api, secret) VALUES (:repository, '', 'git', '', :secret)
ON CONFLICT (repository) DO UPDATE SET secret = excluded.secret;

-- name: set_poll
UPDATE repo_remotes SET poll = :poll, next_at = :next_at WHERE repository = :repository AND url <> '' RETURNING repository;

-- name: forget
DELETE FROM repo_remotes WHERE repository = :repository;

-- name: forget_deliveries
DELETE FROM hook_deliveries WHERE repository = :repository;

-- name: forget_told
DELETE FROM told_statuses WHERE repository = :repository;

-- name: want
UPDATE repo_remotes SET wanted_at = :at, next_at = :at WHERE repository = :repository AND url <> '';

-- name: looked
UPDATE repo_remotes SET looked_at = :at, changed_at = coalesce(:changed_at, changed_at), failures = 0, error = :error,
    etags = :etags, next_at = :at + poll,
    wanted_at = CASE WHEN wanted_at <= :begun THEN NULL ELSE wanted_at END
WHERE repository = :repository;

-- name: look_failed
UPDATE repo_remotes SET looked_at = :at, failures = failures + 1, error = :error, next_at = :next_at
WHERE repository = :repository;

-- name: due
SELECT * FROM repo_remotes WHERE url <> '' AND (poll IS NOT NULL OR wanted_at IS NOT NULL)
ORDER BY next_at, repository;

-- name: seen
SELECT delivery, digest FROM hook_deliveries
WHERE repository = :repository AND (delivery = :delivery OR digest = :digest) LIMIT 1;

-- name: add_delivery
INSERT INTO hook_deliveries (repository, delivery, digest, work, received_at, done_at)
VALUES (:repository, :delivery, :digest, :work, :at, :done_at)
ON CONFLICT (repository, delivery) DO NOTHING
RETURNING id;

-- name: open_deliveries
SELECT id, delivery, work, received_at, attempts FROM hook_deliveries
WHERE repository = :repository AND done_at IS NULL ORDER BY id LIMIT 500;

-- name: delivery_done
UPDATE hook_deliveries SET done_at = :at, error = :error, work = '' WHERE id = :id;

-- name: delivery_failed
UPDATE hook_deliveries SET attempts = attempts + 1, error = :error WHERE id = :id;

-- name: expire_deliveries
DELETE FROM hook_deliveries WHERE done_at IS NOT NULL AND received_at < :before;

-- name: deliveries
SELECT delivery, received_at, done_at, attempts, error FROM hook_deliveries WHERE repository = :repository
ORDER BY id DESC LIMIT 50;

-- name: told
SELECT * FROM told_statuses WHERE repository = :repository;

-- name: tell
INSERT INTO told_statuses (repository, sha, context, state, description, url, told_at, attempts, next_at, error)
VALUES (:repository, :sha, :context, :state, :description, :url, :told_at, :attempts, :next_at, :error)
ON CONFLICT (repository, sha, context) DO UPDATE SET state = excluded.state, description = excluded.description,
    url = excluded.url, told_at = excluded.told_at, attempts = excluded.attempts, next_at = excluded.next_at,
    error = excluded.error;

-- name: expire_told
DELETE FROM told_statuses WHERE next_at < :before;
