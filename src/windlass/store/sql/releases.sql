-- name: add
INSERT INTO releases (repository, tag, title, notes, draft, prerelease, target, sha, author, author_kind, created_at,
    published_at)
VALUES (:repository, :tag, :title, :notes, :draft, :prerelease, :target, :sha, :author, :author_kind, :created_at,
    :published_at)
ON CONFLICT (repository, tag) DO NOTHING
RETURNING id;

-- name: get
SELECT * FROM releases WHERE repository = :repository AND tag = :tag;

-- name: list
SELECT * FROM releases WHERE repository = :repository ORDER BY id DESC LIMIT :limit;

-- name: change
UPDATE releases SET title = :title, notes = :notes, draft = :draft, prerelease = :prerelease, sha = :sha,
    published_at = :published_at
WHERE repository = :repository AND tag = :tag RETURNING id;

-- name: delete
DELETE FROM releases WHERE repository = :repository AND tag = :tag RETURNING id;

-- name: forget
DELETE FROM releases WHERE repository = :repository;
