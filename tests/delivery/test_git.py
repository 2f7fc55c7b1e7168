from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from windlass.delivery import (
    Deliveries,
    Record,
    UnknownApplicationError,
    UnknownDeliveryError,
    UnknownHoldError,
)
from windlass.delivery.news import follow

if TYPE_CHECKING:
    from delivery.conftest import World

OVERLAY = "web/overlays/production/kustomization.yaml"
STAGING = "web/overlays/staging/kustomization.yaml"
BASE = "web/base/deployment.yaml"
REPO = "acme/gitops-repo"


async def applied(world: World, revision: str) -> None:
    async def look() -> bool:
        return any(each.revision == revision and each.applied_at for each in await world.deliveries())

    await world.until(look, "it is applied")


async def staging(world: World) -> None:
    """Another Application on the same base."""
    await staging_beside(world, await world.file("argocd/applications/web.yaml"))


async def staging_beside(world: World, web: str) -> None:
    """Another Application on the same base, made after the text of the first."""
    app = web.replace("overlays/production", "overlays/staging")
    app = app.replace("name: web\n  annotations", "name: staging\n  annotations").replace(
        "namespace: web}", "namespace: staging}"
    )
    overlay = (await world.file()).replace("namespace: web", "namespace: staging")
    sha = await world.push({"argocd/applications/staging.yaml": app, STAGING: overlay}, "staging")

    async def both() -> bool:
        found = [each for each in await world.deliveries() if each.revision == sha and each.state == "live"]
        return len(found) == 2

    await world.until(both, "both Applications are live")


async def test_a_broken_application_file_is_told_and_keeps_no_other_from_being_used(world: World) -> None:
    await world.first()
    broken, web = "argocd/applications/broken.yaml", "argocd/applications/web.yaml"
    ask = Deliveries(world.store, world.kube, world.settings)
    text = await world.file(web)
    sha = await world.push({broken: "metadata: [\n", web: None})
    lines = [line async for line in ask.news(REPO, sha, patience=1.0)]
    assert lines[0].startswith(f"not used: {broken}:")
    assert await ask.refused() == {REPO: [lines[0].removeprefix("not used: ")]}
    assert [found.name for found in await ask.applications()] == [
        "web"
    ]  # the broken file might be its new home
    await staging_beside(world, text)
    assert {found.name for found in await ask.applications()} == {"web", "staging"}
    await world.push({broken: None})

    async def gone() -> bool:
        return [found.name for found in await ask.applications()] == ["staging"]

    await world.until(gone, "the Application without a file is gone")
    assert await ask.refused() == {}


async def test_who_pushed_hears_of_deliveries_that_begin_when_others_are_over(world: World) -> None:
    await world.first()
    await staging(world)
    found = await world.deliveries()
    order = [found[-2:-1], found[-1:]]

    async def one_after_the_other(_repo: str, _sha: str) -> list[Record]:
        return found[-2:] if not order else order.pop(0)

    async def expected() -> int:
        return 2

    async def why(delivery: Record) -> list[str]:
        return [f"because of {delivery.id}"]

    lines = [
        line
        async for line in follow(
            world.store, one_after_the_other, REPO, "", expected=expected, patience=1, limit=5, why=why
        )
    ]
    assert {line.partition(":")[0] for line in lines if line[0] != " "} == {"web", "staging"}
    assert len([line for line in lines if line.startswith("    because of")]) == 2


