CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    application TEXT NOT NULL,
    uid TEXT NOT NULL,
    repo TEXT NOT NULL,
    branch TEXT NOT NULL,
    revision TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    source TEXT NOT NULL,
    initiated_by TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    previous INTEGER,
    superseded_by TEXT,
    pending TEXT NOT NULL,
    created_at REAL NOT NULL,
    committed_at REAL,
    applied_at REAL,
    ready_at REAL,
    verified_candidate_at REAL,
    cut_over_at REAL,
    verified_live_at REAL,
    finalised_at REAL,
    detected_at REAL,
    traffic_back_at REAL,
    evidence_at REAL,
    restored_at REAL,
    reverted_at REAL,
    revert_commit TEXT,
    ended_at REAL,
    UNIQUE (uid, revision, attempt)
);
CREATE INDEX deliveries_open ON deliveries (application, id) WHERE ended_at IS NULL;
CREATE INDEX deliveries_application ON deliveries (application, id);
CREATE INDEX deliveries_revision ON deliveries (repo, revision);

CREATE TABLE delivery_deployments (
    uid TEXT NOT NULL,
    revision TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    delivery INTEGER NOT NULL UNIQUE,
    images TEXT NOT NULL,
    templates TEXT NOT NULL,
    files TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (uid, revision, attempt)
);

CREATE TABLE delivery_images (
    delivery INTEGER NOT NULL,
    image TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (delivery, image, digest)
);
CREATE INDEX delivery_images_digest ON delivery_images (digest);

CREATE TABLE delivery_evidence (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    delivery INTEGER NOT NULL,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX delivery_evidence_delivery ON delivery_evidence (delivery, id);

CREATE TABLE delivery_holds (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    application TEXT NOT NULL,
    uid TEXT NOT NULL,
    workload TEXT NOT NULL,
    template TEXT NOT NULL,
    delivery INTEGER NOT NULL,
    reason TEXT NOT NULL,
    created_at REAL NOT NULL,
    released_at REAL,
    released_by TEXT
);
CREATE UNIQUE INDEX delivery_holds_active ON delivery_holds (uid, workload, template) WHERE released_at IS NULL;
