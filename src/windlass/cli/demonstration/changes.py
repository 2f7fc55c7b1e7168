"""The commits that the demo makes: good ones, and each kind of bad one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

APP = "src/agent_task_service/app.py"
PACKAGE = "src/agent_task_service/__init__.py"
TESTS = "tests/test_app.py"
OVERLAY = "agent-task-service/overlays/production/kustomization.yaml"


@dataclass(frozen=True, slots=True)
class Edit:
    """In `file`, `old` becomes `new`; it must stand there exactly once."""

    file: str
    old: str
    new: str

    def apply(self, root: Path) -> None:
        """Write the edited file.

        Raises ValueError when the place is not there, so that the demo never shows a change that is none.
        """
        path = root / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file}: expected exactly once: {self.old!r}")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


def version(old: str, new: str) -> list[Edit]:
    """Make a good change: another version number."""
    return [Edit(PACKAGE, f'VERSION = "{old}"', f'VERSION = "{new}"')]


FAILING_TEST = [
    Edit(APP, 'return JSONResponse({"reason": reason}, 400)', 'return JSONResponse({"reason": reason}, 422)')
]

NEEDS_A_VARIABLE = [
    Edit(
        APP,
        '    if os.environ.get("BREAK") == "1":',
        '    if "MODEL_REGION" not in os.environ:\n'
        '        return "MODEL_REGION is not set"\n'
        '    if os.environ.get("BREAK") == "1":',
    ),
    Edit(
        TESTS,
        "@pytest.fixture\ndef client():\n",
        '@pytest.fixture\ndef client(monkeypatch):\n    monkeypatch.setenv("MODEL_REGION", "test")\n',
    ),
]

TASKS_FAIL = [
    Edit(
        APP,
        "    return [asdict(task) for task in request.app.state.store.all()]",
        '    owner = os.environ["TASKS_OWNER"]\n'
        '    return [asdict(task) | {"owner": owner} for task in request.app.state.store.all()]',
    ),
    Edit(
        TESTS,
        "@pytest.fixture\ndef client():\n",
        '@pytest.fixture\ndef client(monkeypatch):\n    monkeypatch.setenv("TASKS_OWNER", "test")\n',
    ),
    Edit(
        TESTS,
        '{"id": 1, "title": "Write the report", "priority": "high"}',
        '{"id": 1, "title": "Write the report", "priority": "high", "owner": "test"}',
    ),
]

BREAK_IN_OVERLAY = """patches:
  - target:
      kind: Deployment
      name: agent-task-service
    patch: |-
      - op: add
        path: /spec/template/spec/containers/0/env
        value:
          - name: BREAK
            value: "1"
"""


def reversed_edits(edits: list[Edit]) -> list[Edit]:
    """Take the edits back."""
    return [Edit(edit.file, edit.new, edit.old) for edit in reversed(edits)]
