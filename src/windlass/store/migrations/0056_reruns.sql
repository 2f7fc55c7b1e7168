-- Who started the latest attempt where that is not who caused the run; whether steps tell more; what it repeats.
ALTER TABLE runs ADD COLUMN rerun_by TEXT;
ALTER TABLE runs ADD COLUMN debug INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN replay_of INTEGER;
