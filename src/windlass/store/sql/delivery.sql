-- name: insert
INSERT INTO deliveries (application, uid, repo, branch, revision, attempt, source, initiated_by, state, reason, previous,
    pending, created_at, committed_at)
VALUES (:application, :uid, :repo, :branch, :revision, :attempt, :source, :initiated_by, 'waiting', :reason, :previous,
    '[]', :created_at, :committed_at)
RETURNING *;

-- name: get
SELECT * FROM deliveries WHERE id = :id;

-- name: open
SELECT * FROM deliveries WHERE uid = :uid AND ended_at IS NULL ORDER BY id;

-- name: all_open
SELECT * FROM deliveries WHERE ended_at IS NULL ORDER BY id;

-- name: latest_of
SELECT * FROM deliveries WHERE uid = :uid AND revision = :revision ORDER BY attempt DESC LIMIT 1;

-- name: last_live
SELECT * FROM deliveries WHERE uid = :uid AND state = 'live' ORDER BY id DESC LIMIT 1;

-- name: lived
SELECT * FROM deliveries WHERE uid = :uid AND state = 'live' ORDER BY id DESC LIMIT 10;

-- name: latest
SELECT * FROM deliveries WHERE application = :application ORDER BY id DESC LIMIT 1;

-- name: latest_of_each
WITH RECURSIVE names (application) AS (
    SELECT MIN(application) FROM deliveries
    UNION ALL
    SELECT (SELECT MIN(d.application) FROM deliveries d WHERE d.application > names.application)
    FROM names WHERE names.application IS NOT NULL
)
SELECT deliveries.* FROM names
JOIN deliveries ON deliveries.id = (SELECT MAX(d.id) FROM deliveries d WHERE d.application = names.application);

-- name: last_live_of_each
WITH RECURSIVE names (application) AS (
    SELECT MIN(application) FROM deliveries
    UNION ALL
    SELECT (SELECT MIN(d.application) FROM deliveries d WHERE d.application > names.application)
    FROM names WHERE names.application IS NOT NULL
)
SELECT deliveries.* FROM names
JOIN deliveries ON deliveries.id =
    (SELECT MAX(d.id) FROM deliveries d WHERE d.application = names.application AND d.state = 'live');

-- name: list
SELECT * FROM deliveries WHERE (:application = '' OR application = :application) AND (:before = 0 OR id < :before)
ORDER BY id DESC LIMIT :limit;

-- name: of_revision
SELECT * FROM deliveries WHERE repo = :repo AND revision = :revision ORDER BY id;

-- name: of_source
SELECT DISTINCT d.* FROM deliveries d
JOIN delivery_images i ON i.delivery = d.id
JOIN run_images r ON r.digest = i.digest
JOIN runs u ON u.id = r.run
WHERE u.repository = :repo AND u.sha = :sha ORDER BY d.id;

-- name: of_digest
SELECT DISTINCT d.* FROM deliveries d JOIN delivery_images i ON i.delivery = d.id WHERE i.digest = :digest ORDER BY d.id;

-- name: runs_of
SELECT DISTINCT u.id, u.number, u.repository, u.workflow, u.sha, u.ref, i.image, i.digest FROM delivery_images i
JOIN run_images r ON r.digest = i.digest
JOIN runs u ON u.id = r.run
WHERE i.delivery = :delivery ORDER BY u.id;

-- name: publishers
SELECT u.id, u.repository, u.ref, u.sha FROM run_images r JOIN runs u ON u.id = r.run
WHERE r.digest = :digest ORDER BY u.id DESC;

-- name: push_of
SELECT pusher, pusher_kind, old_sha, at FROM pushes WHERE repo = :repo AND ref = :ref AND new_sha = :sha ORDER BY id DESC LIMIT 1;

-- name: adoption
SELECT kind, data FROM ledger WHERE subject = :subject AND kind IN ('applications.refused', 'applications.adopted')
ORDER BY id DESC LIMIT 1;

-- name: move
UPDATE deliveries SET state = :state, reason = :reason,
    applied_at = coalesce(applied_at, :applied_at),
    ready_at = coalesce(ready_at, :ready_at),
    verified_candidate_at = coalesce(verified_candidate_at, :verified_candidate_at),
    cut_over_at = coalesce(cut_over_at, :cut_over_at),
    verified_live_at = coalesce(verified_live_at, :verified_live_at),
    finalised_at = coalesce(finalised_at, :finalised_at),
    detected_at = coalesce(detected_at, :detected_at),
    traffic_back_at = coalesce(traffic_back_at, :traffic_back_at),
    evidence_at = coalesce(evidence_at, :evidence_at),
    restored_at = coalesce(restored_at, :restored_at),
    reverted_at = coalesce(reverted_at, :reverted_at),
    revert_commit = coalesce(revert_commit, :revert_commit),
    superseded_by = coalesce(superseded_by, :superseded_by),
    ended_at = coalesce(ended_at, :ended_at)
WHERE id = :id AND ended_at IS NULL
RETURNING *;

-- name: set_reason
UPDATE deliveries SET reason = :reason WHERE id = :id AND ended_at IS NULL AND reason <> :reason RETURNING id;

-- name: ask
UPDATE deliveries SET initiated_by = :by, reason = 'asked for' WHERE id = :id AND state = 'waiting' RETURNING *;

-- name: begin
UPDATE deliveries SET state = 'applying', reason = :reason, pending = :pending, previous = :previous
WHERE id = :id AND ended_at IS NULL RETURNING *;

-- name: insert_deployment
INSERT INTO delivery_deployments (uid, revision, attempt, delivery, images, templates, files, at)
VALUES (:uid, :revision, :attempt, :delivery, :images, :templates, :files, :at)
ON CONFLICT (uid, revision, attempt) DO NOTHING;

-- name: deployment
SELECT * FROM delivery_deployments WHERE delivery = :delivery;

-- name: insert_image
INSERT INTO delivery_images (delivery, image, digest) VALUES (:delivery, :image, :digest)
ON CONFLICT (delivery, image, digest) DO NOTHING;

-- name: images
SELECT image, digest FROM delivery_images WHERE delivery = :delivery ORDER BY image;

-- name: insert_evidence
INSERT INTO delivery_evidence (delivery, at, kind, subject, data) VALUES (:delivery, :at, :kind, :subject, :data);

-- name: evidence
SELECT at, kind, subject, data FROM delivery_evidence WHERE delivery = :delivery ORDER BY id;

-- name: forget_evidence
DELETE FROM delivery_evidence WHERE delivery = :delivery AND kind = :kind;

-- name: hold
INSERT INTO delivery_holds (application, uid, workload, template, delivery, reason, created_at)
VALUES (:application, :uid, :workload, :template, :delivery, :reason, :created_at)
ON CONFLICT (uid, workload, template) WHERE released_at IS NULL DO NOTHING;

-- name: holds_of
SELECT * FROM delivery_holds WHERE uid = :uid AND released_at IS NULL ORDER BY id;

-- name: holds
SELECT * FROM delivery_holds WHERE released_at IS NULL ORDER BY id;

-- name: release
UPDATE delivery_holds SET released_at = :at, released_by = :by
WHERE application = :application AND released_at IS NULL AND (:template = '' OR template = :template)
RETURNING *;

-- name: released_since
SELECT 1 AS found FROM delivery_holds WHERE uid = :uid AND released_at > :at LIMIT 1;
