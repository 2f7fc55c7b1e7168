"""`kill -9` of the server at any moment, and a restart: everything comes to an end, with a reason where it fails.

One server, one tiny service that users ask throughout, and for each moment a change pushed by a person: when the
moment comes, the server is killed and started again, and within a minute everything has come to rest.
"""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2
import pytest

from e2e import tiny
from e2e.invariants import violations
from e2e.ledger import Moment
from e2e.scene import REST

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from e2e.scene import Scene
    from windlass.cli.demonstration.world import Checkout

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
SEED = int(os.environ.get("WINDLASS_TEST_SEED") or random.randrange(1_000_000))
RANDOM = 6
LINE = 5.0
"""Seconds that one line takes: random moments lie in them."""


def step(name: str, nth: int = 1) -> Moment:
    return Moment("step.started", "run/", {"name": name}, nth=nth)


def delivery(state: str, segment: str = "") -> Moment:
    return Moment(f"delivery.{state}", segment=segment)


RUN = {
    "push recorded": Moment("push", f"repo/{tiny.SERVICE}"),
    "run planned": Moment("push.planned", f"repo/{tiny.SERVICE}"),
    "job assigned": Moment("job.assigned"),
    "job's token made": Moment("token.created", "principal/run/"),
    "job launched": Moment("job.launched"),
    "checkout": step("Run actions/checkout@v4"),
    "test": step("Test"),
    "test over": Moment("job.finished"),
    "login": step("Run docker/login-action@v3"),
    "build": step("Run docker/build-push-action@v6"),
    "image built": Moment("image.built"),
    "image in the registry": Moment("registry.pushed"),
    "image published": Moment("image.published"),
    "build over": Moment("job.finished", nth=2),
    "checkout of the GitOps repository": step("Run actions/checkout@v4", nth=3),
    "kustomize edit": step("Point at the new image"),
    "git push in a step": step("Commit and push"),
    "GitOps commit recorded": Moment("push", f"repo/{tiny.GITOPS}"),
}
GOOD = {
    "delivery waits": delivery("waiting"),
    "delivery begins to apply": delivery("applying"),
    "Deployment changed": Moment("kube.modified", "kube/deployments.apps/"),
    "ReplicaSet made": Moment("kube.added", "kube/replicasets.apps/"),
    "first pod made": Moment("kube.added", "kube/pods/"),
    "second pod made": Moment("kube.added", "kube/pods/", nth=2),
    "containers start": Moment("kube.added", "kube/pods/", nth=2, after=0.3),
    "delivery applied": delivery("progressing", "applied_at"),
    "new pods ready": delivery("verifying", "ready_at"),
    "verified without traffic": delivery("verifying", "verified_candidate_at"),
    "cut over": delivery("verifying", "cut_over_at"),
    "verified with traffic": delivery("verifying", "verified_live_at"),
    "old pods are being ended": Moment("kube.modified", "kube/pods/"),
    "live": delivery("live"),
}
NEVER_READY = {
    "bad pods start": delivery("progressing", "applied_at"),
    "found bad": delivery("rolling_back", "detected_at"),
    "traffic back": delivery("rolling_back", "traffic_back_at"),
    "evidence kept": delivery("rolling_back", "evidence_at"),
    "Deployment put back": Moment("kube.modified", "kube/deployments.apps/", nth=2),
    "restored": delivery("rolling_back", "restored_at"),
    "revert recorded": Moment("push", f"repo/{tiny.GITOPS}", {"pusher_kind": "robot"}),
    "reverted": delivery("rolling_back", "reverted_at"),
    "rolled back": delivery("rolled_back"),
}
BAD_WITH_TRAFFIC = {
    "bad and cut over": delivery("verifying", "cut_over_at"),
    "found bad with traffic": delivery("rolling_back", "detected_at"),
    "traffic back from bad": delivery("rolling_back", "traffic_back_at"),
    "old version restored": delivery("rolling_back", "restored_at"),
}
USERS_OWN = {"git push in a step", "GitOps commit recorded", "kustomize edit"}
"""A user's own `git push` that finds no server fails, and with it the run; a person pushes again."""


def cases(moments: dict[str, Moment]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "moment", moments.values(), ids=[name.replace(" ", "-") for name in moments]
    )


@pytest.fixture(autouse=True)
def users(scene: Scene) -> Iterator[None]:
    """Whatever happens in a test, users have an answer to each request, and a good one."""
    assert scene.traffic is not None
    begun = time.time()
    yield
    seen = scene.traffic.seen(begun)
    assert seen.answers > 0
    assert seen.bad == 0, (seen, scene.server.last_words())


def at_rest(scene: Scene, deadline: float) -> None:
    """Wait until nothing is left to complain about."""
    while found := violations(scene):
        if time.monotonic() > deadline:
            raise AssertionError("\n".join([*found, "--- the server's log", scene.server.last_words()]))
        time.sleep(0.1)


