from __future__ import annotations

import errno
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest

if TYPE_CHECKING:
    import httpx2

    from registry.conftest import Serving

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
CONTENT = bytes(range(256)) * 40
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
OTHER = f"sha256:{'0' * 64}"


def code(answer: httpx2.Response) -> str:
    return str(answer.json()["errors"][0]["code"])


async def test_who_may_do_what(serving: Serving) -> None:
    await serving.image()
    async with serving.client(None) as nobody:
        answer = await nobody.get("/v2/")
        assert (answer.status_code, code(answer)) == (401, "UNAUTHORIZED")
        assert answer.headers["www-authenticate"].startswith("Basic realm=")
        assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
    async with serving.client("rita-token") as rita:
        assert (await rita.get("/v2/")).json() == {}
        assert (await rita.get("/v2/acme/x/manifests/v1")).status_code == 200
        refused = await rita.post("/v2/acme/x/blobs/uploads/")
        assert (refused.status_code, code(refused)) == (403, "DENIED")
    async with serving.client("otto-token") as otto:
        hidden = await otto.get("/v2/acme/x/manifests/v1")
        missing = await otto.get("/v2/acme/none/manifests/v1")
        assert (hidden.status_code, code(hidden)) == (404, "NAME_UNKNOWN")
        assert hidden.text.replace("acme/x", "") == missing.text.replace("acme/none", "")
        assert (await otto.get("/v2/_catalog")).json() == {"repositories": []}


async def test_monolithic_upload_and_ranges(serving: Serving) -> None:
    async with serving.client() as client:
        begun = await client.post("/v2/acme/x/blobs/uploads/")
        assert begun.status_code == 202
        done = await client.put(f"{begun.headers['location']}?digest={DIGEST}", content=CONTENT)
        assert (done.status_code, done.headers["docker-content-digest"]) == (201, DIGEST)
        blob = done.headers["location"]
        head = await client.head(blob)
        assert (head.status_code, head.headers["content-length"], head.content) == (
            200,
            str(len(CONTENT)),
            b"",
        )
        assert (await client.get(blob)).content == CONTENT
        for wanted, expected in (("0-9", CONTENT[:10]), ("100-", CONTENT[100:]), ("-5", CONTENT[-5:])):
            part = await client.get(blob, headers={"range": f"bytes={wanted}"})
            assert (part.status_code, part.content) == (206, expected)
        outside = await client.get(blob, headers={"range": f"bytes={len(CONTENT)}-"})
        assert (outside.status_code, outside.headers["content-range"]) == (416, f"bytes */{len(CONTENT)}")
    assert (serving.root / "blobs" / "sha256" / DIGEST[7:9] / DIGEST[7:]).read_bytes() == CONTENT
    assert list((serving.root / "uploads").iterdir()) == []


async def test_chunked_upload_resumes_and_refuses_gaps(serving: Serving) -> None:
    async with serving.client() as client:
        where = (await client.post("/v2/acme/x/blobs/uploads/")).headers["location"]
        first = await client.patch(where, content=CONTENT[:1000], headers={"content-range": "0-999"})
        assert (first.status_code, first.headers["range"]) == (202, "0-999")
        gap = await client.patch(where, content=CONTENT[2000:], headers={"content-range": "2000-2999"})
        assert (gap.status_code, code(gap), gap.headers["range"]) == (416, "BLOB_UPLOAD_INVALID", "0-999")
        again = await client.patch(where, content=CONTENT[:1000], headers={"content-range": "0-999"})
        assert again.status_code == 416
        # The server starts again: what has arrived is still there, though its hash is lost.
        serving.registry.blobs._open.clear()
        status = await client.get(where)
        assert (status.status_code, status.headers["range"]) == (204, "0-999")
        assert (await client.get(where.replace("acme/x", "acme/y"))).status_code == 404
        rest = await client.patch(where, content=CONTENT[1000:2000])
        assert rest.headers["range"] == "0-1999"
        done = await client.put(f"{where}?digest={DIGEST}", content=CONTENT[2000:])
        assert done.status_code == 201
        assert (await client.get(where)).status_code == 404


