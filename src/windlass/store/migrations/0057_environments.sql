-- Environments of repositories with their protection rules, and what people decided about jobs that wait for them.
CREATE TABLE environments (
    repository TEXT NOT NULL,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    approvers TEXT NOT NULL,
    wait REAL NOT NULL,
    branches TEXT NOT NULL,
    self_approval INTEGER NOT NULL,
    variables TEXT NOT NULL,
    updated_at REAL NOT NULL,
    PRIMARY KEY (repository, key)
);
CREATE TABLE approvals (
    job TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    run INTEGER NOT NULL,
    environment TEXT NOT NULL,
    approved INTEGER NOT NULL,
    by TEXT NOT NULL,
    comment TEXT NOT NULL,
    at REAL NOT NULL
);
CREATE INDEX approvals_run ON approvals (run);
