-- name: put
INSERT INTO environments (repository, key, name, approvers, wait, branches, self_approval, variables, updated_at)
VALUES (:repository, :key, :name, :approvers, :wait, :branches, :self_approval, :variables, :updated_at)
ON CONFLICT (repository, key) DO UPDATE SET name = excluded.name, approvers = excluded.approvers, wait = excluded.wait,
    branches = excluded.branches, self_approval = excluded.self_approval, variables = excluded.variables,
    updated_at = excluded.updated_at;

-- name: environment
SELECT * FROM environments WHERE repository = :repository AND key = :key;

-- name: of_repository
SELECT * FROM environments WHERE repository = :repository ORDER BY key;

-- name: delete
DELETE FROM environments WHERE repository = :repository AND key = :key RETURNING name;

-- name: approvals
SELECT * FROM approvals WHERE run = :run ORDER BY at;

-- name: approval
SELECT * FROM approvals WHERE job = :job;

-- name: decide
INSERT INTO approvals (job, run, environment, approved, by, comment, at)
SELECT jobs.id, jobs.run, :environment, :approved, :by, :comment, :at FROM jobs WHERE id = :job AND status = 'waiting'
ON CONFLICT (job) DO NOTHING
RETURNING job;
