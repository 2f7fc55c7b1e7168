CREATE TABLE repo_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    repository TEXT NOT NULL,
    name TEXT NOT NULL,
    action TEXT NOT NULL,
    ref TEXT NOT NULL,
    sha TEXT NOT NULL,
    actor TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    paths TEXT,
    source TEXT NOT NULL,
    created_at REAL NOT NULL,
    UNIQUE (repository, source)
);
