from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import anyio

from windlass.delivery import Deliveries
from windlass.delivery.records import ASK

if TYPE_CHECKING:
    from delivery.conftest import World

OVERLAY = "web/overlays/production/kustomization.yaml"


async def test_a_first_good_version_goes_live(world: World) -> None:
    await world.first()
    await world.becomes("v1*", "v1*")
    await world.status(sync="Synced", health="Healthy")

    async def over() -> bool:
        return bool((await world.app())["status"]["operationState"]["phase"] != "Running")

    await world.until(over, "the operation is over")
    status = (await world.app())["status"]
    state = status["operationState"]
    assert (state["phase"], state["message"]) == ("Succeeded", "successfully synced (all tasks run)")
    assert len(state["syncResult"]["resources"]) == 3
    assert status["summary"]["images"][0].startswith("ghcr.io/acme/web:v1@sha256:")
    assert status["sourceType"] == "Kustomize"
    assert [entry["kind"] for entry in status["resources"]] == ["Deployment", "Service", "ConfigMap"]
    record = (await world.deliveries())[0]
    assert status["history"][0]["revision"] == status["sync"]["revision"] == record.revision
    order = [
        "committed_at",
        "applied_at",
        "ready_at",
        "verified_candidate_at",
        "cut_over_at",
        "verified_live_at",
        "finalised_at",
    ]
    assert list(record.segments) == order
    assert sorted(record.segments.values()) == list(record.segments.values())
    live = await world.objects.get("deployments.apps", "web", "web")
    assert (live["spec"]["minReadySeconds"], live["spec"]["progressDeadlineSeconds"]) == (0, 3)


async def test_an_update_never_leaves_users_without_an_answer(world: World) -> None:
    await world.first()
    async with world.load():
        sha = await world.deploy("v2")
        await world.ends(sha, "live")
        await world.becomes("v2*", "v2*")
    assert len({pod for _, pod, _ in world.edge.served}) >= 4


async def test_from_push_to_applied_takes_less_than_half_a_second(world: World) -> None:
    await world.first()
    sha = await world.deploy("v2")
    record = await world.ends(sha, "live")
    assert record.applied_at is not None
    assert record.committed_at is not None
    assert record.applied_at - record.committed_at < 0.5


async def bad(world: World, mode: str, **more: Any) -> Any:
    """Deploy a bad version under load; it must be taken back without a trace, in the cluster and in git."""
    await world.first()
    before = await world.file()
    async with world.load():
        sha = await world.deploy("v2", mode, **more)
        record = await world.ends(sha, "rolled_back")
        await world.becomes("v1*", "v1*")
    assert await world.file() == before
    tip = await world.git.resolve("acme/gitops-repo", "main")
    assert tip == record.revert_commit
    after = await world.ends(tip or "", "live")
    assert after.pending == ()
    holds = await world.book.holds(record.uid)
    assert [(hold.workload, hold.delivery) for hold in holds] == [("Deployment/web/web", record.id)]
    await world.status(sync="Synced", health="Healthy")
    return record


async def test_a_version_that_is_never_ready_gets_no_traffic(world: World) -> None:
    record = await bad(world, "sick")
    assert "readiness /health has answered 500" in record.reason
    assert "BREAK is set" in record.reason
    assert record.cut_over_at is None
    assert world.edge.modes == {""}
    evidence = {each.kind: each for each in await world.book.evidence(record.id)}
    assert evidence["log"].data[0].endswith("says: it does not work")
    assert evidence["answers"].data[-1]["status"] == 500


async def test_a_version_that_hangs_is_judged_by_the_manifests_deadline(world: World) -> None:
    record = await bad(world, "nothing")
    assert "0 of 2 new pods are ready" in record.reason
    assert "progressDeadlineSeconds" in record.reason


async def test_a_version_that_crashes_is_judged_early(world: World) -> None:
    record = await bad(world, "crash")
    assert "crashes again and again" in record.reason
    assert record.detected_at - record.applied_at < 2


async def test_an_image_that_cannot_be_pulled_is_judged_early(world: World) -> None:
    record = await bad(world, "unpullable")
    assert "cannot be pulled" in record.reason


async def test_a_version_that_fails_with_traffic_gives_it_back_at_once(world: World) -> None:
    record = await bad(world, "faulty")
    assert "/tasks answered 500, not 200" in record.reason
    assert record.cut_over_at is not None
    assert world.edge.modes == {"", "faulty"}
    assert record.traffic_back_at - record.detected_at < 1
    evidence = [each for each in await world.book.evidence(record.id) if each.kind == "verification-live"]
    assert any(row["status"] == 500 for row in evidence[0].data)


