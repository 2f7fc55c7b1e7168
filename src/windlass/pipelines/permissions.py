"""From a workflow's `permissions:` to the scopes of the job's token. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LEVELS = {"read": "read", "write": "write"}


def scopes(permissions: Mapping[str, str], repository: str) -> tuple[str, ...]:
    """Return what the job's token may do.

    `contents` is its repository, `packages` the registry under its owner, `actions` the starting of its
    workflows, `id-token` an identity token. Other permissions of GitHub have nothing here that they could open.
    """
    owner = repository.partition("/")[0]
    granted = []
    if level := LEVELS.get(permissions.get("contents", "none")):
        granted.append(f"repo:{level}:{repository}")
    if level := LEVELS.get(permissions.get("packages", "none")):
        granted.append(f"registry:{level}:{owner}/*")
    if permissions.get("actions") == "write":
        granted.append(f"api:write:actions/{repository}")
    if permissions.get("id-token") == "write":
        granted.append(f"api:write:id-token/{repository}")
    return tuple(granted)


def read_only(permissions: Mapping[str, str]) -> dict[str, str]:
    """Return the permissions without what changes anything: those of a job that runs the code of a fork."""
    return {name: "read" if level == "write" else level for name, level in permissions.items()}


def principal(job: str) -> str:
    """Return the principal of a job: `run/12/test/1` for the job `12.test.1`."""
    run, _, rest = job.partition(".")
    key, _, attempt = rest.rpartition(".")
    return f"run/{run}/{key}/{attempt}"


def job_of(name: str) -> str | None:
    """Return the job behind a principal's name, or None where it is none of a job."""
    parts = name.split("/")
    return f"{parts[1]}.{parts[2]}.{parts[3]}" if len(parts) == 4 and parts[0] == "run" else None
