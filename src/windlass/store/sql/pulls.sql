-- name: next_number
SELECT coalesce(max(number), 0) + 1 AS number FROM pulls WHERE repository = :repository;

-- name: insert
INSERT INTO pulls (repository, number, title, body, draft, head, base, head_sha, base_sha, merge_sha, conflicts, state,
    author, author_kind, created_at, updated_at)
VALUES (:repository, :number, :title, :body, :draft, :head, :base, :head_sha, :base_sha, :merge_sha, :conflicts, 'open',
    :author, :author_kind, :at, :at);

-- name: get
SELECT * FROM pulls WHERE repository = :repository AND number = :number;

-- name: list
SELECT * FROM pulls
WHERE repository = :repository AND (:state = 'all' OR state = :state) AND (:before = 0 OR number < :before)
ORDER BY number DESC LIMIT :limit;

-- name: open
SELECT * FROM pulls WHERE state = 'open' AND (repository = :repository OR CAST(:repository AS TEXT) IS NULL)
ORDER BY repository, number;

-- name: open_of
SELECT number FROM pulls WHERE repository = :repository AND head = :head AND base = :base AND state = 'open';

-- name: move
UPDATE pulls SET base = :base, head_sha = :head_sha, base_sha = :base_sha, merge_sha = :merge_sha,
    conflicts = :conflicts, updated_at = :at
WHERE repository = :repository AND number = :number;

-- name: edit
UPDATE pulls SET title = :title, body = :body, draft = :draft, updated_at = :at
WHERE repository = :repository AND number = :number;

-- name: begin_merge
UPDATE pulls SET merging = :merging WHERE repository = :repository AND number = :number AND state = 'open';

-- name: close
UPDATE pulls SET state = 'closed', closed_at = :at, updated_at = :at, merging = NULL,
    merged_at = :merged_at, merged_by = :merged_by, merged_sha = :merged_sha
WHERE repository = :repository AND number = :number AND state = 'open'
RETURNING number;

-- name: reopen
UPDATE pulls SET state = 'open', closed_at = NULL, updated_at = :at
WHERE repository = :repository AND number = :number AND state = 'closed' AND merged_at IS NULL
RETURNING number;

-- name: add_merge
INSERT INTO pull_merges (repository, head_sha, merge_sha, number, at)
VALUES (:repository, :head_sha, :merge_sha, :number, :at)
ON CONFLICT (repository, merge_sha, head_sha) DO UPDATE SET at = excluded.at;

-- name: merges_of
SELECT merge_sha FROM pull_merges WHERE repository = :repository AND head_sha = :head_sha
ORDER BY at DESC LIMIT 20;

-- name: head_of
SELECT head_sha FROM pull_merges WHERE repository = :repository AND merge_sha = :merge_sha ORDER BY at DESC LIMIT 1;

-- name: approve
INSERT INTO pull_approvals (repository, number, sha, principal, at) VALUES (:repository, :number, :sha, :principal, :at)
ON CONFLICT (repository, number, sha, principal) DO NOTHING;

-- name: approvals
SELECT principal, at FROM pull_approvals WHERE repository = :repository AND number = :number AND sha = :sha
ORDER BY at, principal;

-- name: pusher
SELECT pusher, pusher_kind FROM pushes WHERE repo = :repository AND ref = :ref AND new_sha = :sha ORDER BY id DESC LIMIT 1;

-- name: protect
INSERT INTO repo_protections (repository, pattern, checks, all_checks, approvals, direct_pushes)
VALUES (:repository, :pattern, :checks, :all_checks, :approvals, :direct_pushes)
ON CONFLICT (repository, pattern) DO UPDATE SET checks = excluded.checks, all_checks = excluded.all_checks,
    approvals = excluded.approvals, direct_pushes = excluded.direct_pushes;

-- name: unprotect
DELETE FROM repo_protections WHERE repository = :repository AND pattern = :pattern RETURNING pattern;

-- name: protections
SELECT pattern, checks, all_checks, approvals, direct_pushes FROM repo_protections WHERE repository = :repository
ORDER BY pattern;

-- name: forget
DELETE FROM pulls WHERE repository = :repository;

-- name: forget_merges
DELETE FROM pull_merges WHERE repository = :repository;

-- name: forget_approvals
DELETE FROM pull_approvals WHERE repository = :repository;

-- name: forget_protections
DELETE FROM repo_protections WHERE repository = :repository;
