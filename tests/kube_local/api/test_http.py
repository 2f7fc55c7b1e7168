"""The API as bytes on the wire: formats, limits, and what clients other than kubectl ask for."""

from __future__ import annotations

import json
import ssl
import stat
import time
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import pytest
import yaml

from windlass.identity import FixedAuthenticator, Principal
from windlass.kube.local import serving
from windlass.kube.local.api.app import KubernetesAPI
from windlass.kube.local.certificates import ensure_certificates
from windlass.kube.local.kubeconfig import kubeconfig_yaml
from windlass.kube.local.serving import serve_tls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from kube_local.api.conftest import Cluster, ScriptedNode
    from windlass.kube.local.objects import Objects

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@pytest.fixture
async def http(cluster: Cluster) -> AsyncIterator[httpx2.AsyncClient]:
    trusted = ssl.create_default_context(cafile=cluster.folder / "ca.crt")
    headers = {"Authorization": "Bearer admin"}
    async with httpx2.AsyncClient(
        base_url=cluster.url, verify=trusted, trust_env=False, headers=headers
    ) as client:
        yield client


def configmap(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "data": data}


async def test_bodies_are_limited_and_understood(http: httpx2.AsyncClient) -> None:
    big = await http.post(CONFIGMAPS, content=b"{" + b" " * (3 * 1024 * 1024) + b"}")
    assert (big.status_code, big.json()["reason"]) == (413, "RequestEntityTooLarge")
    typed = {"Content-Type": "application/yaml"}
    good = await http.post(CONFIGMAPS, content=yaml.safe_dump(configmap("y", a="1")).encode(), headers=typed)
    assert good.status_code == 201
    alias = b"metadata: &m {name: z}\ndata: {a: *m}\n"
    for body, headers, status in (
        (alias, typed, 400),
        (b"{nonsense", {"Content-Type": "application/json"}, 400),
        (b"[" * 100_000, {"Content-Type": "application/json"}, 400),
        (b"[]", {"Content-Type": "application/json"}, 400),
        (b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b"k8s\x00\xff\xff", {"Content-Type": "application/vnd.kubernetes.protobuf"}, 400),
    ):
        answer = await http.post(CONFIGMAPS, content=body, headers=headers)
        assert answer.status_code == status, answer.text
        assert answer.json()["kind"] == "Status"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v2", 404),
        ("GET", "/apis/nowhere.io/v1/things", 404),
        ("GET", "/api/v1/namespaces/default/nothings", 404),
        ("GET", "/api/v1/pods/web", 404),
        ("POST", "/api/v1/pods", 405),
        ("PUT", CONFIGMAPS, 405),
        ("GET", CONFIGMAPS + "?limit=many", 400),
        ("GET", CONFIGMAPS + "?continue=nonsense", 400),
        ("GET", CONFIGMAPS + "?labelSelector=a+b", 400),
        ("GET", CONFIGMAPS + "/x/status", 404),
        ("GET", "/api/v1/namespaces/default/services/web/proxy/", 501),
        ("POST", "/api/v1/namespaces/default/pods/web/exec", 501),
        ("POST", "/api/v1/namespaces/default/pods/web/portforward", 501),
        ("POST", "/api", 405),
        ("GET", "/apis/argoproj.io/v1alpha1/namespaces/default/applications/x/status", 404),
    ],
)
async def test_what_is_not_there_is_said_as_a_status(
    http: httpx2.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await http.request(method, path)
    assert answer.status_code == status, answer.text
    assert answer.json()["code"] == status
    assert answer.json()["message"]


async def test_discovery_is_negotiated_exactly(http: httpx2.AsyncClient) -> None:
    for version in ("v2", "v2beta1"):
        accept = f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
        answer = await http.get("/apis", headers={"Accept": f"{accept},application/json"})
        assert answer.headers["content-type"] == accept
        assert answer.json()["apiVersion"] == f"apidiscovery.k8s.io/{version}"
    plain = (await http.get("/apis", headers={"Accept": "application/json"})).json()
    assert {group["name"] for group in plain["groups"]} >= {"apps", "argoproj.io", "events.k8s.io"}
    listed = (await http.get("/apis/apps/v1")).json()
    assert {entry["name"] for entry in listed["resources"]} >= {"deployments/scale", "replicasets/status"}


async def test_every_openapi_document_refers_only_to_itself(http: httpx2.AsyncClient) -> None:
    index = (await http.get("/openapi/v3")).json()
    for entry in index["paths"].values():
        document = (await http.get(entry["serverRelativeURL"])).json()
        schemas = document["components"]["schemas"]
        for reference in _references(document):
            assert reference.removeprefix("#/components/schemas/") in schemas
        kinds = [operation["x-kubernetes-group-version-kind"] for operation in _operations(document)]
        assert kinds
    second = await http.get("/openapi/v2")
    assert second.headers["content-type"].endswith("v2.v1.0+protobuf")


def _operations(document: Any) -> list[Any]:
    return [operation for path in document["paths"].values() for operation in path.values()]


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in _references(item)]
    if isinstance(value, list):
        return [found for item in value for found in _references(item)]
    return []