async def test_what_a_full_disk_took_of_a_chunk_is_no_part_of_the_blob(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that stops half-way leaves half of it; the client goes on from where the server says it stands."""
    whole = Path.open

    def half(path: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        stream = whole(path, mode, *rest, **named)
        if mode != "ab":
            return stream

        def write(data: bytes) -> None:
            type(stream).write(stream, data[: len(data) // 2])
            stream.flush()
            raise OSError(errno.ENOSPC, "No space left on device")

        full = MagicMock(wraps=stream, write=write)
        full.__enter__.return_value = full
        full.__exit__.side_effect = lambda *_: stream.close()
        return full

    async with serving.client() as client:
        where = (await client.post("/v2/acme/x/blobs/uploads/")).headers["location"]
        assert (await client.patch(where, content=CONTENT[:1000])).headers["range"] == "0-999"
        with monkeypatch.context() as patched:
            patched.setattr(Path, "open", half)
            full = await client.patch(where, content=CONTENT[1000:])
        assert full.status_code == 507
        assert "disk is full" in full.json()["errors"][0]["message"]
        assert (await client.get(where)).headers["range"] == "0-999"
        assert (await client.put(f"{where}?digest={DIGEST}", content=CONTENT[1000:])).status_code == 201
        assert (await client.get(f"/v2/acme/x/blobs/{DIGEST}")).content == CONTENT


async def test_a_wrong_digest_is_found_and_the_upload_is_gone(serving: Serving) -> None:
    async with serving.client() as client:
        where = (await client.post("/v2/acme/x/blobs/uploads/")).headers["location"]
        bad = await client.put(f"{where}?digest={OTHER}", content=CONTENT)
        assert (bad.status_code, code(bad)) == (400, "DIGEST_INVALID")
        assert (await client.get(where)).status_code == 404
        assert (await client.head(f"/v2/acme/x/blobs/{OTHER}")).status_code == 404
        for digest in ("", "sha256:abc", "md5:" + "0" * 32, "sha256:../../../etc/passwd"):
            where = (await client.post("/v2/acme/x/blobs/uploads/")).headers["location"]
            assert code(await client.put(where, params={"digest": digest}, content=b"")) == "DIGEST_INVALID"


async def test_cancel_and_unknown_uploads(serving: Serving) -> None:
    async with serving.client() as client:
        where = (await client.post("/v2/acme/x/blobs/uploads/")).headers["location"]
        assert (await client.delete(where)).status_code == 204
        for gone in (where, "/v2/acme/x/blobs/uploads/..", "/v2/acme/x/blobs/uploads/" + "f" * 32):
            assert (await client.patch(gone, content=b"x")).status_code in {404, 405}


async def test_mount_needs_the_right_to_read_the_source(serving: Serving) -> None:
    await serving.blob(CONTENT, "acme/source")
    await serving.blob(b"secret", "other/source")
    secret = f"sha256:{hashlib.sha256(b'secret').hexdigest()}"
    async with serving.client() as client:
        mounted = await client.post(f"/v2/acme/x/blobs/uploads/?mount={DIGEST}&from=acme/source")
        assert mounted.status_code == 201
        assert (await client.get(f"/v2/acme/x/blobs/{DIGEST}")).content == CONTENT
        refused = await client.post(f"/v2/acme/x/blobs/uploads/?mount={secret}&from=other/source")
        assert refused.status_code == 202
        assert (await client.head(f"/v2/acme/x/blobs/{secret}")).status_code == 404
        unknown = await client.post(f"/v2/acme/x/blobs/uploads/?mount={OTHER}&from=acme/source")
        assert unknown.status_code == 202


async def test_manifests_by_tag_and_digest(serving: Serving) -> None:
    digest = await serving.image("v1")
    async with serving.client("rita-token") as client:
        for reference in ("v1", digest):
            found = await client.get(f"/v2/acme/x/manifests/{reference}")
            assert found.headers["docker-content-digest"] == digest
            assert found.headers["content-type"] == OCI_MANIFEST
            assert f"sha256:{hashlib.sha256(found.content).hexdigest()}" == digest
            head = await client.head(f"/v2/acme/x/manifests/{reference}")
            assert (head.status_code, head.content) == (200, b"")
        missing = await client.get("/v2/acme/x/manifests/none")
        assert (missing.status_code, code(missing)) == (404, "MANIFEST_UNKNOWN")
    assert await serving.registry.resolve("acme/x", "v1") == digest
    assert await serving.registry.resolve("acme/x", OTHER) is None
    config = await serving.registry.config("acme/x", digest)
    assert config == {"architecture": "amd64", "os": "linux", "tag": "v1"}
    [entry] = await serving.store.read("ledger.of_subject", subject="image/acme/x")
    assert entry["kind"] == "registry.pushed"
    assert json.loads(entry["data"]) == {"tag": "v1", "digest": digest, "pusher": "root"}


def document(**changes: Any) -> dict[str, Any]:
    descriptor = {"mediaType": "application/octet-stream", "digest": DIGEST, "size": len(CONTENT)}
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor,
        "layers": [descriptor],
        **changes,
    }


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{", "MANIFEST_INVALID"),
        (b"[]", "MANIFEST_INVALID"),
        (b"[" * 100_000, "MANIFEST_INVALID"),
        (json.dumps(document(schemaVersion=1)).encode(), "MANIFEST_INVALID"),
        (json.dumps(document(mediaType=OCI_INDEX)).encode(), "MANIFEST_INVALID"),
        (json.dumps(document(manifests=[])).encode(), "MANIFEST_INVALID"),
        (json.dumps(document(layers=[{"digest": DIGEST}])).encode(), "MANIFEST_INVALID"),
        (json.dumps(document(layers=[{"digest": "sha256:../x", "size": 1}])).encode(), "MANIFEST_INVALID"),
        (json.dumps(document(layers=None)).encode(), "MANIFEST_INVALID"),
        (json.dumps(document(mediaType=["x"])).encode(), "MANIFEST_INVALID"),
        (json.dumps(document(artifactType="\ud800")).encode(), "MANIFEST_INVALID"),
        (json.dumps(document(config={"digest": OTHER, "size": 2})).encode(), "MANIFEST_BLOB_UNKNOWN"),
        (json.dumps(document(annotations={"a": 1})).encode(), "MANIFEST_INVALID"),
    ],
)
async def test_bad_manifests_are_refused(serving: Serving, body: bytes, expected: str) -> None:
    await serving.blob(CONTENT)
    async with serving.client() as client:
        headers = {"content-type": OCI_MANIFEST}
        answer = await client.put("/v2/acme/x/manifests/v1", content=body, headers=headers)
        assert code(answer) == expected
        assert (await client.get("/v2/acme/x/tags/list")).json()["tags"] == []


async def test_a_manifest_over_the_limit_is_refused(serving: Serving) -> None:
    async with serving.client() as client:
        answer = await client.put("/v2/acme/x/manifests/v1", content=b" " * (4 << 20) + b"{}")
        assert (answer.status_code, code(answer)) == (413, "MANIFEST_INVALID")


async def test_a_manifest_under_another_digest_is_refused(serving: Serving) -> None:
    await serving.blob(CONTENT)
    async with serving.client() as client:
        headers = {"content-type": OCI_MANIFEST}
        url = f"/v2/acme/x/manifests/{OTHER}"
        assert code(await client.put(url, json=document(), headers=headers)) == "DIGEST_INVALID"


@pytest.mark.parametrize("tag", ["sha-860c190", "a" * 40])
async def test_tags_that_hold_a_commit_never_move(serving: Serving, tag: str) -> None:
    digest = await serving.image(tag)
    assert await serving.image(tag) == digest
    await serving.blob(CONTENT)
    async with serving.client() as client:
        headers = {"content-type": OCI_MANIFEST}
        refused = await client.put(f"/v2/acme/x/manifests/{tag}", json=document(), headers=headers)
        assert (refused.status_code, code(refused)) == (409, "DENIED")
        assert digest in refused.json()["errors"][0]["message"]
        for reference in (tag, digest):
            assert (await client.delete(f"/v2/acme/x/manifests/{reference}")).status_code == 403
        assert (await client.put("/v2/acme/x/manifests/main", json=document(), headers=headers)).is_success
    assert await serving.registry.resolve("acme/x", tag) == digest
    assert await serving.registry.resolve("acme/x", "main") != digest
    async with serving.client("root-token") as root:
        assert (await root.delete(f"/v2/acme/x/manifests/{tag}")).status_code == 202


async def test_lists_come_in_pages(serving: Serving) -> None:
    for tag in ("a", "b", "c"):
        await serving.image(tag)
    await serving.image("v1", "acme/y")
    await serving.image("v1", "other/z")
    async with serving.client() as client:
        url, tags = "/v2/acme/x/tags/list?n=2", []
        while url:
            answer = await client.get(url)
            tags.append(answer.json()["tags"])
            url = answer.links.get("next", {}).get("url", "")
        assert tags == [["a", "b"], ["c"]]
        first = await client.get("/v2/_catalog?n=1")
        assert first.json() == {"repositories": ["acme/x"]}
        second = await client.get(first.links["next"]["url"])
        assert second.json() == {"repositories": ["acme/y"]}
        assert not second.links
        assert (await client.get("/v2/acme/x/tags/list?n=-1")).status_code == 400
        assert code(await client.get("/v2/acme/none/tags/list")) == "NAME_UNKNOWN"


async def test_referrers(serving: Serving) -> None:
    subject = await serving.image("v1")
    descriptor = {"mediaType": OCI_MANIFEST, "digest": subject, "size": 1}
    signature = await serving.image(
        "sig", subject=descriptor, artifactType="application/x.sig", annotations={"by": "anna"}
    )
    await serving.image("sbom", subject=descriptor, artifactType="application/x.sbom")
    async with serving.client() as client:
        everything = await client.get(f"/v2/acme/x/referrers/{subject}")
        assert everything.headers["content-type"] == OCI_INDEX
        assert len(everything.json()["manifests"]) == 2
        some = await client.get(f"/v2/acme/x/referrers/{subject}?artifactType=application/x.sig")
        assert some.headers["oci-filters-applied"] == "artifactType"
        [found] = some.json()["manifests"]
        assert (found["digest"], found["annotations"]) == (signature, {"by": "anna"})
        assert (await client.get(f"/v2/acme/x/referrers/{OTHER}")).json()["manifests"] == []


async def test_indexes_and_deletion(serving: Serving) -> None:
    digest = await serving.image("v1")
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [{"mediaType": OCI_MANIFEST, "digest": digest, "size": 1}],
    }
    async with serving.client() as client:
        headers = {"content-type": OCI_INDEX}
        pushed = await client.put("/v2/acme/x/manifests/multi", json=index, headers=headers)
        whole = pushed.headers["docker-content-digest"]
        assert await serving.registry.config("acme/x", whole) == {
            "architecture": "amd64",
            "os": "linux",
            "tag": "v1",
        }
        elsewhere = await client.put("/v2/acme/y/manifests/multi", json=index, headers=headers)
        assert code(elsewhere) == "MANIFEST_BLOB_UNKNOWN"
        layer = json.loads((await client.get("/v2/acme/x/manifests/v1")).content)["layers"][0]["digest"]
        assert (await client.delete(f"/v2/acme/x/blobs/{layer}")).status_code == 403
        assert (await client.delete(f"/v2/acme/x/manifests/{digest}")).status_code == 403
        assert (await client.delete(f"/v2/acme/x/manifests/{whole}")).status_code == 202
        assert (await client.delete("/v2/acme/x/manifests/v1")).status_code == 202
        assert (await client.get(f"/v2/acme/x/manifests/{digest}")).status_code == 200
        assert (await client.delete(f"/v2/acme/x/manifests/{digest}")).status_code == 202
        assert (await client.delete(f"/v2/acme/x/manifests/{digest}")).status_code == 404
        assert (await client.delete(f"/v2/acme/x/blobs/{layer}")).status_code == 202
        assert (await client.delete(f"/v2/acme/x/blobs/{layer}")).status_code == 404


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2/ACME/x/tags/list", "NAME_INVALID"),
        ("/v2/acme/%2e%2e/x/tags/list", "NAME_INVALID"),
        ("/v2/acme/x/manifests/-bad", "MANIFEST_INVALID"),
        ("/v2/acme/x/blobs/sha256:zz", "DIGEST_INVALID"),
        ("/v2/acme/x/nothing", "UNSUPPORTED"),
        (f"/v2/{'a/' * 200}a/tags/list", "NAME_INVALID"),
        (f"/v2/_catalog?{'&'.join(f'a{i}=1' for i in range(99))}", "UNSUPPORTED"),
    ],
)
async def test_malformed_paths(serving: Serving, path: str, expected: str) -> None:
    async with serving.client("root-token") as client:
        assert code(await client.get(path)) == expected
