-- What a run has to resolve to: commits of actions and digests of images of the run that it repeats, and the lock file.
CREATE TABLE run_pins (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, kind, name)
);
