-- Called workflows: what a run's jobs call is kept with the run; their jobs stand below the job that calls.
CREATE TABLE run_called (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    uses TEXT NOT NULL,
    repository TEXT NOT NULL,
    sha TEXT NOT NULL,
    path TEXT NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (run, uses)
);
ALTER TABLE run_sources ADD COLUMN pinned_at REAL;
ALTER TABLE jobs ADD COLUMN place TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN calls TEXT;
-- A re-run makes new rows for what it runs again; the rows whose place they take are retired.
ALTER TABLE jobs ADD COLUMN retired INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET retired = 1
WHERE attempt < (SELECT max(a.attempt) FROM jobs AS a WHERE a.run = jobs.run AND a.job = jobs.job);
