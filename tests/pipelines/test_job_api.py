from __future__ import annotations

import io
import os
import stat
import zipfile
from functools import partial
from typing import TYPE_CHECKING

import anyio
import httpx2
import pytest

from pipelines import living
from pipelines.living import GOOD, zipped
from windlass.pipelines.caches import cache_refs
from windlass.pipelines.spool import sweep_parts

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.conftest import House


jobs = partial(living.jobs, base="http://x/_jobs")


async def test_an_artifact_goes_up_and_comes_down(house: House) -> None:
    async with jobs(house, "main", "main") as (pipelines, (client, other)):
        answer = await client.put("/artifacts/html report", content=GOOD)
        assert answer.status_code == 201, answer.text
        assert (answer.json()["files"], answer.json()["size"]) == (2, len(GOOD))
        assert (house.data / "artifacts" / "1" / "html report.zip").read_bytes() == GOOD
        listed = (await client.get("/artifacts")).json()["artifacts"]
        assert [item["name"] for item in listed] == ["html report"]
        down = await client.get("/artifacts/html%20report")
        assert down.content == GOOD
        assert (await client.get("/artifacts/nothing")).status_code == 404
        assert (await other.get("/artifacts")).json() == {"artifacts": []}
        assert (await other.get("/artifacts/html%20report", params={"run": 1})).content == GOOD
        assert (await other.get("/artifacts", params={"run": 99})).status_code == 404
        assert (await client.put("/artifacts/html report", content=GOOD)).status_code == 201
        different = zipped({"b": b"b"})
        assert (await client.put("/artifacts/html report", content=different)).status_code == 409
        over = await client.put("/artifacts/html report?overwrite=true", content=different)
        assert over.status_code == 201
        artifact, path = await pipelines.artifacts.get(1, "html report")
        assert path.read_bytes() == different
        assert artifact.digest == over.json()["digest"]


def link(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    return buffer.getvalue()


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"\0" * (3 << 20))
    return buffer.getvalue()


def two_faced() -> bytes:
    """A zip whose table of contents has harmless names, and whose files say others."""
    return zipped({"a/inside": b"x"}).replace(b"a/inside", b"../evil!", 1)


def with_hidden() -> bytes:
    """A zip with a file in front that its table of contents does not name."""
    first = zipped({"../../evil": b"x"})
    return first[: first.index(b"PK\x01\x02")] + zipped({"fine": b""})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (two_faced(), "another name in front"),
        (with_hidden(), "something hidden"),
        (zipped({"../../etc/cron.d/x": b""}), "leads out"),
        (zipped({"a/../../b": b""}), "leads out"),
        (zipped({"/etc/passwd": b""}), "absolute"),
        (zipped({"C:\\x": b""}), "absolute"),
        (zipped({"a\\..\\b": b""}), "absolute"),
        (link("innocent"), "symbolic link"),
        (b"this is no zip", "not a zip"),
        (b"", "not a zip"),
        (zipped({str(number): b"" for number in range(20)}), "20 files"),
        (bomb(), "unpacks"),
        (zipped({"big": b"x" * 70_000}), "larger than"),
    ],
)
async def test_an_archive_that_would_do_harm_is_refused_and_leaves_nothing(
    house: House, content: bytes, message: str
) -> None:
    """Zip-slip (CVE-2024-42471), links, bombs."""
    async with jobs(house, "main") as (pipelines, (client,)):
        limits = {"artifact_files": 10, "artifact_unpacked": 2 << 20, "artifact_limit": 65_536}
        pipelines.artifacts._settings = house.settle(**limits)
        answer = await client.put("/artifacts/x", content=content)
        assert answer.status_code == 422
        assert message in answer.json()["message"]
        assert (await client.get("/artifacts")).json() == {"artifacts": []}
        assert list((house.data / "artifacts" / "1").iterdir()) == []


@pytest.mark.parametrize("name", ["..", "a%2Fb", "..%2F..%2Fx", "a%5Cb", "a%3Ab", "a%0Ab", "x" * 250])
async def test_an_artifacts_name_cannot_lead_anywhere(house: House, name: str) -> None:
    async with jobs(house, "main") as (_, (client,)):
        answer = await client.put(httpx2.URL(f"http://x/_jobs/artifacts/{name}"), content=GOOD)
        assert answer.status_code in {404, 405, 422}
        assert not (house.data / "artifacts").exists() or not any((house.data / "artifacts").rglob("*.zip"))


async def test_only_living_jobs_are_let_in(house: House) -> None:
    async with jobs(house, "main") as (pipelines, (client,)):
        anonymous = await client.get("/artifacts", headers={"Authorization": ""})
        assert anonymous.status_code == 401
        assert "Bearer" in anonymous.headers["www-authenticate"]
        user = await house.identity.mint("user", "anna", ["admin"])
        assert (
            await client.get("/artifacts", headers={"Authorization": f"Bearer {user}"})
        ).status_code == 403
        fake = await house.identity.mint("user", "run/1/test/1", ["admin"])
        assert (
            await client.get("/caches?keys=a", headers={"Authorization": f"Bearer {fake}"})
        ).status_code == 403
        await pipelines.cancel(1, actor="anna")
        await house.over(pipelines)
        late = await house.identity.mint("job", "run/1/test/1", ["repo:read:acme/app"])
        assert (
            await client.get("/artifacts", headers={"Authorization": f"Bearer {late}"})
        ).status_code == 403


