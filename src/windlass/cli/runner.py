"""`windlass runner`: executes one job; what the server starts for each."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("job_directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
def runner(job_directory: Path) -> None:
    """Execute the job whose specification stands in JOB_DIRECTORY/spec.json.

    The job's token and secrets come as one JSON object on standard input.
    """
    from windlass.runner.main import read_payload, read_spec, run_job

    spec = read_spec(job_directory)
    raise SystemExit(0 if run_job(job_directory, spec, read_payload(0)) == "success" else 1)