async def test_the_same_digest_with_bad_settings_is_held_and_the_digest_is_not(world: World) -> None:
    await world.first()
    sha = await world.deploy("v1", "sick")
    await world.ends(sha, "rolled_back")
    again = await world.deploy("v1", "sick", extra="# once more\n")
    held = await world.ends(again, "held")
    assert "is held since delivery 2" in held.reason
    status = await world.status(sync="OutOfSync")
    assert any("is held since delivery 2" in each["message"] for each in status["conditions"])
    await world.becomes("v1*", "v1*")
    good = await world.deploy("v3")
    await world.ends(good, "live")
    await world.becomes("v3*", "v3*")


async def test_a_hold_that_is_released_lets_the_same_commit_try_again(world: World) -> None:
    await world.first()
    await world.ends(await world.deploy("v2", "sick"), "rolled_back")
    held = await world.deploy("v2", "sick", extra="# once more\n")
    await world.ends(held, "held")
    await world.book.release("argocd/web", "", "anna")

    async def tried() -> Any:
        found = [each for each in await world.deliveries() if each.revision == held and each.attempt == 2]
        return found and found[0].final and found[0]

    assert (await world.until(tried, "a second attempt")).state == "rolled_back"


async def test_a_first_version_that_is_bad_gets_no_traffic_and_nothing_is_reverted(world: World) -> None:
    sha = await world.begin("sick")
    record = await world.ends(sha, "failed")
    assert record.revert_commit is None
    assert await world.git.resolve("acme/gitops-repo", "main") == sha
    await world.becomes("v1/sick", "v1/sick")
    state = await world.status(sync="Synced", health="Degraded")
    assert state["resources"][0]["health"] == {"status": "Degraded", "message": record.reason}
    good = await world.deploy("v1")
    await world.ends(good, "live")
    await world.becomes("v1*", "v1*")


async def test_what_others_wrote_meanwhile_stays_and_a_person_is_called(world: World) -> None:
    await world.first()
    bad = await world.deploy("v2", "nothing")
    await anyio.sleep(0.5)
    other = await world.deploy("v2", "nothing", extra="# a remark that somebody made\n")
    record = await world.ends(other, "rolled_back")
    assert (await world.ends(bad)).state == "superseded"
    assert record.revert_commit is not None  # one revert takes both back

    await world.ends(record.revert_commit, "live")
    worse = await world.deploy("v4", "sick")
    await world.until(lambda: _applied(world, worse), "it is applied")
    mixed = await world.push(
        {"web/base/config.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"}
    )
    found = await world.ends(mixed, "rolled_back")
    assert found.revert_commit is not None


async def _applied(world: World, revision: str) -> bool:
    return any(each.revision == revision and each.applied_at for each in await world.deliveries())


async def test_a_newer_commit_supersedes_one_that_has_no_traffic_yet(world: World) -> None:
    await world.first()
    async with world.load():
        slow = await world.deploy("v2", "nothing")
        await world.until(lambda: _applied(world, slow), "it is applied")
        newer = await world.deploy("v3")
        record = await world.ends(newer, "live")
        await world.becomes("v3*", "v3*")
    old = await world.ends(slow, "superseded")
    assert old.superseded_by == newer
    assert record.id > old.id


async def test_two_pushes_in_quick_succession_end_with_the_newer(world: World) -> None:
    await world.first()
    async with world.load():
        first = await world.deploy("v2", "slow")
        second = await world.deploy("v3", "slow")
        await world.ends(second, "live")
        await world.becomes("v3/slow*", "v3/slow*")
    assert all(each.state == "superseded" for each in await world.deliveries() if each.revision == first)


async def test_a_revert_by_a_person_brings_the_previous_version_back(world: World) -> None:
    await world.first()
    before = await world.file()
    await world.ends(await world.deploy("v2"), "live")
    sha = await world.push({OVERLAY: before}, "Revert")
    await world.ends(sha, "live")
    await world.becomes("v1*", "v1*")


async def test_drift_is_put_back(world: World) -> None:
    await world.first()
    await world.status(sync="Synced")
    await world.objects.patch(
        "configmaps", "web", "settings", {"data": {"a": "2"}}, "merge", manager="mallory"
    )
    await world.objects.patch(
        "deployments.apps", "web", "web", {"spec": {"replicas": 3}}, "merge", manager="mallory"
    )

    async def put_back() -> bool:
        config = await world.objects.get("configmaps", "web", "settings")
        live = await world.objects.get("deployments.apps", "web", "web")
        return bool(config["data"] == {"a": "1"}) and live["spec"]["replicas"] == 2

    await world.until(put_back, "drift is put back")
    await world.objects.delete("services", "web", "web")
    await world.becomes("v1*", "v1*")

    async def back() -> bool:
        return any(
            s["metadata"]["name"] == "web" for s in (await world.objects.list("services", "web")).items
        )

    await world.until(back, "the Service is back")


