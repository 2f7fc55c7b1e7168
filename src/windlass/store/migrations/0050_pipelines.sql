CREATE TABLE push_plans (
    push INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    runs INTEGER NOT NULL,
    reason TEXT NOT NULL
);

CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    number INTEGER NOT NULL,
    repository TEXT NOT NULL,
    path TEXT NOT NULL,
    workflow TEXT NOT NULL,
    event TEXT NOT NULL,
    ref TEXT NOT NULL,
    sha TEXT NOT NULL,
    actor TEXT NOT NULL,
    title TEXT NOT NULL,
    push INTEGER,
    attempt INTEGER NOT NULL,
    status TEXT NOT NULL,
    conclusion TEXT,
    reason TEXT,
    concurrency_group TEXT,
    cancel_in_progress INTEGER NOT NULL,
    concurrency_queue TEXT NOT NULL,
    cancel_requested REAL,
    superseded_by INTEGER,
    created_at REAL NOT NULL,
    started_at REAL,
    finished_at REAL,
    UNIQUE (repository, path, number)
);
CREATE INDEX runs_active ON runs (id) WHERE status <> 'completed';
CREATE INDEX runs_commit ON runs (repository, sha);
CREATE INDEX runs_ref ON runs (repository, ref, path);
CREATE INDEX runs_push ON runs (push);

CREATE TABLE run_sources (
    run INTEGER PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    source TEXT NOT NULL,
    payload TEXT NOT NULL,
    inputs TEXT NOT NULL,
    vars TEXT NOT NULL
);

CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    key TEXT NOT NULL,
    job TEXT NOT NULL,
    leg INTEGER NOT NULL,
    legs INTEGER NOT NULL,
    expanded INTEGER NOT NULL,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    conclusion TEXT,
    tolerated INTEGER NOT NULL,
    reason TEXT,
    matrix TEXT,
    limits TEXT NOT NULL,
    environment TEXT,
    outputs TEXT NOT NULL,
    concurrency_group TEXT,
    cancel_in_progress INTEGER NOT NULL,
    concurrency_queue TEXT NOT NULL,
    pid INTEGER,
    pid_started INTEGER,
    launches INTEGER NOT NULL,
    events_read INTEGER NOT NULL,
    cancel_requested REAL,
    signals INTEGER NOT NULL,
    created_at REAL NOT NULL,
    ready_at REAL,
    assigned_at REAL,
    started_at REAL,
    finished_at REAL,
    cleaned_at REAL
);
CREATE INDEX jobs_run ON jobs (run, job, attempt);
CREATE INDEX jobs_living ON jobs (assigned_at) WHERE assigned_at IS NOT NULL AND status <> 'completed';
CREATE INDEX jobs_uncleaned ON jobs (id) WHERE cleaned_at IS NULL AND status = 'completed';

CREATE TABLE steps (
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    step INTEGER NOT NULL,
    name TEXT NOT NULL,
    line INTEGER,
    status TEXT NOT NULL,
    outcome TEXT,
    conclusion TEXT,
    seconds REAL,
    summary TEXT,
    started_at REAL NOT NULL,
    finished_at REAL,
    PRIMARY KEY (job, step)
);

CREATE TABLE annotations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    job TEXT,
    step INTEGER,
    level TEXT NOT NULL,
    message TEXT NOT NULL,
    file TEXT,
    line INTEGER,
    col INTEGER,
    title TEXT,
    at REAL NOT NULL
);
CREATE INDEX annotations_run ON annotations (run, id);

CREATE TABLE run_images (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    job TEXT NOT NULL,
    image TEXT NOT NULL,
    digest TEXT NOT NULL,
    tags TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (run, image, digest)
);
CREATE INDEX run_images_digest ON run_images (digest);

CREATE TABLE run_facts (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    job TEXT NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    at REAL NOT NULL
);
CREATE INDEX run_facts_run ON run_facts (run);

CREATE TABLE artifacts (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    job TEXT NOT NULL,
    size INTEGER NOT NULL,
    files INTEGER NOT NULL,
    digest TEXT NOT NULL,
    created_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    PRIMARY KEY (run, name)
);

CREATE TABLE caches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    repository TEXT NOT NULL,
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    version TEXT NOT NULL,
    job TEXT NOT NULL,
    size INTEGER NOT NULL,
    digest TEXT NOT NULL,
    created_at REAL NOT NULL,
    used_at REAL NOT NULL,
    UNIQUE (repository, scope, key, version)
);
CREATE INDEX caches_use ON caches (repository, used_at);
