-- name: add
INSERT INTO occurrences (key, repository, event, action, ref, sha, path, actor, actor_kind, title, depth, payload,
    paths, created_at)
VALUES (:key, :repository, :event, :action, :ref, :sha, :path, :actor, :actor_kind, :title, :depth, :payload,
    :paths, :created_at)
ON CONFLICT (key) DO NOTHING
RETURNING id;

-- name: open
SELECT * FROM occurrences WHERE planned_at IS NULL ORDER BY id LIMIT :limit;

-- name: get
SELECT * FROM occurrences WHERE id = :id;

-- name: list
SELECT * FROM occurrences
WHERE (CAST(:repository AS TEXT) IS NULL OR repository = :repository)
    AND (CAST(:before AS INTEGER) IS NULL OR id < :before)
ORDER BY id DESC LIMIT :limit;

-- name: planned
UPDATE occurrences SET planned_at = :at, runs = :runs, reason = :reason WHERE id = :id AND planned_at IS NULL
RETURNING id;

-- name: expire
DELETE FROM occurrences WHERE planned_at < :before;

-- name: runs
SELECT * FROM runs WHERE occurrence = :id ORDER BY id;

-- name: tie
UPDATE runs SET occurrence = :occurrence, depth = :depth WHERE id = :run;

-- name: position
SELECT position FROM intake WHERE source = :source;

-- name: move
UPDATE intake SET position = :position WHERE source = :source AND position < :position;

-- name: news
SELECT id, at, kind, subject, actor, data FROM ledger
WHERE id > :after AND kind IN ('registry.pushed', 'run.planned', 'run.rerun', 'run.finished', 'job.assigned')
ORDER BY id LIMIT :limit;

-- name: tagged_before
SELECT id FROM ledger
WHERE subject = :subject AND kind = 'registry.pushed' AND id < :id AND data LIKE :digest
    AND data NOT LIKE '%"tag": null%'
LIMIT 1;