async def test_a_pod_that_dies_is_replaced_and_opened_to_traffic(world: World) -> None:
    await world.first()
    await world.becomes("v1*", "v1*")
    victim = (await world.pods())[0]["metadata"]["name"]
    await world.objects.delete("pods", "web", victim)
    await world.becomes("v1*", "v1*")
    assert victim not in [pod["metadata"]["name"] for pod in await world.pods()]


async def test_what_is_gone_from_git_is_pruned_and_other_peoples_things_stay(world: World) -> None:
    await world.first()
    mine = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine", "namespace": "web"}}
    await world.objects.create("configmaps", mine)
    base = "resources: [deployment.yaml, service.yaml]\n"
    sha = await world.push({"web/base/kustomization.yaml": base, "web/base/config.yaml": None})
    await world.ends(sha, "live")

    async def pruned() -> bool:
        return [c["metadata"]["name"] for c in (await world.objects.list("configmaps", "web")).items] == [
            "mine"
        ]

    await world.until(pruned, "the ConfigMap is pruned")


async def test_an_image_that_is_not_there_yet_is_waited_for(world: World) -> None:
    await world.first()
    sha = await world.deploy("late")

    async def waits() -> bool:
        return any("not in its registry" in each.reason for each in await world.deliveries())

    await world.until(waits, "it says what it waits for")
    health = await health_of(world, "Progressing")
    assert "ghcr.io/acme/web:late does not exist" in health["message"]
    world.tags.add("late")
    await world.ends(sha, "live")
    assert "message" not in await health_of(world, "Healthy")


async def health_of(world: World, status: str) -> dict[str, Any]:
    """Wait until the Application's health is this, and return it."""
    found: dict[str, Any] = (await world.status(health=status))["health"]
    return found


async def test_a_first_version_whose_image_is_not_there_yet_is_progressing(world: World) -> None:
    world.tags.clear()
    sha = await world.begin()

    async def waits() -> bool:
        return any("not in its registry" in each.reason for each in await world.deliveries())

    await world.until(waits, "it says what it waits for")
    health = await health_of(world, "Progressing")
    assert "an image is not in its registry" in health["message"]
    world.tags.add("v1")
    await world.ends(sha, "live")


async def test_an_image_that_cannot_be_pulled_is_degraded_in_the_registrys_words(world: World) -> None:
    await world.first()
    world.node.without_registry = True
    await world.objects.delete("pods", "web", (await world.pods())[0]["metadata"]["name"], grace=0)
    health = await health_of(world, "Degraded")
    assert "of container app cannot be pulled: not found" in health["message"]


async def test_a_service_that_selects_nothing_does_not_go_live_in_silence(world: World) -> None:
    await world.first()
    misspelt = "- patch: |-\n    {apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: wbe}}}\n"
    record = await world.ends(await world.deploy("v2", extra=f"patches:\n{misspelt}"), "live")
    said = "Service web selects no pods, so nobody answers at its address: it asks for app=wbe; "
    assert f"{said}the pods of Deployment web has app=web" in record.reason
    health = await health_of(world, "Degraded")
    assert health["message"].startswith(said)
    record = await world.ends(await world.deploy("v3"), "live")
    assert "selects no pods" not in record.reason
    assert "message" not in await health_of(world, "Healthy")


async def test_a_selector_that_cannot_change_says_what_helps(world: World) -> None:
    await world.first()
    base = await world.file("web/base/deployment.yaml")
    shop = base.replace("app: web}", "app: shop}")
    assert shop != base
    sha = await world.push({"web/base/deployment.yaml": shop}, "another selector")
    record = await world.ends(sha, "failed")
    assert "field is immutable" in record.reason
    assert "give the Deployment another name than web in git" in record.reason


async def test_manifests_that_cannot_be_rendered_fail_with_the_reason_and_leave_all_as_it_is(
    world: World,
) -> None:
    await world.first()
    sha = await world.push({OVERLAY: "resources: [../../nowhere]\n"})
    record = await world.ends(sha, "failed")
    assert "../../nowhere does not exist" in record.reason
    await world.becomes("v1*", "v1*")
    status = await world.status(sync="Unknown")
    assert any("nowhere" in each["message"] for each in status["conditions"])


async def test_what_the_cluster_refuses_fails_with_the_reason_and_is_put_back(world: World) -> None:
    await world.first()
    patch = (
        "patches:\n- patch: |-\n    {apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{name: http, "
        "port: 99999999}]}}\n"
    )
    sha = await world.deploy("v2", extra=patch)
    record = await world.ends(sha, "failed")
    assert "refused" in record.reason
    await world.becomes("v1*", "v1*")
    live = await world.objects.get("services", "web", "web")
    assert live["spec"]["ports"][0]["port"] == 80


