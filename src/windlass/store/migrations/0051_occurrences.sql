CREATE TABLE occurrences (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    repository TEXT NOT NULL,
    event TEXT NOT NULL,
    action TEXT NOT NULL,
    ref TEXT NOT NULL,
    sha TEXT NOT NULL,
    path TEXT,
    actor TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    title TEXT NOT NULL,
    depth INTEGER NOT NULL,
    payload TEXT NOT NULL,
    paths TEXT,
    created_at REAL NOT NULL,
    planned_at REAL,
    runs INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT ''
);
CREATE INDEX occurrences_open ON occurrences (id) WHERE planned_at IS NULL;
CREATE INDEX occurrences_repository ON occurrences (repository, id);

CREATE TABLE intake (
    source TEXT PRIMARY KEY,
    position INTEGER NOT NULL
);
INSERT INTO intake (source, position) SELECT 'ledger', coalesce(max(id), 0) FROM ledger;
INSERT INTO intake (source, position) VALUES ('repo_events', 0);

CREATE TABLE listeners (
    repository TEXT PRIMARY KEY,
    ref TEXT NOT NULL,
    sha TEXT NOT NULL,
    events TEXT NOT NULL
);

CREATE TABLE schedules (
    repository TEXT NOT NULL,
    path TEXT NOT NULL,
    cron TEXT NOT NULL,
    timezone TEXT NOT NULL,
    workflow TEXT NOT NULL,
    since REAL NOT NULL,
    next_at REAL,
    fired_at REAL,
    late REAL NOT NULL DEFAULT 0,
    missed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (repository, path, cron, timezone)
);
CREATE INDEX schedules_next ON schedules (next_at) WHERE next_at IS NOT NULL;

ALTER TABLE runs ADD COLUMN occurrence INTEGER;
ALTER TABLE runs ADD COLUMN depth INTEGER NOT NULL DEFAULT 0;
CREATE INDEX runs_occurrence ON runs (occurrence) WHERE occurrence IS NOT NULL;
