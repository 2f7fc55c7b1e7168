"""Small workflows, and what lint finds in them."""

from __future__ import annotations

from windlass.workflow.lint import lint


def workflow(on: str, *steps: str, job: str = "") -> str:
    """Return a workflow of one job. Each step is one line of flow YAML; `job` are more keys of the job."""
    lines = [f"on: {on}", "jobs:", "  a:", "    runs-on: ubuntu-latest"]
    lines += [f"    {line}" for line in job.splitlines()]
    lines += ["    steps:", *(f"      - {step}" for step in steps)]
    return "\n".join(lines) + "\n"


def codes(
    source: str, path: str = ".github/workflows/a.yml", files: dict[str, str] | None = None
) -> list[str]:
    """Return the codes of all findings but notes, in the order of the file."""
    load = None if files is None else files.get
    return [item.code for item in lint(source, path, load).diagnostics if item.severity != "info"]


def notes(source: str) -> list[str]:
    """Return the codes of notes."""
    return [
        item.code for item in lint(source, ".github/workflows/a.yml").diagnostics if item.severity == "info"
    ]


def severities(source: str) -> list[str]:
    """Return "code severity" of all findings."""
    found = lint(source, ".github/workflows/a.yml").diagnostics
    return [f"{item.code} {item.severity}" for item in found]
