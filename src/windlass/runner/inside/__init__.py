"""Programs that run in the job's sandbox on an action's behalf, by path, with nothing but the standard library."""
