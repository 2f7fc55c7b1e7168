"""What must be so when everything has come to rest, whatever was killed. Each check yields what is not."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2e import tiny

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.scene import Scene

ZERO = "0" * 40
LABEL = "windlass.dev/instance"
POD_UID = "windlass.dev/pod-uid"


def violations(scene: Scene) -> list[str]:
    """Return everything that is not as it must be, in words; empty when all is well and nothing moves."""
    checks = (pushes, runs, deliveries, cluster, containers, processes)
    return [f"{check.__name__}: {words}" for check in checks for words in check(scene)]


def _containers(scene: Scene) -> list[dict[str, Any]]:
    mine = f"label={LABEL}={scene.instance}"
    found: list[dict[str, Any]] = json.loads(
        _output("podman", "ps", "--all", "--format", "json", "--filter", mine) or "[]"
    )
    return found


def pushes(scene: Scene) -> Iterator[str]:
    """Every movement of every ref is recorded once, in order, by whom it was; nothing accepted is missing."""
    rows = scene.ledger.read("SELECT * FROM pushes ORDER BY id")
    for repo, sha in scene.accepted:
        if not any(row["repo"] == repo and row["new_sha"] == sha for row in rows):
            yield f"{repo}: {sha[:7]} was accepted and is not recorded"
    for name in (tiny.SERVICE, tiny.GITOPS):
        at: dict[str, str] = {}
        for row in (row for row in rows if row["repo"] == name):
            if row["old_sha"] != at.get(row["ref"], ZERO):
                yield f"{name}: push {row['id']} does not begin where the one before it ended"
            if row["pusher_kind"] == "unknown":
                yield f"{name}: nobody knows who made push {row['id']}"
            at[row["ref"]] = row["new_sha"]
        bare = scene.data / "repos" / f"{name}.git"
        refs = _output("git", "-C", str(bare), "for-each-ref", "--format=%(refname) %(objectname)")
        if at != dict(line.split() for line in refs.splitlines()):
            yield f"{name}: refs and record differ: {at} recorded, {refs!r} in git"
    told = [
        json.loads(r["data"])["id"] for r in scene.ledger.read("SELECT data FROM ledger WHERE kind='push'")
    ]
    if sorted(told) != [row["id"] for row in rows]:
        yield "the ledger does not tell each push once"
    for row in scene.ledger.read("SELECT id FROM pushes WHERE id NOT IN (SELECT push FROM push_plans)"):
        yield f"push {row['id']} was never planned"


def runs(scene: Scene) -> Iterator[str]:
    """Each push of the service has one run; each is over; what failed says why; no job's token lives on."""
    rows = scene.ledger.read(
        "SELECT p.id, count(r.id) AS runs FROM pushes p LEFT JOIN runs r ON r.push = p.id "
        "WHERE p.repo = ? GROUP BY p.id",
        tiny.SERVICE,
    )
    yield from (f"push {row['id']} has {row['runs']} runs" for row in rows if row["runs"] != 1)
    jobs = scene.ledger.read("SELECT * FROM jobs")
    for run in scene.ledger.read("SELECT * FROM runs"):
        if run["status"] != "completed":
            waits = [(job["id"], job["status"], job["reason"]) for job in jobs if job["run"] == run["id"]]
            yield f"run {run['id']} is {run['status']}: {run['reason']} {waits}"
        elif run["conclusion"] != "success" and not run["reason"]:
            mine = [
                job for job in jobs if job["run"] == run["id"] and job["conclusion"] not in ("success", None)
            ]
            if not any(job["reason"] or _failed_step(scene, job["id"]) for job in mine):
                yield f"run {run['id']} is a {run['conclusion']} without a reason"
    for job in jobs:
        if job["status"] == "completed" and not job["cleaned_at"]:
            yield f"nobody cleaned up after job {job['id']}"
    for row in scene.ledger.read("SELECT name FROM tokens WHERE kind = 'job'"):
        yield f"the token of {row['name']} outlived its job"


def _failed_step(scene: Scene, job: str) -> bool:
    return bool(scene.ledger.read("SELECT 1 FROM steps WHERE job = ? AND conclusion = 'failure'", job))


def deliveries(scene: Scene) -> Iterator[str]:
    """Each is over, with a reason, and the newest is of the branch's tip."""
    rows = scene.ledger.read("SELECT * FROM deliveries ORDER BY id")
    for row in rows:
        if row["ended_at"] is None or not row["reason"]:
            yield f"delivery {row['id']} of {row['revision'][:7]} is {row['state']}: {row['reason']!r}"
    attempts = Counter((row["uid"], row["revision"]) for row in rows)
    yield from (f"{key[1][:7]} was delivered {count} times" for key, count in attempts.items() if count > 1)
    tip = _output("git", "-C", str(scene.data / "repos" / f"{tiny.GITOPS}.git"), "rev-parse", "main")
    if not any(row["revision"] == tip and row["state"] == "live" for row in rows):
        yield f"the tip {tip[:7]} of the GitOps repository is not live"


