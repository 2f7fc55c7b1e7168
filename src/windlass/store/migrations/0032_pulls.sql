CREATE TABLE pulls (
    repository TEXT NOT NULL,
    number INTEGER NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    draft INTEGER NOT NULL,
    head TEXT NOT NULL,
    base TEXT NOT NULL,
    head_sha TEXT NOT NULL,
    base_sha TEXT NOT NULL,
    merge_sha TEXT NOT NULL,
    conflicts TEXT NOT NULL,
    state TEXT NOT NULL,
    author TEXT NOT NULL,
    author_kind TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    closed_at REAL,
    merged_at REAL,
    merged_by TEXT,
    merged_sha TEXT,
    merging TEXT,
    PRIMARY KEY (repository, number)
);
CREATE INDEX pulls_open ON pulls (repository, number) WHERE state = 'open';

CREATE TABLE pull_merges (
    repository TEXT NOT NULL,
    head_sha TEXT NOT NULL,
    merge_sha TEXT NOT NULL,
    number INTEGER NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (repository, merge_sha, head_sha)
);
CREATE INDEX pull_merges_head ON pull_merges (repository, head_sha);

CREATE TABLE pull_approvals (
    repository TEXT NOT NULL,
    number INTEGER NOT NULL,
    sha TEXT NOT NULL,
    principal TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (repository, number, sha, principal)
);

CREATE TABLE repo_protections (
    repository TEXT NOT NULL,
    pattern TEXT NOT NULL,
    checks TEXT NOT NULL,
    all_checks INTEGER NOT NULL,
    approvals INTEGER NOT NULL,
    direct_pushes INTEGER NOT NULL,
    PRIMARY KEY (repository, pattern)
);
