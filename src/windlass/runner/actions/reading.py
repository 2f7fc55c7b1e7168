"""Files of the workspace that say which version of a tool is wanted, read in the job's sandbox."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from windlass.runner.errors import StepError

if TYPE_CHECKING:
    from windlass.runner.actions.base import ActionRun

LIMIT = 1 << 20
"""Bytes of a file that are looked at."""
_REQUIRES = re.compile(r'^\s*requires-python\s*=\s*["\']([^"\']+)["\']', re.MULTILINE)
_POETRY = re.compile(
    r'^\[tool\.poetry\.dependencies\][^\[]*?^\s*python\s*=\s*["\']([^"\']+)["\']', re.MULTILINE | re.DOTALL
)
_PIPFILE = re.compile(r'^\s*python_(?:full_)?version\s*=\s*["\']([^"\']+)["\']', re.MULTILINE)
_UV = re.compile(r'^\s*required-version\s*=\s*["\']([^"\']+)["\']', re.MULTILINE)
_PINNED_UV = re.compile(r"^uv\s*(==\s*[^\s;#]+)", re.MULTILINE)


def content(run: ActionRun, path: str) -> str | None:
    """Return the beginning of a file of the workspace as the job itself sees it; None where there is none."""
    run.host_path(path)
    code, text = run.hear(["head", "-c", str(LIMIT), "--", path], shown=False)
    return text if code == 0 else None


def named(run: ActionRun, field: str) -> str:
    """Return the text of the file that an input names, "" without one. Raises `StepError`."""
    name = run.text(field)
    if not name:
        return ""
    text = content(run, name)
    if text is None:
        raise StepError(f"input {field}: {name} is not there")
    return text


def python_version(name: str, text: str) -> str:
    """Return what a file says of Python: `.python-version`, `.tool-versions`, `Pipfile` or `pyproject.toml`."""
    base = name.rpartition("/")[2]
    if base.endswith(".toml"):
        found = _REQUIRES.search(text) or _POETRY.search(text)
        return found[1] if found else ""
    if base == "Pipfile":
        found = _PIPFILE.search(text)
        return found[1] if found else ""
    return _tool(text, "python") if base == ".tool-versions" else "\n".join(_lines(text))


def node_version(name: str, text: str) -> str:
    """Return what a file says of node: `.nvmrc`, `.node-version`, `.tool-versions` or `package.json`."""
    base = name.rpartition("/")[2]
    if base == ".tool-versions":
        return _tool(text, "nodejs") or _tool(text, "node")
    if not base.endswith(".json"):
        return next(iter(_lines(text)), "")
    try:
        data = json.loads(text)
    except ValueError as error:
        raise StepError(f"{name} is not JSON: {error}") from None
    runtime = (data.get("devEngines") or {}).get("runtime") or {}
    for one in runtime if isinstance(runtime, list) else [runtime]:
        if one.get("name") == "node" and one.get("version"):
            return str(one["version"])
    return str((data.get("volta") or {}).get("node") or (data.get("engines") or {}).get("node") or "")


def uv_version(name: str, text: str) -> str:
    """Return what a file says of uv: `uv.toml`, `pyproject.toml`, `requirements.txt` or `.tool-versions`."""
    base = name.rpartition("/")[2]
    if base == ".tool-versions":
        return _tool(text, "uv")
    found = (_PINNED_UV if base.endswith((".txt", ".in")) else _UV).search(text)
    return found[1].replace(" ", "") if found else ""


def tool_version(name: str, text: str, tool: str) -> str:
    """Return what a `.tool-versions` file says of a tool. Raises `StepError` where it says nothing."""
    found = _tool(text, tool)
    if not found:
        raise StepError(f"{name} says nothing of {tool}: a line `{tool} VERSION` is expected")
    return found


def _tool(text: str, tool: str) -> str:
    for line in _lines(text):
        name, _, version = line.partition(" ")
        if name == tool:
            return version.split()[0] if version.split() else ""
    return ""


def _lines(text: str) -> list[str]:
    stripped = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in stripped if line]