async def test_tables_and_partial_metadata(http: httpx2.AsyncClient, cluster: Cluster) -> None:
    await cluster.objects.create("configmaps", configmap("one", a="1", b="2"))
    shown = (await http.get(CONFIGMAPS, headers={"Accept": TABLE})).json()
    assert [column["name"] for column in shown["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert shown["rows"][0]["cells"][:2] == ["one", 2]
    assert shown["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    partial = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    listed = (await http.get(CONFIGMAPS, headers={"Accept": partial})).json()
    assert listed["kind"] == "PartialObjectMetadataList"
    assert "data" not in listed["items"][0]


async def test_pods_are_shown_as_kubectl_shows_them(http: httpx2.AsyncClient, cluster: Cluster) -> None:
    async def row(status: dict[str, Any]) -> list[Any]:
        await cluster.objects.modify(
            "pods", "default", "web", lambda obj: {**obj, "status": status}, subresource="status"
        )
        shown = await http.get("/api/v1/namespaces/default/pods", headers={"Accept": TABLE})
        cells: list[Any] = shown.json()["rows"][0]["cells"]
        return cells[:4]

    spec = {"containers": [{"name": "web", "image": "x"}], "nodeName": "here"}
    await cluster.objects.create("pods", {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})

    def status(phase: str, **container: Any) -> dict[str, Any]:
        base = {"name": "web", "image": "x", "imageID": "", "ready": False, "restartCount": 0}
        return {"phase": phase, "containerStatuses": [{**base, **container}]}

    waiting = status("Pending", state={"waiting": {"reason": "ImagePullBackOff"}})
    assert await row(waiting) == ["web", "0/1", "ImagePullBackOff", "0"]
    running = status("Running", ready=True, restartCount=2, state={"running": {}})
    assert await row(running) == ["web", "1/1", "Running", "2"]
    ended = status("Failed", state={"terminated": {"exitCode": 3}})
    assert await row(ended) == ["web", "0/1", "ExitCode:3", "0"]
    await row(running)
    await cluster.objects.delete("pods", "default", "web")
    assert (await row(running))[2] == "Terminating"


async def test_events_have_two_names_and_one_home(http: httpx2.AsyncClient, cluster: Cluster) -> None:
    event = {
        "metadata": {"name": "web.1", "namespace": "default"},
        "regarding": {"kind": "Pod", "name": "web", "namespace": "default"},
        "note": "pulled",
        "reason": "Pulled",
        "type": "Normal",
        "reportingController": "node",
    }
    made = await http.post("/apis/events.k8s.io/v1/namespaces/default/events", json=event)
    assert made.status_code == 201, made.text
    assert made.json()["note"] == "pulled"
    old = await cluster.objects.get("events", "default", "web.1")
    assert (old["message"], old["involvedObject"]["name"]) == ("pulled", "web")
    path = "/apis/events.k8s.io/v1/namespaces/default/events?fieldSelector=regarding.name%3Dweb"
    assert len((await http.get(path)).json()["items"]) == 1


async def test_a_watch_begins_with_what_is_there_and_marks_its_end(
    http: httpx2.AsyncClient, cluster: Cluster
) -> None:
    await cluster.objects.create("configmaps", configmap("one"))
    query = "?watch=1&sendInitialEvents=true&allowWatchBookmarks=true&timeoutSeconds=1"
    async with http.stream("GET", CONFIGMAPS + query) as answer:
        events = [json.loads(line) async for line in answer.aiter_lines()]
    assert [event["type"] for event in events] == ["ADDED", "BOOKMARK"]
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_strict_warn_ignore(http: httpx2.AsyncClient) -> None:
    body = {**configmap("one"), "dta": {}}
    strict = await http.post(CONFIGMAPS + "?fieldValidation=Strict", json=body)
    assert strict.status_code == 400
    assert 'strict decoding error: unknown field "dta"' in strict.json()["message"]
    warned = await http.post(CONFIGMAPS + "?fieldValidation=Warn&dryRun=All", json=body)
    assert warned.headers["warning"] == '299 - "unknown field \\"dta\\""'
    ignored = await http.post(CONFIGMAPS + "?fieldValidation=Ignore", json=body)
    assert ignored.status_code == 201
    assert "warning" not in ignored.headers
    assert "dta" not in ignored.json()


async def test_server_side_apply_refuses_fields_that_are_not_in_the_schema(http: httpx2.AsyncClient) -> None:
    for mode in ("Warn", "Ignore"):
        answer = await http.patch(
            f"{CONFIGMAPS}/one?fieldManager=me&fieldValidation={mode}",
            content=json.dumps({**configmap("one"), "dta": {}}),
            headers={"content-type": "application/apply-patch+yaml"},
        )
        assert answer.status_code == 400
        assert answer.json()["message"] == (
            "failed to create typed patch object (default/one; v1, Kind=ConfigMap): .dta: field not declared in schema"
        )
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "one", "namespace": "default"},
    }
    answer = await http.patch(
        "/apis/apps/v1/namespaces/default/deployments/one?fieldManager=me",
        content=json.dumps({**body, "sepc": {}}),
        headers={"content-type": "application/apply-patch+yaml"},
    )
    assert "typed patch object (default/one; apps/v1, Kind=Deployment): .sepc:" in answer.json()["message"]


async def test_collections_and_evictions(http: httpx2.AsyncClient, cluster: Cluster) -> None:
    for name in ("a", "b"):
        await cluster.objects.create("configmaps", configmap(name))
    answer = await http.delete(CONFIGMAPS + "?fieldSelector=metadata.name%3Da")
    assert answer.status_code == 200
    assert [item["metadata"]["name"] for item in (await cluster.objects.list("configmaps")).items] == ["b"]
    spec = {"containers": [{"name": "web", "image": "x"}]}
    await cluster.objects.create("pods", {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})
    evicted = await http.post(
        "/api/v1/namespaces/default/pods/web/eviction", json={"metadata": {"name": "web"}}
    )
    assert evicted.status_code == 201
    assert not cluster.objects.has("pods", "default", "web")


async def test_the_server_stops_with_watches_open(
    objects: Objects, node: ScriptedNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "GRACE", 60)
    certificates = ensure_certificates(tmp_path)
    admin = FixedAuthenticator({"admin": Principal("user", "anna", ("admin",))})
    api = KubernetesAPI(objects, admin, node)
    trusted = ssl.create_default_context(cafile=tmp_path / "ca.crt")
    async with anyio.create_task_group() as tasks:
        port = await tasks.start(serve_tls, api, "127.0.0.1", 0, certificates)
        url, headers = f"https://127.0.0.1:{port}", {"Authorization": "Bearer admin"}
        client = httpx2.AsyncClient(base_url=url, verify=trusted, trust_env=False, headers=headers)
        async with client, client.stream("GET", CONFIGMAPS + "?watch=1") as answer:
            assert answer.status_code == 200
            with pytest.raises(OSError, match=str(port)):
                await serve_tls(api, "127.0.0.1", port, certificates)
            await client.get(CONFIGMAPS)  # on a connection that stays open, and idle
            tasks.cancel_scope.cancel()
            start = time.monotonic()
            with anyio.CancelScope(shield=True):
                assert await answer.aread() == b""  # an end in good order, after which clients come back
    assert time.monotonic() - start < serving.GRACE / 2
    await api.close()


def test_certificates_are_kept_and_renewed_when_a_name_is_missing(tmp_path: Path) -> None:
    first = ensure_certificates(tmp_path)
    before = (first.ca_pem, first.certificate.read_bytes())
    assert ensure_certificates(tmp_path).certificate.read_bytes() == before[1]
    again = ensure_certificates(tmp_path, ("localhost", "127.0.0.1", "example.com"))
    assert again.ca_pem == before[0]
    assert again.certificate.read_bytes() != before[1]
    for name in ("ca.key", "server.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_a_kubeconfig_names_its_parts() -> None:
    text = kubeconfig_yaml("https://127.0.0.1:8701", "CA", "secret", "team")
    config = yaml.safe_load(text)
    assert config["current-context"] == config["contexts"][0]["name"] == "windlass"
    assert config["contexts"][0]["context"]["namespace"] == "team"
    assert config["users"][0]["user"]["token"] == "secret"
