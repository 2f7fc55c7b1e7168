-- Artifacts have numbers, as actions know them; an artifact that takes another's place has a new one.
CREATE TABLE artifact_ids (last INTEGER NOT NULL);
INSERT INTO artifact_ids (last) SELECT count(*) FROM artifacts;
ALTER TABLE artifacts ADD COLUMN id INTEGER;
UPDATE artifacts SET id = (
    SELECT count(*) FROM artifacts AS before
    WHERE before.run < artifacts.run OR (before.run = artifacts.run AND before.name <= artifacts.name)
);
CREATE UNIQUE INDEX artifacts_id ON artifacts (id);

-- What actions upload in blocks, until it is an artifact or a cache entry. `name` is the artifact's name or the
-- cache's key. `size` is set when the blocks are put together.
CREATE TABLE uploads (
    id TEXT PRIMARY KEY,
    job TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    retention REAL,
    size INTEGER,
    created_at REAL NOT NULL,
    expires_at REAL NOT NULL
);
CREATE INDEX uploads_job ON uploads (job);