async def found(client: httpx2.AsyncClient, keys: str, version: str = "v1") -> str | None:
    answer = await client.get("/caches", params={"keys": keys, "version": version})
    return str(answer.json()["key"]) if answer.status_code == 200 else None


async def test_a_cache_is_found_by_key_or_by_what_keys_begin_with(house: House) -> None:
    async with jobs(house, "main") as (_, (client,)):
        for key in ("uv-linux-1", "uv-linux-2", "other"):
            assert (
                await client.put(f"/caches/{key}", params={"version": "v1"}, content=key.encode())
            ).status_code == 201
        assert await found(client, "uv-linux-1") == "uv-linux-1"
        assert await found(client, "uv-linux-3,uv-linux-") == "uv-linux-2"
        assert await found(client, "uv-linux-1", "v2") is None
        assert await found(client, "nothing,nor-this") is None
        entry = (await client.get("/caches", params={"keys": "other", "version": "v1"})).json()
        assert (await client.get(f"/caches/{entry['id']}")).content == b"other"
        again = await client.put("/caches/other", params={"version": "v1"}, content=b"poison")
        assert again.status_code == 409
        assert (await client.get(f"/caches/{entry['id']}")).content == b"other"
        assert (
            await client.put("/caches/" + "k" * 600, params={"version": "v1"}, content=b"")
        ).status_code == 422


async def test_a_branch_reads_the_default_branch_and_nobody_reads_the_branch(house: House) -> None:
    """Cache poisoning across branches (CVE-2026-34042)."""
    async with jobs(house, "main", "feature", "other") as (_, (main, feature, other)):
        await feature.put("/caches/deps", params={"version": "v1"}, content=b"poison")
        assert await found(main, "deps") is None
        assert await found(other, "deps") is None
        assert await found(feature, "deps") == "deps"
        assert (await main.get("/caches/1")).status_code == 404
        assert (await other.get("/caches/1")).status_code == 404
        await main.put("/caches/deps", params={"version": "v1"}, content=b"good")
        entry = (await other.get("/caches", params={"keys": "deps", "version": "v1"})).json()
        assert (await other.get(f"/caches/{entry['id']}")).content == b"good"
        own = (await feature.get("/caches", params={"keys": "deps", "version": "v1"})).json()
        assert (await feature.get(f"/caches/{own['id']}")).content == b"poison"


async def test_over_the_limit_the_least_used_goes_first(house: House) -> None:
    house.settle(cache_limit=4000)
    async with jobs(house, "main") as (pipelines, (client,)):
        for key in ("a", "b", "c"):
            await client.put(f"/caches/{key}", params={"version": "v"}, content=key.encode() * 1300)
        await anyio.sleep(0.01)
        entry = (await client.get("/caches", params={"keys": "a", "version": "v"})).json()
        await client.get(f"/caches/{entry['id']}")
        await client.put("/caches/d", params={"version": "v"}, content=b"d" * 1300)
        assert {cache.key for cache in await pipelines.caches.list("acme/app")} == {"a", "c", "d"}
        assert len(list((house.data / "caches" / "actions").iterdir())) == 3
        too_large = await client.put("/caches/e", params={"version": "v"}, content=b"e" * 5000)
        assert too_large.status_code == 422
        assert len(list((house.data / "caches" / "actions").iterdir())) == 3


@pytest.mark.parametrize(
    ("ref", "event", "base", "refs"),
    [
        ("refs/heads/main", "push", "", ("refs/heads/main",)),
        ("refs/heads/x", "push", "", ("refs/heads/x", "refs/heads/main")),
        ("refs/tags/v1", "push", "", ("refs/tags/v1", "refs/heads/main")),
        (
            "refs/pull/3/merge",
            "pull_request",
            "next",
            ("refs/pull/3/merge", "refs/heads/next", "refs/heads/main"),
        ),
        (
            "refs/heads/main",
            "pull_request_target",
            "main",
            ("refs/heads/main@pull_request_target", "refs/heads/main"),
        ),
    ],
)
def test_what_a_job_reads_and_where_it_writes(ref: str, event: str, base: str, refs: tuple[str, ...]) -> None:
    assert cache_refs(ref, event, base=base, default="main") == refs


def test_what_a_killed_server_left_of_uploads_goes_in_time(tmp_path: Path) -> None:
    old, young, whole = (tmp_path / "caches" / name for name in (".a.part", ".b.part", "1"))
    old.parent.mkdir()
    for path in (old, young, whole):
        path.touch()
    os.utime(old, (1, 1))
    os.utime(whole, (1, 1))
    assert sweep_parts(tmp_path / "caches", tmp_path / "nowhere") == 1
    assert sorted(old.parent.iterdir()) == [young, whole]
