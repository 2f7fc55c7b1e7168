"""Actions whose programs come from package indexes; where those are out of reach there is nothing to try."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from runner.conftest import Forge, Ran

pytestmark = pytest.mark.integration
SCRIPT = """
core.warning(`hi ${context.repo.owner}`)
await exec.exec('cat', ['a.txt'])
console.log(require('./helper.js').x, await (await glob.create('*.txt')).glob())
core.setOutput('own', 'o')
core.exportVariable('FROM_SCRIPT', 'yes')
try { await github.rest.repos.get(context.repo) } catch (e) { console.log('status', e.status) }
return {a: [1, inputs]}
"""


def tried(ran: Ran) -> Ran:
    reason = ran.wait()["reason"]
    if "could not fetch" in reason or "Failed to fetch" in ran.everything:
        pytest.skip("the package index is out of reach")
    return ran


def registry() -> dict[str, str]:
    """Where this machine's npm looks, which may be said where jobs do not see it."""
    shown = subprocess.run(["npm", "config", "get", "registry"], capture_output=True, text=True, check=False)
    return {"npm_config_registry": shown.stdout.strip()} if shown.returncode == 0 else {}


@pytest.mark.skipif(not shutil.which("npm"), reason="no npm here")
def test_a_script_has_the_toolkit_and_speaks_for_the_job(host_forge: Forge) -> None:
    step: dict[str, Any] = {"uses": "actions/github-script@v7", "id": "s"}
    script = SCRIPT.replace("inputs", "2")
    ran = tried(
        host_forge.run(
            {"run": "echo text > a.txt; echo 'exports.x = 42' > helper.js"},
            {**step, "with": {"script": script}, "env": registry()},
            {"run": 'echo "${{ steps.s.outputs.result }} ${{ steps.s.outputs.own }} $FROM_SCRIPT"'},
            {**step, "id": "t", "with": {"script": "return 7", "result-encoding": "string"}},
            {"run": 'echo "${{ steps.t.outputs.result }}"'},
            {"uses": "actions/github-script@v7", "with": {"script": "throw new Error('boom')"}},
        )
    )
    said = ran.log(2)
    assert "text\n42 [" in said
    assert "a.txt" in said
    assert [event["message"] for event in ran.of("annotation", level="warning")] == ["hi acme"]
    assert ran.printed(3) == "{a:[1,2]} o yes\n"
    assert ran.printed(5) == "7\n"
    assert ran.conclusion == "failure"
    assert "Unhandled error: Error: boom" in ran.log(6)


def test_ruff_is_brought_and_its_findings_are_annotated(host_forge: Forge) -> None:
    ran = tried(
        host_forge.run(
            {"run": "echo 'import os' > bad.py; mkdir sub; touch sub/good.py"},
            {"uses": "astral-sh/ruff-action@v3", "with": {"src": "sub/**/*.py", "version": "0.8.4"}},
            {"uses": "astral-sh/ruff-action@v3", "with": {"version": "0.8.4"}},
        )
    )
    assert ran.step(2)["outcome"] == "success", ran.everything
    assert ran.step(2)["outputs"]["ruff-version"] == "0.8.4"
    assert ran.step(3)["outcome"] == "failure"
    found = ran.of("annotation", level="error", step=3)[0]
    assert (found["file"], found["line"]) == ("bad.py", 1)
    assert "F401" in ran.of("summary")[-1]["markdown"]
    assert os.sep not in found["file"]
