-- name: insert_token
INSERT INTO tokens (hash, kind, name, scopes, label, created_at, expires_at)
VALUES (:hash, :kind, :name, :scopes, :label, :created_at, :expires_at);

-- name: token
SELECT kind, name, scopes, expires_at FROM tokens
WHERE hash = :hash AND (expires_at IS NULL OR expires_at > :now);

-- name: tokens
SELECT substr(hash, 1, 12) AS id, kind, name, scopes, label, created_at, expires_at FROM tokens
WHERE expires_at IS NULL OR expires_at > :now ORDER BY created_at;

-- name: delete_tokens
DELETE FROM tokens WHERE name = :name RETURNING hash;

-- name: delete_token
DELETE FROM tokens WHERE hash = :hash RETURNING name;

-- name: delete_token_by_id
DELETE FROM tokens WHERE substr(hash, 1, 12) = :id RETURNING hash, name;

-- name: delete_expired
DELETE FROM tokens WHERE expires_at <= :now;

-- name: set_secret
INSERT INTO secrets (scope, name, sealed, updated_at) VALUES (:scope, :name, :sealed, :updated_at)
ON CONFLICT (scope, name) DO UPDATE SET sealed = excluded.sealed, updated_at = excluded.updated_at;

-- name: secrets
SELECT scope, name, sealed, updated_at FROM secrets WHERE scope = :scope ORDER BY name;

-- name: delete_secret
DELETE FROM secrets WHERE scope = :scope AND name = :name RETURNING name;
