-- name: append
INSERT INTO ledger (at, kind, subject, actor, data) VALUES (:at, :kind, :subject, :actor, :data) RETURNING id;

-- name: since
SELECT id, at, kind, subject, actor, data FROM ledger WHERE id > :id ORDER BY id LIMIT :limit;

-- name: of_subject
SELECT id, at, kind, subject, actor, data FROM ledger WHERE subject = :subject ORDER BY id;

-- name: latest
SELECT id, at, kind, subject, actor, data FROM ledger ORDER BY id DESC LIMIT :limit;
