"""The workflows that are measured. They start with a push or by hand, as each says."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

STEPS, JOBS = 50, 200

ONE = """\
name: one
on: workflow_dispatch
jobs:
  one:
    runs-on: ubuntu-latest
    steps:
      - run: "true"
"""

MANY_STEPS = """\
name: steps
on: workflow_dispatch
jobs:
  steps:
    runs-on: ubuntu-latest
    steps:
"""

MANY_JOBS = """\
name: jobs
on: workflow_dispatch
jobs:
  one:
    runs-on: ubuntu-latest
    strategy:
      matrix:
        n: [{numbers}]
    steps:
      - run: "true"
"""

PUSHED = """\
name: pushed
on: push
jobs:
  one:
    runs-on: ubuntu-latest
    steps:
      - run: "true"
"""


def files() -> dict[str, str]:
    """Return the workflow files of the repository whose jobs are started by hand."""
    return {
        "one.yaml": ONE,
        "steps.yaml": MANY_STEPS + '      - run: "true"\n' * STEPS,
        "jobs.yaml": MANY_JOBS.format(numbers=", ".join(map(str, range(JOBS)))),
    }


def write(root: Path) -> None:
    """Write them into a working copy."""
    folder = root / ".github" / "workflows"
    folder.mkdir(parents=True)
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8")
