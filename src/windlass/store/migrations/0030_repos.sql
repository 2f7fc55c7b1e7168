CREATE TABLE repositories (
    name TEXT PRIMARY KEY,
    folded TEXT NOT NULL UNIQUE,
    default_branch TEXT NOT NULL,
    applications TEXT,
    created REAL NOT NULL
);
CREATE TABLE pushes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    repo TEXT NOT NULL,
    ref TEXT NOT NULL,
    old_sha TEXT NOT NULL,
    new_sha TEXT NOT NULL,
    pusher TEXT NOT NULL,
    pusher_kind TEXT NOT NULL,
    at REAL NOT NULL,
    options TEXT NOT NULL,
    session TEXT NOT NULL,
    UNIQUE (repo, ref, session)
);
CREATE INDEX pushes_repo ON pushes (repo, id);
CREATE TABLE repository_refs (
    repo TEXT NOT NULL,
    ref TEXT NOT NULL,
    sha TEXT NOT NULL,
    PRIMARY KEY (repo, ref)
);
