CREATE TABLE repo_remotes (
    repository TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    forge TEXT NOT NULL,
    api TEXT NOT NULL,
    credential TEXT,
    secret TEXT,
    poll REAL,
    wanted_at REAL,
    looked_at REAL,
    changed_at REAL,
    next_at REAL,
    failures INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    etags TEXT NOT NULL DEFAULT '{}'
);

CREATE TABLE hook_deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    repository TEXT NOT NULL,
    delivery TEXT NOT NULL,
    digest TEXT NOT NULL,
    work TEXT NOT NULL,
    received_at REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    done_at REAL,
    error TEXT NOT NULL DEFAULT '',
    UNIQUE (repository, delivery)
);
CREATE INDEX hook_deliveries_open ON hook_deliveries (repository, id) WHERE done_at IS NULL;
CREATE INDEX hook_deliveries_digest ON hook_deliveries (repository, digest);

CREATE TABLE told_statuses (
    repository TEXT NOT NULL,
    sha TEXT NOT NULL,
    context TEXT NOT NULL,
    state TEXT NOT NULL,
    description TEXT NOT NULL,
    url TEXT NOT NULL,
    told_at REAL,
    attempts INTEGER NOT NULL,
    next_at REAL NOT NULL,
    error TEXT NOT NULL,
    PRIMARY KEY (repository, sha, context)
);