def cluster(scene: Scene) -> Iterator[str]:
    """One ReplicaSet for each pod template; two ready pods of the newest; nothing else has pods."""
    base = "/apis/apps/v1/namespaces/tiny"
    deployment = scene.kubernetes(f"{base}/deployments/tiny")
    sets = scene.kubernetes(f"{base}/replicasets")["items"]
    for what, each in (("hash", _hash), ("template", _template)):
        for key, count in Counter(map(each, sets)).items():
            if count > 1:
                yield f"{count} ReplicaSets have the {what} {key[:200]}"
    status = {
        k: deployment["status"].get(k)
        for k in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    }
    if set(status.values()) != {2}:
        yield f"the Deployment is not done: {status}"
    if deployment["spec"].get("minReadySeconds"):
        yield "the Deployment still has the rollout's minReadySeconds"
    mine = [each for each in sets if each["spec"]["replicas"]]
    if [_template(each) for each in mine] != [_template(deployment)]:
        yield f"{[each['metadata']['name'] for each in mine]} have pods"
    yield from pods(scene, [each["metadata"]["uid"] for each in mine])


def pods(scene: Scene, owners: list[str]) -> Iterator[str]:
    """All pods are of the newest ReplicaSet, and ready."""
    for pod in scene.kubernetes("/api/v1/namespaces/tiny/pods")["items"]:
        name, conditions = pod["metadata"]["name"], pod["status"].get("conditions") or []
        if [owner["uid"] for owner in pod["metadata"].get("ownerReferences") or []] != owners:
            yield f"pod {name} is not of the newest ReplicaSet"
        if not any(each["type"] == "Ready" and each["status"] == "True" for each in conditions):
            yield f"pod {name} is not ready"
        if "deletionTimestamp" in pod["metadata"]:
            yield f"pod {name} is still being deleted"


def _hash(item: dict[str, Any]) -> str:
    return str(item["metadata"]["labels"]["pod-template-hash"])


def _template(item: dict[str, Any]) -> str:
    template = json.loads(json.dumps(item["spec"]["template"]))
    template["metadata"]["labels"].pop("pod-template-hash", None)
    return json.dumps(template, sort_keys=True)


def containers(scene: Scene) -> Iterator[str]:
    """Each pod has its one container, which runs; there is no other container, and one network."""
    pods = scene.kubernetes("/api/v1/pods")["items"]
    wanted = Counter(pod["metadata"]["uid"] for pod in pods)
    found = _containers(scene)
    there = Counter(each["Labels"][POD_UID] for each in found)
    for uid in wanted | there:
        if wanted[uid] != there[uid]:
            yield f"{there[uid]} containers for pod {uid}, not {wanted[uid]}"
    for each in found:
        if each["State"] != "running":
            yield f"container {each['Names'][0]} is {each['State']}"
    networks = _output("podman", "network", "ls", "--format", "{{.Name}}").split()
    ours = [name for name in networks if scene.instance in name]
    if ours != [f"windlass-{scene.instance}-tiny"]:
        yield f"networks {ours}"


def processes(scene: Scene) -> Iterator[str]:
    """Of all that the server ever started there are only the edge and what looks after the pods' containers."""
    table = dict(_processes())
    mark, edge = scene.server.mark.encode(), str(scene.data / "edge" / "haproxy.cfg")
    known = {each["Id"] for each in _containers(scene)}
    masters = 0
    for pid, (parent, command) in table.items():
        if pid == scene.server.pid or not _is_of(pid, mark):
            continue
        if _descends(pid, scene.server.pid, table):
            continue
        if edge in command:
            masters += edge not in table.get(parent, (0, ""))[1]
            continue
        if not command.split("\0")[0].endswith("conmon") or known.isdisjoint(command.split("\0")):
            yield f"process {pid} (of {parent}) is left behind: {command.replace(chr(0), ' ')[:300]}"
    if masters != 1:
        yield f"{masters} HAProxy masters"


def _processes() -> Iterator[tuple[int, tuple[int, str]]]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            command = (folder / "cmdline").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if stat[0] not in "ZX":
            yield int(folder.name), (int(stat[1]), command)


def _is_of(pid: int, mark: bytes) -> bool:
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _descends(pid: int, ancestor: int, table: dict[int, tuple[int, str]]) -> bool:
    while pid in table:
        pid = table[pid][0]
        if pid == ancestor:
            return True
    return False


def _output(*command: str) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()
