"""The demo, step by step: what a small team lives through with a service, in a few minutes."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from windlass.cli.demonstration import changes
from windlass.cli.demonstration.facts import Fault, Line, fault_of, line_of
from windlass.cli.demonstration.world import Checkout, DemoError, Pushed, await_settled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from windlass.cli.client import Client
    from windlass.cli.demonstration.stage import Stage
    from windlass.cli.demonstration.traffic import Seen, Traffic

SERVICE, GITOPS = "acme/agent-task-service", "acme/gitops-repo"
APPLICATION = "agent-task-service"
SLOW = 2.0
"""Seconds beyond which an answer counts as an outage."""


@dataclass
class Outcome:
    """What the demo measured."""

    lines: dict[str, Line] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)
    chain: dict[str, Any] = field(default_factory=dict)


class Story:
    """The steps. Each shows what it does on the stage, checks what it says, and raises DemoError if it is not so."""

    def __init__(self, client: Client, examples: Path, work: Path, stage: Stage) -> None:
        self.client = client
        self.stage = stage
        self.outcome = Outcome()
        self._examples = examples
        self._work = work
        self._version = "1.0.0"
        self.address = ""
        self.traffic: Traffic | None = None
        person = client.call(
            "POST", "/tokens", json={"name": "dana", "scopes": ["repo:write:acme/*", "api:read:*"]}
        )
        self.service = Checkout(work / "agent-task-service", SERVICE, client, person["token"])
        self.gitops = Checkout(work / "gitops-repo", GITOPS, client, person["token"])

    # -- the main job

    def prepare(self) -> None:
        """Create both repositories, the secret between them, and two working copies."""
        self.client.call("POST", "/repositories", json={"name": SERVICE})
        self.client.call(
            "POST", "/repositories", json={"name": GITOPS, "applications": "argocd/applications"}
        )
        robot = {"name": "gitops-writer", "scopes": [f"repo:write:{GITOPS}"], "ttl": 86400, "kind": "robot"}
        token = self.client.call("POST", "/tokens", json=robot)["token"]
        secret = {"scope": SERVICE, "name": "GITOPS_REPO_TOKEN", "value": token}
        self.client.call("PUT", "/secrets", json=secret)
        self.service.begin(self._examples / "agent-task-service")
        self.gitops.begin(self._examples / "gitops-repo")
        self._lock()
        self.gitops.commit("Begin")
        self.gitops.push(self.stage.said, "-o", "follow=no")

    def _lock(self) -> None:
        """Write the service's `uv.lock`: it holds addresses of this machine's package index, so none is shipped."""
        from windlass.cli.parts import locate

        uv = shutil.which("uv") or locate("uv")
        if uv is None:
            from uv import find_uv_bin

            uv = find_uv_bin()
        done = subprocess.run(
            [uv, "lock", "--quiet"], cwd=self.service.root, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise DemoError(f"uv lock: {done.stderr.strip()}")

    def first(self) -> None:
        """Push the first version."""
        self.service.commit("First version")
        pushed = self.service.push(self.stage.said)
        chain = self._expect(pushed.sha, "live")
        self.outcome.lines["first"] = line_of(chain, pushed.at)
        self.address = self._address()
        self.stage.good(f"live at {self.address} after {self.outcome.lines['first'].total:.1f} s")

    def good(self, name: str, message: str, *edits: changes.Edit) -> Pushed:
        """Push a good change (another version number, and `edits`), and see it live."""
        new = self._bump()
        begun = time.time()
        pushed = self._push([*new, *edits], message)
        chain = self._expect(pushed.sha, "live")
        self.outcome.lines[name] = line_of(chain, pushed.at)
        self.outcome.chain = chain
        self._users(name, begun)
        self.stage.good(f"version {self._version} is live after {self.outcome.lines[name].total:.1f} s")
        return pushed

    def _bump(self) -> list[changes.Edit]:
        major, minor, patch = self._version.split(".")
        new = f"{major}.{minor}.{int(patch) + 1}"
        edits = changes.version(self._version, new)
        self._version = new
        return edits

    # -- what goes wrong

    def stopped_at_the_gate(self) -> None:
        """Push a commit whose tests fail; nothing of it is built."""
        pushed = self._push(changes.FAILING_TEST, "Answer 422 (and forget the test)")
        chain = self._expect(pushed.sha, "failure")
        run = chain["runs"][0]
        ran = [job["job"] for job in run["jobs"] if job["started_at"]]
        if ran != ["test"] or run["images"] or chain["deliveries"]:
            raise DemoError(f"a commit whose tests fail went on: jobs {ran}, images {run['images']}")
        error = run["first_error"]
        self.stage.good(f"stopped at the gate, nothing built: {error['message'].splitlines()[0]}")
        for edit in changes.reversed_edits(changes.FAILING_TEST):
            edit.apply(self.service.root)

    def bad_at_run_time(self, name: str, message: str, edits: Sequence[changes.Edit], cure: str) -> None:
        """Push a commit that passes its tests and is bad in production; then the good one that follows."""
        pushed = self._push([*self._bump(), *edits], message)
        chain = self._expect(pushed.sha, "rolled_back")
        self._undone(name, chain, pushed.at)
        self.gitops.pull()
        self.good(f"after {name}", cure, *changes.reversed_edits(list(edits)))

    def bad_in_git_only(self, name: str) -> None:
        """Push a GitOps commit that breaks a good image; then the same again, which is held; then a good one."""
        self.gitops.pull()
        overlay = self.gitops.root / changes.OVERLAY
        before = overlay.read_text(encoding="utf-8")
        overlay.write_text(before + changes.BREAK_IN_OVERLAY, encoding="utf-8")
        self.gitops.commit("Set BREAK=1 in production")
        pushed = self.gitops.push(self.stage.said)
        chain = self._expect(pushed.sha, "rolled_back")
        self._undone(name, chain, pushed.at)
        self.gitops.pull()
        if overlay.read_text(encoding="utf-8") != before:
            raise DemoError("the revert commit did not restore the overlay")
        overlay.write_text(before + changes.BREAK_IN_OVERLAY, encoding="utf-8")
        self.gitops.commit("Set BREAK=1 in production, once more")
        again = self.gitops.push(self.stage.said)
        held = self._expect(again.sha, "held")
        self.stage.good(f"the same template again: {held['deliveries'][-1]['delivery']['reason']}")
        self.gitops.pull()
        if overlay.read_text(encoding="utf-8") != before:
            overlay.write_text(before, encoding="utf-8")
            self.gitops.commit("Take BREAK=1 out again")
            self._expect(self.gitops.push(self.stage.said).sha, "live")

    def _undone(self, name: str, chain: dict[str, Any], since: float) -> None:
        row = chain["deliveries"][-1]["delivery"]
        evidence = chain["deliveries"][-1]["evidence"]
        if not row["revert_commit"]:
            raise DemoError(f"{name}: no revert commit: {row['reason']}")
        if not any(item["kind"] == "log" and item["data"] for item in evidence):
            raise DemoError(f"{name}: the delivery does not hold the candidate's own log")
        fault = self.outcome.faults[name] = fault_of(chain)
        self._users(name, since)
        self.stage.good(f"{row['reason']}")
        self.stage.good(
            f"the old version alone serves after {fault.applied_to_old_alone or 0:.1f} s, "
            f"reverted in git after {fault.applied_to_reverted or 0:.1f} s"
        )

    # -- back and forth

    def reverted_by_hand(self, pushed: Pushed) -> None:
        """`git revert` a good change: the version before it is back."""
        before = self._serving()
        self.service.git("revert", "--no-edit", pushed.sha)
        begun = time.time()
        again = self.service.push(self.stage.said)
        self._expect(again.sha, "live")
        after = self._serving()
        if before == after:
            raise DemoError(f"git revert changed nothing: {after} still serves")
        self._version = after
        self._users("git revert", begun)
        self.stage.good(f"version {before} went, version {after} is back")

    def two_at_once(self) -> None:
        """Push twice in quick succession: the older never lands over the newer."""
        begun = time.time()
        for edit in self._bump():
            edit.apply(self.service.root)
        older = self.service.commit(f"Version {self._version}")
        self.service.push(self.stage.said, "-o", "follow=no")
        newer = self._push(self._bump(), f"Version {self._version}")
        self._expect(newer.sha, "live")
        first = self._expect(older, "superseded")
        if self._serving() != self._version:
            raise DemoError(f"{self._serving()} serves, and not the newer {self._version}")
        self._users("two at once", begun)
        reason = first["runs"][0]["run"]["reason"] or {}
        self.stage.good(f"{self._version} serves; the older one: {reason.get('text') or first['state']}")

    # -- what each step does

    def _push(self, edits: Sequence[changes.Edit], message: str) -> Pushed:
        for edit in edits:
            edit.apply(self.service.root)
        self.service.commit(message)
        return self.service.push(self.stage.said)

    def _expect(self, sha: str, state: str) -> dict[str, Any]:
        chain: dict[str, Any] = await_settled(self.client, sha)
        if chain["state"] != state:
            raise DemoError(
                "\n".join([f"commit {sha[:7]} is {chain['state']}, expected {state}", *_why(chain)])
            )
        return chain

    def _address(self) -> str:
        for row in self.client.call("GET", "/applications"):
            if row["name"] == APPLICATION and row["addresses"]:
                return str(row["addresses"][0])
        raise DemoError(f"the Application {APPLICATION} has no public address")

    def _serving(self) -> str:
        import httpx2

        answer = httpx2.get(f"{self.address}/health", trust_env=False)
        return str(answer.json()["version"])

    def _users(self, name: str, since: float) -> None:
        """Check what the load client saw since then: every answer 2xx, none slower than two seconds."""
        if self.traffic is None:
            return
        seen = self.outcome.seen[name] = self.traffic.seen(since)
        if seen.bad or seen.slowest > SLOW:
            bad = f"of {seen.answers} answers {seen.bad} were bad, the slowest took {seen.slowest:.2f} s: {seen.why}"
            raise DemoError(f"{name}: {bad}")
        figures = f"{seen.answers} answers at {seen.rate:.0f}/s, none bad, slowest {seen.slowest:.2f} s"
        self.stage.said(f"users meanwhile: {figures}")


def _why(chain: dict[str, Any]) -> list[str]:
    """Say what a commit's runs and deliveries stumbled over, and where all of it is to be seen."""
    errors = [found["first_error"] for found in chain["runs"] if found["first_error"]]
    said = [f"{error['job_name']}: {error['message']}" for error in errors]
    said += [found["delivery"]["reason"] for found in chain["deliveries"] if found["delivery"]["reason"]]
    return [f"  {line}" for line in (*said, chain["url"])]
