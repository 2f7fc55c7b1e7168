from __future__ import annotations

import pytest

from windlass.workflow import jobs
from windlass.workflow.jobs import JobError, JobSecrets, JobSpec


def spec() -> JobSpec:
    return JobSpec(
        id="12.test.1",
        run=12,
        attempt=1,
        key="test",
        name="test",
        repository="acme/shop",
        definition={"steps": [{"run": "echo ${{ github.sha }} ü"}]},
        env=[{"A": "1"}],
        contexts={"github": {"sha": "0" * 40}},
        server_url="http://127.0.0.1:8700",
        mirrors={"ghcr.io": "127.0.0.1:8700"},
        directory="/d",
        tools="/t",
        socket="/s",
        isolation="host",
        engine="fake",
        workflow_file=".github/workflows/ci.yaml",
        ref="refs/heads/main",
        sha="0" * 40,
    )


def test_a_specification_survives_its_json() -> None:
    assert JobSpec.from_json(spec().to_json()) == spec()


def test_a_specification_names_what_is_missing_and_what_is_unknown() -> None:
    with pytest.raises(JobError, match="lacks attempt"):
        JobSpec.from_json('{"id": "x"}')
    with pytest.raises(JobError, match="unknown fields: colour"):
        JobSpec.from_json(spec().to_json()[:-1] + ', "colour": 1}')
    with pytest.raises(JobError, match="not JSON"):
        JobSpec.from_json("{")


def test_secrets_do_not_show() -> None:
    made = JobSecrets("wl_very-secret", {"KEY": "hunter2"})
    assert JobSecrets.from_json(made.to_json()) == made
    assert "hunter2" not in repr(made)
    assert "wl_" not in repr(made)
    with pytest.raises(JobError) as caught:
        JobSecrets.from_json('{"token": "wl_very-secret"}')
    assert "wl_" not in str(caught.value)


def test_an_event_has_exactly_the_fields_of_its_kind() -> None:
    made = jobs.event("job.started", at=1.5, pid=7, started=1.0)
    assert jobs.decode(jobs.encode(made)) == made
    with pytest.raises(JobError, match="started"):
        jobs.event("job.started", pid=7)
    with pytest.raises(JobError, match="unknown kind"):
        jobs.event("job.exploded")


def test_a_line_that_is_still_being_written_is_left() -> None:
    first = jobs.encode(jobs.event("coverage", at=1.0, percent=80.0))
    second = jobs.encode(jobs.event("coverage", at=2.0, percent=81.0))
    events, used = jobs.read_events(first + second[:-3])
    assert [item["percent"] for item in events] == [80.0]
    assert used == len(first)
