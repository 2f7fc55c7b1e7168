-- name: repositories
SELECT DISTINCT repository FROM registry_manifests WHERE repository > :last ORDER BY repository;

-- name: known
SELECT 1 AS known FROM registry_blobs WHERE repository = :repository
UNION SELECT 1 FROM registry_manifests WHERE repository = :repository LIMIT 1;

-- name: tags
SELECT tag, digest FROM registry_tags WHERE repository = :repository AND tag > :last ORDER BY tag LIMIT :limit;

-- name: tag
SELECT digest, at FROM registry_tags WHERE repository = :repository AND tag = :tag;

-- name: tags_of
SELECT tag FROM registry_tags WHERE repository = :repository AND digest = :digest ORDER BY tag;

-- name: set_tag
INSERT INTO registry_tags (repository, tag, digest, at) VALUES (:repository, :tag, :digest, :at)
ON CONFLICT (repository, tag) DO UPDATE SET digest = excluded.digest, at = excluded.at;

-- name: drop_tag
DELETE FROM registry_tags WHERE repository = :repository AND tag = :tag RETURNING digest;

-- name: drop_tags_of
DELETE FROM registry_tags WHERE repository = :repository AND digest = :digest;

-- name: manifest
SELECT digest, media_type, size FROM registry_manifests WHERE repository = :repository AND digest = :digest;

-- name: add_manifest
INSERT INTO registry_manifests (repository, digest, media_type, size, subject, artifact_type, annotations, at)
VALUES (:repository, :digest, :media_type, :size, :subject, :artifact_type, :annotations, :at)
ON CONFLICT (repository, digest) DO UPDATE SET media_type = excluded.media_type, at = excluded.at;

-- name: drop_manifest
DELETE FROM registry_manifests WHERE repository = :repository AND digest = :digest RETURNING digest;

-- name: referrers
SELECT digest, media_type, size, artifact_type, annotations FROM registry_manifests
WHERE repository = :repository AND subject = :subject ORDER BY at, digest;

-- name: blob
SELECT digest, size, at FROM registry_blobs WHERE repository = :repository AND digest = :digest;

-- name: add_blob
INSERT INTO registry_blobs (repository, digest, size, at) VALUES (:repository, :digest, :size, :at)
ON CONFLICT (repository, digest) DO UPDATE SET at = excluded.at;

-- name: drop_blob
DELETE FROM registry_blobs WHERE repository = :repository AND digest = :digest RETURNING digest;

-- name: need
INSERT INTO registry_needs (repository, manifest, digest) VALUES (:repository, :manifest, :digest)
ON CONFLICT (repository, manifest, digest) DO NOTHING;

-- name: drop_needs
DELETE FROM registry_needs WHERE repository = :repository AND manifest = :manifest;

-- name: needed
SELECT manifest FROM registry_needs WHERE repository = :repository AND digest = :digest LIMIT 1;

-- name: drop_unneeded
DELETE FROM registry_blobs WHERE at < :before AND NOT EXISTS (
    SELECT 1 FROM registry_needs AS n
    WHERE n.repository = registry_blobs.repository AND n.digest = registry_blobs.digest
) RETURNING digest;

-- name: digests
SELECT digest FROM registry_blobs UNION SELECT digest FROM registry_manifests;