async def test_what_belongs_to_others_too_is_not_reverted_and_a_person_is_called(world: World) -> None:
    await world.first()
    await staging(world)
    bad = (await world.file(BASE)).replace(
        "image: ghcr.io", "env: [{name: MODE, value: sick}]\n        image: ghcr.io"
    )
    sha = await world.push({BASE: bad}, "break the base")

    async def both() -> bool:
        found = [each for each in await world.deliveries() if each.revision == sha and each.final]
        return len(found) == 2

    await world.until(both, "both are taken back", limit=30)
    for record in await world.deliveries():
        if record.revision == sha:
            assert record.state == "rolled_back"
            assert f"A person is needed: git revert {sha[:12]}" in record.reason
            assert record.revert_commit is None
    assert await world.git.resolve(REPO, "main") == sha
    await world.becomes("v1*", "v1*")
    report = await Deliveries(world.store, world.kube, world.settings).get((await world.deliveries())[-1].id)
    assert report.command == f"git revert {sha[:12]}"


async def test_several_commits_of_one_application_are_taken_back_by_one(world: World) -> None:
    await world.first()
    sha = await world.deploy("v2", "nothing")
    await applied(world, sha)
    other = await world.writer().commit_files(
        REPO,
        "main",
        {OVERLAY: (await world.file()).encode() + b"# a remark\n"},
        "a remark",
        world.settings.author,
    )
    record = await world.ends(other, "rolled_back")
    assert record.revert_commit is not None
    assert (await world.ends(sha)).state == "superseded"


async def with_traffic(world: World, revision: str) -> None:
    async def look() -> bool:
        return any(each.revision == revision and each.cut_over_at for each in await world.deliveries())

    await world.until(look, "it has traffic")


async def test_a_conflict_leaves_git_as_it_is_keeps_the_hold_and_calls_a_person(world: World) -> None:
    await world.first()
    sha = await world.deploy("v2", "slowly-faulty")
    await with_traffic(world, sha)
    remark = await world.deploy("v2", "slowly-faulty", extra="# somebody else's work\n")
    record = await world.ends(sha, "rolled_back")
    assert record.revert_commit is None
    assert f"A person is needed: git revert {sha[:12]}" in record.reason
    held = await world.ends(remark, "held")
    assert "is held since delivery 2" in held.reason
    assert await world.git.resolve(REPO, "main") == remark
    await world.becomes("v1*", "v1*")
    await world.status(sync="OutOfSync", health="Healthy")


async def test_another_commit_that_replaces_the_bad_one_is_not_reverted(world: World) -> None:
    await world.first()
    sha = await world.deploy("v2", "slowly-faulty")
    await with_traffic(world, sha)
    newer = await world.deploy("v3")
    await world.ends(newer, "live")
    old = await world.ends(sha, "rolled_back")
    assert old.revert_commit is None
    assert f"{newer[:12]} has another version already" in old.reason
    await world.becomes("v3*", "v3*")
    assert "newTag: v3" in await world.file()


def published(world: World, number: int, tag: str) -> None:
    """Record that a run of the source repository's main branch published an image."""
    digest = "sha256:" + hashlib.sha256(tag.encode()).hexdigest()
    values = {
        "id": number,
        "number": number,
        "repository": "acme/web",
        "path": "ci.yaml",
        "workflow": "ci",
        "event": "push",
        "ref": "refs/heads/main",
        "sha": f"{number:040d}",
        "actor": "anna",
        "title": "",
        "attempt": 1,
        "status": "completed",
        "cancel_in_progress": 0,
        "concurrency_queue": "",
        "created_at": 1.0,
    }
    image = {
        "run": number,
        "job": "b",
        "image": "ghcr.io/acme/web",
        "digest": digest,
        "tags": "[]",
        "at": 1.0,
    }

    def work(tx: Any) -> None:
        for table, row in (("runs", values), ("run_images", image)):
            names = ", ".join(row)
            marks = ", ".join(f":{name}" for name in row)
            tx._connection.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", row)

    world.store.transact_sync(work)