def strike(scene: Scene, moment: Moment, since: int) -> None:
    """Kill the server when the moment comes, and start it again."""
    assert scene.ledger.wait(since, moment, 30), f"{moment} never came\n{scene.server.last_words()}"
    scene.server.kill()
    scene.server.start()


def finish_push(scene: Scene, checkout: Checkout, push: subprocess.Popen[bytes]) -> None:
    """Let a person's push end; where the server's death broke it off, push again as a person would."""
    if push.wait(REST):
        scene.push(checkout)
    else:
        scene.accepted.add((checkout.name, checkout.git("rev-parse", "HEAD")))


class Ended(NamedTuple):
    """Where a commit came to, and what was said about it."""

    state: str
    why: str


def push_and_kill(scene: Scene, checkout: Checkout, sha: str, moment: Moment) -> Ended:
    """Push a commit, kill the server at the moment, and return how the commit ended."""
    since = scene.ledger.last()
    push = scene.begin_push(checkout)
    strike(scene, moment, since)
    deadline = time.monotonic() + REST
    finish_push(scene, checkout, push)
    chain = scene.settled(sha, deadline)
    at_rest(scene, deadline)
    return Ended(str(chain["state"]), why(chain))


def why(chain: dict[str, Any]) -> str:
    """Return the reasons that a chain shows, for the message of a test that fails."""
    told = [found["first_error"] for found in chain["runs"] if found["first_error"]]
    told += [job["reason"] for found in chain["runs"] for job in found["jobs"] if job["reason"]]
    told += [found["delivery"]["reason"] for found in chain["deliveries"]]
    return "\n".join(map(str, told))


def serving(scene: Scene) -> str:
    return httpx2.get(f"{scene.address}/health", trust_env=False).text


@cases(RUN)
def test_during_a_run(scene: Scene, moment: Moment) -> None:
    sha = scene.change()
    ended = push_and_kill(scene, scene.service, sha, moment)
    if ended.state == "failure" and any(RUN[name] is moment for name in USERS_OWN):
        ended = push_again(scene)
    assert ended.state == "live", ended.why
    assert serving(scene) == f"v{scene.version}"


def push_again(scene: Scene) -> Ended:
    """Push another version, as a person does whose run failed because the server was away."""
    deadline = time.monotonic() + REST
    sha = scene.change()
    scene.push(scene.service)
    chain = scene.settled(sha, deadline)
    at_rest(scene, deadline)
    return Ended(str(chain["state"]), why(chain))


@cases(GOOD)
def test_during_a_delivery(scene: Scene, moment: Moment) -> None:
    sha = scene.configure()
    ended = push_and_kill(scene, scene.gitops, sha, moment)
    assert ended.state == "live", ended.why
    assert serving(scene) == f"v{scene.version}"


@cases(NEVER_READY)
def test_while_a_version_that_never_gets_ready_is_taken_back(scene: Scene, moment: Moment) -> None:
    taken_back(scene, moment, BREAK="1")


@cases(BAD_WITH_TRAFFIC)
def test_while_a_version_that_fails_with_traffic_is_taken_back(scene: Scene, moment: Moment) -> None:
    taken_back(scene, moment, TASKS="1")


def taken_back(scene: Scene, moment: Moment, **variables: str) -> None:
    scene.gitops.pull()
    before = (scene.gitops.root / "tiny/deployment.yaml").read_text()
    sha = scene.configure(**variables)
    ended = push_and_kill(scene, scene.gitops, sha, moment)
    assert ended.state == "rolled_back", ended.why
    scene.gitops.pull()
    assert (scene.gitops.root / "tiny/deployment.yaml").read_text() == before
    assert httpx2.get(f"{scene.address}/tasks", trust_env=False).status_code == 200


@pytest.mark.parametrize("number", range(RANDOM))
def test_at_random_moments(scene: Scene, number: int) -> None:
    chance = random.Random(f"{SEED} {number}")
    moments = sorted(chance.uniform(0, LINE) for _ in range(2))
    print(f"WINDLASS_TEST_SEED={SEED}: killed after {moments} s")  # noqa: T201 pytest shows it where it fails
    sha = scene.change()
    begun = time.monotonic()
    push = scene.begin_push(scene.service)
    for moment in moments:
        time.sleep(max(0.0, begun + moment - time.monotonic()))
        scene.server.kill()
        scene.server.start()
    deadline = time.monotonic() + REST
    finish_push(scene, scene.service, push)
    state = scene.settled(sha, deadline)["state"]
    at_rest(scene, deadline)
    if state == "failure":
        assert scene.ledger.read(
            "SELECT 1 FROM steps WHERE name = 'Commit and push' AND conclusion = 'failure'"
        )
        state = push_again(scene).state
    assert state == "live", scene.server.last_words()
    assert serving(scene) == f"v{scene.version}"
