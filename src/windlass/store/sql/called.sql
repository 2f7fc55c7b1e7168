-- name: of_run
SELECT uses, repository, sha, path, source FROM run_called WHERE run = :run ORDER BY uses;

-- name: insert
INSERT INTO run_called (run, uses, repository, sha, path, source)
VALUES (:run, :uses, :repository, :sha, :path, :source);

-- name: pinned
UPDATE run_sources SET pinned_at = :at WHERE run = :run AND pinned_at IS NULL RETURNING run;

-- name: when
SELECT pinned_at FROM run_sources WHERE run = :run;