async def test_a_late_job_does_not_put_an_older_image_over_a_newer_one(world: World) -> None:
    await world.first()
    published(world, 1, "v2")
    published(world, 2, "v3")
    await world.ends(await world.deploy("v3", kind="job"), "live")
    before = await world.file()
    late = await world.deploy("v2", kind="job")
    record = await world.ends(late, "superseded")
    assert "of run 1" in record.reason
    assert "older than run 2" in record.reason
    assert record.superseded_by == f"{2:040d}"
    assert await world.file() == before
    await world.becomes("v3*", "v3*")
    await world.status(sync="Synced")

    meant = await world.deploy("v2", kind="user")
    await world.ends(meant, "live")
    await world.becomes("v2*", "v2*")


async def test_only_the_late_jobs_own_push_is_taken_back(world: World) -> None:
    await world.first()
    published(world, 1, "v2")
    published(world, 2, "v3")
    await world.ends(await world.deploy("v3", kind="job"), "live")
    config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: '7'}\n"
    world.tags.discard("v5")
    waiting = await world.push(
        {"web/base/config.yaml": config, OVERLAY: (await world.file()).replace("v3", "v5")}
    )
    late = await world.deploy("v2", kind="job")
    await world.ends(late, "superseded")
    assert (await world.ends(waiting)).state == "superseded"
    assert await world.file("web/base/config.yaml") == config
    assert "newTag: v5" in await world.file()
    world.tags.add("v5")

    async def live() -> bool:
        return (await world.deliveries())[-1].state == "live"

    await world.until(live, "the person's version is live")
    await world.becomes("v5*", "v5*")


async def test_a_revert_in_the_source_makes_a_newer_run_of_an_old_digest(world: World) -> None:
    await world.first()
    published(world, 1, "v2")
    published(world, 2, "v3")
    await world.ends(await world.deploy("v3", kind="job"), "live")
    published(world, 3, "v2")
    await world.ends(await world.deploy("v2", kind="job"), "live")


async def test_everything_about_a_delivery_can_be_asked(world: World) -> None:
    await world.first()
    published(world, 7, "v2")
    sha = await world.deploy("v2", "faulty", kind="job")
    ask = Deliveries(world.store, world.kube, world.settings)
    lines = [line async for line in ask.news(REPO, sha)]
    assert lines[0].startswith("web: delivery 2 of")
    assert any("cut over" in line for line in lines)
    ended = next(number for number, line in enumerate(lines) if "rolled back after" in line)
    report = await ask.get(2)
    assert report.last_words
    assert lines[ended + 1 :] == [
        f"    {line}" for line in (*report.last_words, f"windlass trace {sha[:12]}")
    ]
    quiet = [line async for line in ask.news(REPO, sha, evidence=False)]
    assert quiet[-1] == f"    windlass trace {sha[:12]}"
    assert "rolled back after" in quiet[-2]
    assert [each.id for each in await ask.of_commit("acme/web", f"{7:040d}")] == [2]
    assert [(run.id, run.image) for run in report.runs] == [(7, "ghcr.io/acme/web:v2")]
    assert report.durations["found bad → traffic back"] < 1
    assert {each.kind for each in report.evidence} >= {"log", "verification-live", "verification-candidate"}
    assert report.command == ""
    assert [hold.delivery for hold in await ask.holds()] == [2]
    await world.status(health="Healthy")
    view = await ask.application("web")
    assert (view.repo, view.health, len(view.holds)) == (REPO, "Healthy", 1)
    assert view.live is not None
    assert [found.name for found in await ask.applications()] == ["web"]
    assert len(await ask.release_hold("web", by="anna")) == 1
    with pytest.raises(UnknownHoldError, match="nothing of web is held; nothing is"):
        await ask.release_hold("web", by="anna")
    for call in (ask.sync("nope", by="anna"), ask.release_hold("nope", by="anna"), ask.application("nope")):
        with pytest.raises(UnknownApplicationError, match="there is no Application nope; there are: web"):
            await call
    with pytest.raises(UnknownDeliveryError):
        await ask.get(99)
    assert await ask.expects(REPO)
    assert not await ask.expects("acme/other")
    assert [line async for line in ask.news(REPO, "f" * 40, patience=0.05)] == []
