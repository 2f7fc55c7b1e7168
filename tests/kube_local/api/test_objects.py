"""The objects without HTTP: ownership, deletion, storage, rules."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from windlass.identity import Secrets
from windlass.kube.errors import (
    AlreadyExistsError,
    BadRequestError,
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidError,
    MethodNotAllowedError,
    NotFoundError,
)
from windlass.kube.local import history
from windlass.kube.local.gc import GarbageCollector
from windlass.kube.local.objects import Objects

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from windlass.store import Store

Object = dict[str, Any]


def configmap(name: str, owners: list[Object] | None = None, **data: str) -> Object:
    meta: Object = {"name": name, "namespace": "default"}
    if owners:
        meta["ownerReferences"] = owners
    return {"metadata": meta, "data": data}


def deployment(**spec: Any) -> Object:
    container = {
        "name": "web",
        "image": "example/web:1",
        "ports": [{"containerPort": 80}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 80}},
    }
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template, **spec},
    }


def pod(name: str = "web", **spec: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{"name": "web", "image": "example/web:1"}], **spec},
    }


def owner(obj: Object, *, blocks: bool = True) -> Object:
    meta = obj["metadata"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": meta["name"], "uid": meta["uid"]}
    return {**reference, "controller": True, "blockOwnerDeletion": blocks}


async def until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not holds():
            await anyio.sleep(0.005)


# Writing


async def test_create_fills_in_what_kubernetes_fills_in(objects: Objects) -> None:
    made = await objects.create("deployments.apps", deployment())
    spec = made["spec"]
    assert (spec["replicas"], spec["progressDeadlineSeconds"], spec["revisionHistoryLimit"]) == (1, 600, 10)
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": "25%"}
    container = spec["template"]["spec"]["containers"][0]
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert container["readinessProbe"]["httpGet"]["scheme"] == "HTTP"
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 30
    assert made["metadata"]["generation"] == 1
    assert "status" not in made


async def test_names_are_generated_and_taken_names_refused(objects: Objects) -> None:
    generated = {"metadata": {"generateName": "run-", "namespace": "default"}}
    first, second = (
        await objects.create("configmaps", generated),
        await objects.create("configmaps", generated),
    )
    assert first["metadata"]["name"].startswith("run-")
    assert first["metadata"]["name"] != second["metadata"]["name"]
    with pytest.raises(AlreadyExistsError):
        await objects.create("configmaps", configmap(first["metadata"]["name"]))
    with pytest.raises(NotFoundError, match='namespaces "nowhere" not found'):
        await objects.create("configmaps", {"metadata": {"name": "x", "namespace": "nowhere"}})


async def test_generation_counts_the_spec_and_status_stays_apart(objects: Objects) -> None:
    made = await objects.create("deployments.apps", deployment())
    after = await objects.modify(
        "deployments.apps", "default", "web", lambda d: {**d, "status": {"replicas": 1}}, subresource="status"
    )
    assert after is not None
    assert after["metadata"]["generation"] == 1
    assert after["status"] == {"replicas": 1}
    changed = {**made, "spec": {**made["spec"], "replicas": 2}, "status": {"replicas": 9}}
    with pytest.raises(ConflictError):
        await objects.update("deployments.apps", changed)
    changed["metadata"] = {**changed["metadata"], "resourceVersion": after["metadata"]["resourceVersion"]}
    updated = await objects.update("deployments.apps", changed)
    assert updated["metadata"]["generation"] == 2
    assert updated["status"] == {"replicas": 1}
    same = await objects.update("deployments.apps", updated)
    assert same["metadata"]["resourceVersion"] == updated["metadata"]["resourceVersion"]


async def test_an_application_has_its_status_inside(objects: Objects) -> None:
    spec = {"project": "default", "source": {"repoURL": "x"}, "destination": {"namespace": "default"}}
    app = {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": spec,
        "status": {"sync": {"status": "Synced"}},
    }
    made = await objects.create("applications.argoproj.io", app)
    assert made["status"]["sync"]["status"] == "Synced"
    with pytest.raises(MethodNotAllowedError, match="no status subresource"):
        await objects.update("applications.argoproj.io", made, subresource="status")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"progressDeadlineSeconds": 5, "minReadySeconds": 9}, "must be greater than minReadySeconds"),
        ({"replicas": -1}, "spec.replicas: Invalid value: -1"),
        ({"selector": {"matchLabels": {"app": "x"}}}, "`selector` does not match template `labels`"),
        ({"strategy": {"type": "Recreate", "rollingUpdate": {}}}, "may not be specified when strategy"),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}},
            "may not be 0 when `maxSurge` is 0",
        ),
        ({"template": {"metadata": {"labels": {"app": "web"}}, "spec": {}}}, "containers: Required value"),
    ],
)
async def test_deployments_that_break_a_rule(objects: Objects, change: Object, message: str) -> None:
    with pytest.raises(InvalidError) as caught:
        await objects.create("deployments.apps", deployment(**change))
    assert message in caught.value.message
    assert caught.value.message.startswith('Deployment.apps "web" is invalid: ')
    assert caught.value.details["causes"]


async def test_selectors_and_pods_do_not_change(objects: Objects) -> None:
    made = await objects.create("deployments.apps", deployment())
    spec = {**made["spec"], "selector": {"matchLabels": {"app": "web", "x": "y"}}}
    spec["template"] = {**spec["template"], "metadata": {"labels": {"app": "web", "x": "y"}}}
    with pytest.raises(InvalidError, match="field is immutable"):
        await objects.update("deployments.apps", {**made, "spec": spec})
    one = await objects.create("pods", pod())
    with pytest.raises(InvalidError, match="pod updates may not change fields other than"):
        await objects.update("pods", {**one, "spec": {**one["spec"], "restartPolicy": "Never"}})
    await objects.update("pods", {**one, "spec": {**one["spec"], "nodeName": "here"}})


async def test_values_of_the_wrong_type_are_refused(objects: Objects) -> None:
    with pytest.raises(
        BadRequestError, match=r"cannot unmarshal string into field spec.replicas of type int32"
    ):
        await objects.create("deployments.apps", deployment(replicas="2"))


async def test_a_write_is_finished_when_its_caller_is_cancelled(objects: Objects, store: Store) -> None:
    task = asyncio.ensure_future(objects.create("configmaps", configmap("kept")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: objects.has("configmaps", "default", "kept"))
    again = Objects(store)
    await again.load()
    assert await again.get("configmaps", "default", "kept") == await objects.get(
        "configmaps", "default", "kept"
    )


async def test_many_writers_lose_nothing(objects: Objects) -> None:
    await objects.create("configmaps", configmap("counter", n="0"))

    def increment(obj: Object) -> Object:
        obj["data"]["n"] = str(int(obj["data"]["n"]) + 1)
        return obj

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(objects.modify, "configmaps", "default", "counter", increment)
    assert (await objects.get("configmaps", "default", "counter"))["data"]["n"] == "50"


# Storage


async def test_everything_is_there_after_a_restart_and_versions_go_on(objects: Objects, store: Store) -> None:
    await objects.create("configmaps", configmap("one", a="1"))
    gone = await objects.create("configmaps", configmap("two"))
    await objects.delete("configmaps", "default", "two")
    again = Objects(store)
    await again.load()
    assert again.version == objects.version
    assert int(again.version) > int(gone["metadata"]["resourceVersion"])
    assert [item["metadata"]["name"] for item in (await again.list("configmaps")).items] == ["one"]
    made = await again.create("configmaps", configmap("three"))
    assert int(made["metadata"]["resourceVersion"]) == int(objects.version) + 1


async def test_secrets_are_sealed_on_disk(store: Store, tmp_path: Path) -> None:
    seal = Secrets(store, tmp_path / "key")
    objects = Objects(store, seal=seal)
    await objects.load()
    secret = {"metadata": {"name": "s", "namespace": "default"}, "stringData": {"password": "correct-horse"}}
    made = await objects.create("secrets", secret)
    assert made["data"] == {"password": "Y29ycmVjdC1ob3JzZQ=="}
    assert "stringData" not in made
    assert b"Y29ycmVjdC1ob3JzZQ" not in b"".join(f.read_bytes() for f in tmp_path.glob("windlass.db*"))
    again = Objects(store, seal=seal)
    await again.load()
    assert (await again.get("secrets", "default", "s"))["data"] == made["data"]


async def test_changes_of_weight_are_in_the_ledger(objects: Objects, store: Store) -> None:
    await objects.create("deployments.apps", deployment(), manager="anna")
    await objects.modify(
        "deployments.apps", "default", "web", lambda d: {**d, "status": {"replicas": 1}}, subresource="status"
    )
    await objects.delete("deployments.apps", "default", "web")
    rows = await store.read("ledger.of_subject", subject="kube/deployments.apps/default/web")
    assert [row["kind"] for row in rows] == ["kube.added", "kube.deleted"]
    assert rows[0]["actor"] == "anna"


# Server-side apply


async def test_apply_removes_what_it_no_longer_names_with_its_defaults(objects: Objects) -> None:
    async def apply(obj: Object, manager: str = "a", **options: Any) -> Object:
        return await objects.patch(
            "deployments.apps", "default", "web", obj, "apply", manager=manager, **options
        )

    await apply(deployment(replicas=3, minReadySeconds=5))
    without = deployment()
    del without["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]
    after = await apply(without)
    assert after["spec"]["replicas"] == 1
    assert "minReadySeconds" not in after["spec"]
    assert "readinessProbe" not in after["spec"]["template"]["spec"]["containers"][0]
    assert after["metadata"]["generation"] == 2


async def test_apply_shares_and_disputes_fields(objects: Objects) -> None:
    async def apply(obj: Object, manager: str, *, force: bool = False) -> Object:
        return await objects.patch(
            "deployments.apps", "default", "web", obj, "apply", manager=manager, force=force
        )

    await apply(deployment(replicas=3), "a")
    await apply(deployment(replicas=3), "b")
    await apply(deployment(), "a")
    assert (await objects.get("deployments.apps", "default", "web"))["spec"]["replicas"] == 3
    await apply(deployment(replicas=4), "b")
    with pytest.raises(ConflictError) as caught:
        await apply(deployment(replicas=5), "a")
    assert caught.value.message == 'Apply failed with 1 conflict: conflict with "b": .spec.replicas'
    assert caught.value.details["causes"][0]["reason"] == "FieldManagerConflict"
    assert (await apply(deployment(replicas=5), "a", force=True))["spec"]["replicas"] == 5
    assert (await apply(deployment(), "b"))["spec"]["replicas"] == 5


async def test_apply_leaves_what_others_wrote_and_merges_lists_by_key(objects: Objects) -> None:
    await objects.patch("deployments.apps", "default", "web", deployment(), "apply", manager="a")

    def inject(obj: Object) -> Object:
        spec = obj["spec"]["template"]["spec"]
        spec["containers"].append({"name": "side", "image": "side:1"})
        spec["containers"][0]["env"] = [{"name": "INJECTED", "value": "1"}]
        obj["metadata"]["annotations"] = {"other/note": "yes"}
        return obj

    await objects.modify("deployments.apps", "default", "web", inject, manager="injector")
    changed = deployment()
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "example/web:2"
    after = await objects.patch("deployments.apps", "default", "web", changed, "apply", manager="a")
    containers = after["spec"]["template"]["spec"]["containers"]
    assert [(item["name"], item["image"]) for item in containers] == [
        ("web", "example/web:2"),
        ("side", "side:1"),
    ]
    assert containers[0]["env"] == [{"name": "INJECTED", "value": "1"}]
    assert after["metadata"]["annotations"] == {"other/note": "yes"}
    scaled = {"spec": {"replicas": 7}}
    await objects.patch(
        "deployments.apps", "default", "web", scaled, "merge", subresource="scale", manager="hpa"
    )
    owned = {(m["manager"], m.get("subresource")) for m in after["metadata"]["managedFields"]}
    assert owned == {("a", None), ("injector", None)}


async def test_apply_keeps_an_item_that_another_also_owns(objects: Objects) -> None:
    def ports(*numbers: int) -> Object:
        listed = [{"port": number, "name": f"p{number}"} for number in numbers]
        return {"metadata": {"name": "web", "namespace": "default"}, "spec": {"ports": listed}}

    async def apply(obj: Object, manager: str) -> list[int]:
        after = await objects.patch("services", "default", "web", obj, "apply", manager=manager)
        return [port["port"] for port in after["spec"]["ports"]]

    assert await apply(ports(80, 81), "a") == [80, 81]
    assert await apply(ports(81, 82), "b") == [80, 81, 82]
    assert await apply(ports(80), "a") == [80, 81, 82]
    assert await apply(ports(82), "b") == [80, 82]


async def test_apply_of_nonsense_is_refused(objects: Objects) -> None:
    twice = deployment()
    twice["spec"]["template"]["spec"]["containers"] *= 2
    with pytest.raises(BadRequestError, match="duplicate entries for key"):
        await objects.patch("deployments.apps", "default", "web", twice, "apply", manager="a")
    named = {**configmap("one"), "metadata": {"name": "other"}}
    with pytest.raises(BadRequestError, match="does not match"):
        await objects.patch("configmaps", "default", "one", named, "apply", manager="a")


# Deletion


async def test_finalizers_hold_an_object(objects: Objects) -> None:
    held = configmap("held")
    held["metadata"]["finalizers"] = ["example.com/wait"]
    await objects.create("configmaps", held)
    marked = await objects.delete("configmaps", "default", "held")
    assert "deletionTimestamp" in marked["metadata"]
    with pytest.raises(InvalidError, match="no new finalizers can be added"):
        await objects.modify(
            "configmaps", "default", "held", lambda o: _finalizers(o, "example.com/wait", "x.com/y")
        )
    await objects.modify("configmaps", "default", "held", _finalizers)
    assert not objects.has("configmaps", "default", "held")


def _finalizers(obj: Object, *names: str) -> Object:
    obj["metadata"]["finalizers"] = list(names)
    return obj


async def test_a_pod_on_a_node_goes_when_the_node_says_so(objects: Objects) -> None:
    await objects.create("pods", pod(nodeName="here", terminationGracePeriodSeconds=20))
    marked = await objects.delete("pods", "default", "web")
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 20
    shorter = await objects.delete("pods", "default", "web", grace=5)
    assert shorter["metadata"]["deletionGracePeriodSeconds"] == 5
    longer = await objects.delete("pods", "default", "web", grace=60)
    assert longer["metadata"]["deletionGracePeriodSeconds"] == 5
    await objects.delete("pods", "default", "web", grace=0)
    assert not objects.has("pods", "default", "web")
    await objects.create("pods", pod("unbound"))
    await objects.delete("pods", "default", "unbound")
    assert not objects.has("pods", "default", "unbound")


async def test_preconditions(objects: Objects) -> None:
    made = await objects.create("configmaps", configmap("one"))
    with pytest.raises(ConflictError, match="UID in the precondition"):
        await objects.delete("configmaps", "default", "one", uid="another")
    await objects.delete("configmaps", "default", "one", uid=made["metadata"]["uid"])


async def test_garbage_is_collected_by_owners(objects: Objects) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(GarbageCollector(objects).run)
        top = await objects.create("configmaps", configmap("top"))
        middle = await objects.create("configmaps", configmap("middle", [owner(top)]))
        await objects.create("configmaps", configmap("bottom", [owner(middle)]))
        await objects.create("configmaps", configmap("shared", [owner(top), owner(middle)]))
        await objects.delete("configmaps", "default", "top")
        await until(
            lambda: not any(objects.has("configmaps", "default", n) for n in ("middle", "bottom", "shared"))
        )
        tasks.cancel_scope.cancel()


async def test_foreground_waits_for_dependents_and_orphan_frees_them(objects: Objects) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(GarbageCollector(objects).run)
        top = await objects.create("configmaps", configmap("top"))
        child = configmap("child", [owner(top)])
        child["metadata"]["finalizers"] = ["example.com/wait"]
        await objects.create("configmaps", child)
        await objects.delete("configmaps", "default", "top", propagation="Foreground")
        await until(
            lambda: "deletionTimestamp" in objects.stored("configmaps", "default", "child").obj["metadata"]
        )
        assert objects.has("configmaps", "default", "top")
        await objects.modify("configmaps", "default", "child", lambda o: _without(o, "example.com/wait"))
        await until(lambda: not objects.has("configmaps", "default", "top"))
        top = await objects.create("configmaps", configmap("top"))
        await objects.create("configmaps", configmap("free", [owner(top)]))
        await objects.delete("configmaps", "default", "top", propagation="Orphan")
        await until(lambda: not objects.has("configmaps", "default", "top"))
        assert not (await objects.get("configmaps", "default", "free"))["metadata"].get("ownerReferences")
        tasks.cancel_scope.cancel()


def _without(obj: Object, name: str) -> Object:
    obj["metadata"]["finalizers"] = [other for other in obj["metadata"]["finalizers"] if other != name]
    return obj


async def test_a_dying_namespace_takes_nothing_new_and_empties(objects: Objects) -> None:
    await objects.create("namespaces", {"metadata": {"name": "team"}})
    held: Object = {"metadata": {"name": "held", "namespace": "team", "finalizers": ["example.com/wait"]}}
    await objects.create("configmaps", held)
    await objects.delete("namespaces", None, "team")
    assert (await objects.get("namespaces", None, "team"))["status"]["phase"] == "Terminating"
    with pytest.raises(ForbiddenError, match="because it is being terminated"):
        await objects.create("configmaps", {"metadata": {"name": "x", "namespace": "team"}})
    async with anyio.create_task_group() as tasks:  # the collector comes late: it looks at everything
        tasks.start_soon(GarbageCollector(objects).run)
        await until(
            lambda: "deletionTimestamp" in objects.stored("configmaps", "team", "held").obj["metadata"]
        )
        assert objects.has("namespaces", None, "team")
        await objects.modify("configmaps", "team", "held", _finalizers)
        await until(lambda: not objects.has("namespaces", None, "team"))
        tasks.cancel_scope.cancel()


# Watching


async def test_watch_from_a_version_has_no_gap_and_old_ones_are_gone(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = objects.version
    for number in range(5):
        await objects.create("configmaps", configmap(f"c{number}"))
    async with objects.watch_from("configmaps", start) as events:
        names = [(await anext(events)).object["metadata"]["name"] for _ in range(5)]
    assert names == [f"c{number}" for number in range(5)]
    monkeypatch.setattr(history, "KEPT", len(objects._history._changes))
    objects._history._oldest = int(objects.version)
    with pytest.raises(GoneError, match="too old resource version"):
        async with objects.watch_from("configmaps", start):
            pass


async def test_a_reader_that_lags_is_told_so(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "BACKLOG", 3)
    async with objects.watch("configmaps") as events:
        for number in range(5):
            await objects.create("configmaps", configmap(f"c{number}"))
        with pytest.raises(GoneError, match="fell behind"):
            await anext(events)


async def test_selectors(objects: Objects) -> None:
    for name, labels in (("a", {"tier": "front"}), ("b", {"tier": "back"}), ("c", {})):
        await objects.create(
            "configmaps", {"metadata": {"name": name, "namespace": "default", "labels": labels}}
        )

    async def names(labels: str | None = None, fields: str | None = None) -> str:
        listed = await objects.list("configmaps", "default", labels=labels, fields=fields)
        return "".join(item["metadata"]["name"] for item in listed.items)

    assert await names("tier=front") == "a"
    assert await names("tier!=front") == "bc"
    assert await names("tier in (front,back)") == "ab"
    assert await names("tier notin (front)") == "bc"
    assert await names("tier") == "ab"
    assert await names("!tier") == "c"
    assert await names(fields="metadata.name=b") == "b"
    for wrong in ("=x", "a in b", "tier in (a"):
        with pytest.raises(BadRequestError):
            await names(wrong)