async def test_a_manual_sync_waits_to_be_asked_for(world: World) -> None:
    await world.first()
    app = (await world.file("argocd/applications/web.yaml")).replace(
        "    automated: {prune: true, selfHeal: true}\n", ""
    )
    await world.push({"argocd/applications/web.yaml": app})

    async def manual() -> bool:
        return "automated" not in (await world.app())["spec"]["syncPolicy"]

    await world.until(manual, "the sync is manual")
    sha = await world.deploy("v2")

    async def waits() -> bool:
        return any(
            each.revision == sha and "ask for a sync" in each.reason for each in await world.deliveries()
        )

    await world.until(waits, "it says that it waits")
    with anyio.fail_after(3):  # who pushed is not kept waiting for it
        told = [line async for line in Deliveries(world.store, world.kube).news("acme/gitops-repo", sha)]
    assert told[-1] == f"web: waiting: {ASK}"
    await world.status(sync="OutOfSync")
    request = {"operation": {"initiatedBy": {"username": "anna"}, "sync": {"revision": sha}}}
    await world.objects.patch("applications.argoproj.io", "argocd", "web", request, "merge")
    record = await world.ends(sha, "live")
    assert record.initiated_by == "anna"
    assert "operation" not in await world.app()


async def test_a_refresh_is_honoured_and_taken_off(world: World) -> None:
    await world.first()
    note = {"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}}
    await world.objects.patch("applications.argoproj.io", "argocd", "web", note, "merge")

    async def gone() -> bool:
        return "argocd.argoproj.io/refresh" not in (await world.app())["metadata"]["annotations"]

    await world.until(gone, "the annotation is taken off")


async def test_an_application_with_the_finalizer_takes_its_resources_along(world: World) -> None:
    await world.first()
    mark = {"metadata": {"finalizers": ["resources-finalizer.argocd.argoproj.io"]}}
    await world.objects.patch("applications.argoproj.io", "argocd", "web", mark, "merge")
    await world.push({"argocd/applications/web.yaml": None})

    async def gone() -> bool:
        left = [await world.objects.list(kind, "web") for kind in ("deployments.apps", "services", "pods")]
        apps = await world.objects.list("applications.argoproj.io", "argocd")
        return not apps.items and not any(each.items for each in left)

    await world.until(gone, "everything is gone")


async def test_a_restarted_controller_finds_everything_as_it_is(world: World) -> None:
    await world.first()
    await world.status(sync="Synced", health="Healthy")
    before = await world.objects.get("deployments.apps", "web", "web")
    await world.stop()
    await world.start()
    await anyio.sleep(0.3)
    after = await world.objects.get("deployments.apps", "web", "web")
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert len(await world.deliveries()) == 1
    sha = await world.deploy("v2")
    start = time.time()
    await world.ends(sha, "live")
    assert time.time() - start < 10


WORKER = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  progressDeadlineSeconds: 3
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec:
      containers:
      - {name: app, image: ghcr.io/acme/web, env: [{name: MODE, value: ""}]}
"""


async def test_workloads_of_one_application_go_live_and_are_taken_back_together(world: World) -> None:
    await world.first()
    base = "resources: [deployment.yaml, service.yaml, config.yaml, worker.yaml]\n"
    good = {"web/base/kustomization.yaml": base, "web/base/worker.yaml": WORKER}
    await world.ends(await world.push(good), "live")
    await world.becomes("v1*", "v1*", "v1*")
    bad = {"web/base/worker.yaml": WORKER.replace('value: ""', "value: crash")}
    async with world.load():
        sha = await world.push({**bad, OVERLAY: (await world.file()).replace("v1", "v2")})
        record = await world.ends(sha, "rolled_back")
        await world.becomes("v1*", "v1*", "v1*")
    assert "crashes again and again" in record.reason
    assert record.cut_over_at is None
    assert [hold.workload for hold in await world.book.holds(record.uid)] == ["Deployment/web/worker"]
    assert "newTag: v1" in await world.file()


async def test_a_pod_that_cannot_be_reached_for_a_moment_is_not_bad(world: World) -> None:
    await world.first()
    world.node.hidden = True
    sha = await world.deploy("v2")

    async def asked() -> bool:
        return any(each.revision == sha and each.ready_at for each in await world.deliveries())

    await world.until(asked, "its pods are ready")
    await anyio.sleep(1.0)
    world.node.hidden = False
    await world.ends(sha, "live")
