"""The client (`windlass.kube.Kube`) and the server against each other."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import pytest

from windlass.kube import (
    AlreadyExistsError,
    ConfigError,
    ConflictError,
    ForbiddenError,
    Informer,
    InvalidError,
    Kube,
    NotFoundError,
    TimedOutError,
    UnavailableError,
    UnreachableError,
)
from windlass.kube.errors import GoneError, KubeError

if TYPE_CHECKING:
    from pathlib import Path

    from kube_local.api.conftest import Cluster
    from windlass.kube import WatchEvent


def configmap(name: str, namespace: str = "default", **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": {"made": "here"}},
        "data": data,
    }


def pod(name: str, **spec: Any) -> dict[str, Any]:
    containers = [
        {"name": "web", "image": "example/web:1", "ports": [{"containerPort": 8080, "name": "http"}]}
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": containers, **spec},
    }


async def test_objects_go_there_and_back(cluster: Cluster) -> None:
    async with cluster.client() as kube:
        made = await kube.create(configmap("one", a="1"))
        assert made["metadata"]["uid"]
        with pytest.raises(AlreadyExistsError):
            await kube.create(configmap("one"))
        assert (await kube.get("configmaps", "one"))["data"] == {"a": "1"}
        assert (await kube.get("ConfigMap", "one", "default"))["kind"] == "ConfigMap"
        changed = await kube.patch("configmaps", "one", "default", {"data": {"b": "2"}})
        assert changed["data"] == {"a": "1", "b": "2"}
        with pytest.raises(ConflictError, match="the object has been modified"):
            await kube.update({**made, "data": {"c": "3"}})
        listed = await kube.list("configmaps", labels="made=here", fields="metadata.name!=two")
        assert [item["metadata"]["name"] for item in listed.items] == ["one"]
        await kube.delete("configmaps", "one")
        with pytest.raises(NotFoundError, match='configmaps "one" not found'):
            await kube.get("configmaps", "one")
        await kube.delete("configmaps", "one", missing_ok=True)
        with pytest.raises(InvalidError, match="RFC 1123"):
            await kube.create(configmap("Not_Good"))
        with pytest.raises(NotFoundError, match="does not have a resource"):
            await kube.get("cronjobs.batch", "x")


async def test_apply_owns_fields_and_dry_run_leaves_no_trace(cluster: Cluster) -> None:
    async with cluster.client() as kube:
        dry = await kube.apply(configmap("one", a="1"), dry_run=True)
        assert dry["data"] == {"a": "1"}
        assert not cluster.objects.has("configmaps", "default", "one")
        await kube.apply(configmap("one", a="1", b="2"))
        await kube.apply({**configmap("one", b="2"), "metadata": {"name": "one"}}, "other", force=False)
        after = await kube.apply(configmap("one"))
        assert after["data"] == {"b": "2"}
        with pytest.raises(ConflictError) as caught:
            await kube.apply(configmap("one", b="3"), "third", force=False)
        managers = {cause["message"] for cause in caught.value.details["causes"]}
        assert managers == {'conflict with "other"'}
        again = await kube.apply(configmap("one"))
        assert again["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]


async def test_pages_are_put_together(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        await cluster.objects.create("configmaps", configmap(f"c{number}"))
    monkeypatch.setattr("windlass.kube.client.PAGE", 3)
    async with cluster.client() as kube:
        listed = await kube.list("configmaps", labels="made=here")
        assert [item["metadata"]["name"] for item in listed.items] == [f"c{number}" for number in range(7)]
        assert listed.resource_version == cluster.objects.version


async def test_watch_sees_what_comes_to_match_and_what_ceases_to(cluster: Cluster) -> None:
    seen: list[WatchEvent] = []
    async with cluster.client() as kube, anyio.create_task_group() as tasks:

        async def follow() -> None:
            async for event in kube.watch("configmaps", "default", labels="made=here"):
                seen.append(event)
                if event.type == "DELETED":
                    tasks.cancel_scope.cancel()

        await cluster.objects.create("configmaps", configmap("one"))
        tasks.start_soon(follow)
        with anyio.fail_after(5):
            while not seen:
                await anyio.sleep(0.01)
        await cluster.objects.create("configmaps", {"metadata": {"name": "other", "namespace": "default"}})

        def relabel(obj: dict[str, Any]) -> dict[str, Any]:
            obj["metadata"]["labels"] = {"made": "elsewhere"}
            return obj

        await cluster.objects.modify("configmaps", "default", "one", relabel)
        await anyio.sleep(5)
    assert [(event.type, event.object["metadata"]["name"]) for event in seen] == [
        ("ADDED", "one"),
        ("DELETED", "one"),
    ]


async def test_informer_over_http_survives_a_gap(cluster: Cluster) -> None:
    async with cluster.client() as kube, anyio.create_task_group() as tasks:
        informer = Informer(kube, "configmaps", namespace="default")
        tasks.start_soon(informer.run)
        await informer.synced()
        for subscription in cluster.objects._history._subscriptions:
            subscription._lost = True
        await cluster.objects.create("configmaps", configmap("late"))
        with anyio.fail_after(5):
            while informer.get("default", "late") is None:
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()


async def test_a_version_of_another_life_is_gone(cluster: Cluster) -> None:
    async with cluster.client() as kube:
        with pytest.raises(GoneError):
            async with kube.watch_from("configmaps", "99999") as events:
                await anext(events)


async def test_logs_stream_and_errors_are_typed(cluster: Cluster) -> None:
    await cluster.objects.create("pods", pod("web"))
    cluster.node.lines["web"] = [b"one\n", b"two\n"]
    async with cluster.client() as kube:
        assert b"".join([piece async for piece in kube.logs("default", "web", tail=5)]) == b"one\ntwo\n"
        assert cluster.node.asked[-1]["tail"] == 5
        followed = kube.logs("default", "web", follow=True)
        first = await anext(followed)
        cluster.node.more.set()
        rest = b"".join([piece async for piece in followed])
        assert (first + rest).endswith(b"the end\n")
        with pytest.raises(NotFoundError):
            [piece async for piece in kube.logs("default", "missing")]
        with pytest.raises(KubeError, match="container nope is not valid for pod web"):
            [piece async for piece in kube.logs("default", "web", "nope")]


async def echo(stream: anyio.abc.SocketStream) -> None:
    """Answer any HTTP request with what it was."""
    async with stream:
        request = await stream.receive()
        while b"\r\n\r\n" not in request:
            request += await stream.receive()
        head, _, body = request.partition(b"\r\n\r\n")
        if b"/slow" in head:
            await anyio.sleep(5)
        if b"expect" not in head.lower() and b"content-length: 5" in head.lower():
            while len(body) < 5:
                body += await stream.receive()
        answer = head + b"|" + body
        status = b"500 Broken" if b"/broken" in head else b"200 OK"
        await stream.send(
            b"HTTP/1.1 %s\r\nX-Pod: web\r\nContent-Length: %d\r\n\r\n" % (status, len(answer)) + answer
        )


async def test_proxy_speaks_to_the_pod_and_keeps_the_token(cluster: Cluster) -> None:
    await cluster.objects.create("pods", pod("web"))
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    cluster.node.addresses["web:8080"] = ("127.0.0.1", port)
    cluster.node.addresses["web:9"] = ("127.0.0.1", 9)
    async with listener, cluster.client() as kube, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, echo)
        answer = await kube.proxy("default", "web", 8080, path="/tasks?a=b%20c", headers={"X-Mine": "1"})
        assert answer.status == 200
        assert answer.headers["x-pod"] == "web"
        assert answer.body.startswith(b"GET /tasks?a=b%20c HTTP/1.1")
        assert b"x-mine: 1" in answer.body.lower()
        assert b"authorization" not in answer.body.lower()
        assert 0 < answer.seconds < 5
        posted = await kube.proxy("default", "web", "http", "POST", "/x", body=b"hello")
        assert posted.body.endswith(b"|hello")
        assert (await kube.proxy("default", "web", 8080, path="/broken")).status == 500
        with pytest.raises(UnavailableError, match="error trying to reach service"):
            await kube.proxy("default", "web", 9)
        with pytest.raises(NotFoundError):
            await kube.proxy("default", "missing", 80)
        with pytest.raises(TimedOutError):
            await kube.proxy("default", "web", 8080, path="/slow", timeout=0.3)
        tasks.cancel_scope.cancel()


async def test_rights(cluster: Cluster) -> None:
    await cluster.objects.create("namespaces", {"metadata": {"name": "team"}})
    async with cluster.client("reader") as kube:
        assert (await kube.list("configmaps", "default")).items == []
        with pytest.raises(ForbiddenError, match=r'User "rita" cannot create resource "configmaps"'):
            await kube.create(configmap("one"))
        for secret in ("secrets",):
            with pytest.raises(ForbiddenError):
                await kube.list(secret, "default")
        with pytest.raises(ForbiddenError):
            await kube.list("configmaps", "team")
        with pytest.raises(ForbiddenError):
            await kube.list("configmaps")
        with pytest.raises(ForbiddenError):
            await kube.proxy("default", "web", 80)
    async with cluster.client("job") as kube:
        await kube.create(configmap("one", "team"))
        with pytest.raises(ForbiddenError):
            await kube.create(configmap("one", "default"))


async def test_status_is_a_part_of_its_own(cluster: Cluster) -> None:
    async with cluster.client() as kube:
        await kube.create({**pod("web"), "status": {"phase": "Running"}})
        assert (await kube.get("pods", "web"))["status"]["phase"] == "Pending"
        condition = {"type": "windlass.dev/traffic", "status": "True"}
        patch = {"status": {"conditions": [condition]}}
        await kube.patch("pods", "web", "default", patch, kind="strategic", subresource="status")
        other = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
        after = await kube.patch("pods", "web", "default", other, kind="strategic", subresource="status")
        assert {entry["type"] for entry in after["status"]["conditions"]} == {"windlass.dev/traffic", "Ready"}


async def test_a_kubeconfig_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not found"):
        Kube.from_kubeconfig(tmp_path / "missing.yaml")
    (tmp_path / "bad.yaml").write_text("apiVersion: v1\n")
    with pytest.raises(ConfigError):
        Kube.from_kubeconfig(tmp_path / "bad.yaml")


async def test_nobody_is_let_in_without_a_token(cluster: Cluster) -> None:
    trusted = ssl.create_default_context(cafile=cluster.folder / "ca.crt")
    async with httpx2.AsyncClient(base_url=cluster.url, verify=trusted, trust_env=False) as http:
        for path in ("/api", "/version", "/openapi/v3", "/api/v1/pods", "/nowhere"):
            answer = await http.get(path)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.json()["kind"] == "Status"
        assert (await http.get("/healthz")).text == "ok"


async def test_a_server_that_is_away(cluster: Cluster) -> None:
    path = cluster.kubeconfig()
    path.write_text(path.read_text().replace(cluster.url, "https://127.0.0.1:9"))
    async with Kube.from_kubeconfig(path) as kube:
        with pytest.raises(UnreachableError):
            await kube.list("pods")
