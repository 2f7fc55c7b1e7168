"""The toolkit's services, spoken to as GitHub's own packages speak to them."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from pipelines import living
from pipelines.living import GOOD, zipped
from windlass.pipelines.errors import PipelinesError
from windlass.pipelines.permissions import scopes
from windlass.pipelines.toolkit.messages import field, until
from windlass.pipelines.toolkit.oidc import subject
from windlass.pipelines.toolkit.signing import SignatureError, Signer
from windlass.pipelines.toolkit.token import job_token
from windlass.pipelines.toolkit.uploads import block_ids

if TYPE_CHECKING:
    import httpx2

    from pipelines.conftest import House

SERVICE = "http://x/twirp/github.actions.results.api.v1"
BASE = "http://x"


jobs = partial(living.jobs, base=BASE)


def claims(text: str) -> dict[str, Any]:
    return dict(json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))


async def call(
    client: httpx2.AsyncClient, service: str, method: str, **message: Any
) -> tuple[int, dict[str, Any]]:
    answer = await client.post(f"{SERVICE}.{service}/{method}", json=message)
    return answer.status_code, answer.json()


def local(address: str) -> str:
    """The address as the test's client reaches it."""
    parts = urlsplit(address)
    return f"{BASE}{parts.path}?{parts.query}"


async def send(client: httpx2.AsyncClient, address: str, *blocks: bytes) -> None:
    """Upload in blocks, as Azure's client does, without any token."""
    url, names = local(address), []
    for number, block in enumerate(blocks):
        names.append(base64.b64encode(f"block-{number:06d}".encode()).decode())
        query = {"comp": "block", "blockid": names[-1]}
        answer = await client.put(f"{url}&{'&'.join(f'{k}={v}' for k, v in query.items())}", content=block)
        assert answer.status_code == 201, answer.text
    listed = "".join(f"<Latest>{name}</Latest>" for name in names)
    text = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'
    answer = await client.put(f"{url}&comp=blocklist", content=text)
    assert answer.status_code == 201, answer.text
    assert answer.headers["etag"]


async def test_an_artifact_goes_up_in_blocks_and_comes_down_by_its_address(house: House) -> None:
    async with jobs(house, "main") as (_, (client,)):
        about = {"workflow_run_backend_id": "1", "workflow_job_run_backend_id": "1.test.1", "name": "report"}
        status, made = await call(client, "ArtifactService", "CreateArtifact", **about, version=4)
        assert (status, made["ok"]) == (200, True)
        del client.headers["Authorization"]
        token = next(iter(house.launcher.jobs.values())).secrets.token
        await send(client, made["signed_upload_url"], GOOD[:40], GOOD[40:])
        client.headers["Authorization"] = f"Bearer {token}"
        digest = f"sha256:{hashlib.sha256(GOOD).hexdigest()}"
        finished = {**about, "size": str(len(GOOD)), "hash": digest}
        status, ended = await call(client, "ArtifactService", "FinalizeArtifact", **finished)
        assert (status, ended["ok"]) == (200, True), ended
        _, listed = await call(client, "ArtifactService", "ListArtifacts", **about, name_filter="report")
        assert [(one["database_id"], one["digest"]) for one in listed["artifacts"]] == [
            (ended["artifact_id"], digest)
        ]
        _, found = await call(client, "ArtifactService", "GetSignedArtifactURL", **about)
        del client.headers["Authorization"]
        down = await client.get(local(found["signed_url"]))
        assert down.content == GOOD
        part = await client.get(local(found["signed_url"]), headers={"Range": "bytes=2-5"})
        assert (part.status_code, part.content) == (206, GOOD[2:6])
        assert not any((house.data / "uploads").iterdir())
        client.headers["Authorization"] = f"Bearer {token}"
        assert (await call(client, "ArtifactService", "CreateArtifact", **about))[0] == 409
        assert (await call(client, "ArtifactService", "DeleteArtifact", **about))[1]["ok"] is True
        assert (await call(client, "ArtifactService", "GetSignedArtifactURL", **about))[0] == 404
        assert (await client.get(local(found["signed_url"]))).status_code == 404


async def test_an_upload_that_is_cut_or_changed_makes_no_artifact(house: House) -> None:
    async with jobs(house, "main") as (pipelines, (client,)):
        _, made = await call(client, "ArtifactService", "CreateArtifact", name="report")
        finish = {"name": "report", "size": str(len(GOOD))}
        assert (await call(client, "ArtifactService", "FinalizeArtifact", **finish))[0] == 404
        await send(client, made["signed_upload_url"], GOOD[:-1])
        status, answer = await call(client, "ArtifactService", "FinalizeArtifact", **finish)
        assert (status, answer["code"]) == (400, "invalid_argument")
        assert "bytes were to come" in answer["msg"]
        await send(client, made["signed_upload_url"], GOOD)
        wrong = {**finish, "hash": {"value": "sha256:00"}}
        status, answer = await call(client, "ArtifactService", "FinalizeArtifact", **wrong)
        assert (status, "upload it again" in answer["msg"]) == (400, True)
        assert await pipelines.artifacts.list(1) == []
        missing = await client.put(
            f"{local(made['signed_upload_url'])}&comp=blocklist",
            content="<BlockList><Latest>eA==</Latest></BlockList>",
        )
        assert (missing.status_code, "was not uploaded" in missing.text) == (400, True)


async def test_an_archive_that_would_do_harm_is_refused_whichever_way_it_comes(house: House) -> None:
    evil = zipped({"../../etc/cron.d/x": b"* * * * * root id"})
    async with jobs(house, "main") as (pipelines, (client,)):
        _, made = await call(client, "ArtifactService", "CreateArtifact", name="report")
        await send(client, made["signed_upload_url"], evil)
        finish = {"name": "report", "size": str(len(evil))}
        status, answer = await call(client, "ArtifactService", "FinalizeArtifact", **finish)
        assert (status, "leads out" in answer["msg"]) == (400, True)
        assert await pipelines.artifacts.list(1) == []


async def test_caches_are_written_for_the_own_branch_and_read_of_it_and_the_default_one(house: House) -> None:
    async with jobs(house, "main", "evil", "main") as (_, (main, evil, later)):
        for client, content in ((evil, b"poison"), (main, b"good")):
            status, made = await call(client, "CacheService", "CreateCacheEntry", key="deps-1", version="v")
            assert (status, made["ok"]) == (200, True)
            answer = await client.put(
                local(made["signed_upload_url"]), content=content, headers={"x-ms-blob-type": "BlockBlob"}
            )
            assert answer.status_code == 201
            size = {"key": "deps-1", "version": "v", "size_bytes": str(len(content))}
            assert (await call(client, "CacheService", "FinalizeCacheEntryUpload", **size))[1]["ok"] is True
        wanted = {"key": "deps-9", "restore_keys": ["deps-"], "version": "v"}
        _, found = await call(later, "CacheService", "GetCacheEntryDownloadURL", **wanted)
        assert found["matched_key"] == "deps-1"
        assert (await later.get(local(found["signed_download_url"]))).content == b"good"
        _, found = await call(evil, "CacheService", "GetCacheEntryDownloadURL", **wanted)
        assert (await evil.get(local(found["signed_download_url"]))).content == b"poison"
        _, again = await call(later, "CacheService", "CreateCacheEntry", key="deps-1", version="v")
        assert (again["ok"], "never change" in again["message"]) == (False, True)
        _, none = await call(later, "CacheService", "GetCacheEntryDownloadURL", key="deps-1", version="other")
        assert none["ok"] is False


async def test_the_first_cache_service_takes_pieces_in_any_order(house: House) -> None:
    async with jobs(house, "main") as (_, (client,)):
        prefix = f"{BASE}/_jobs/toolkit/_apis/artifactcache"
        made = (await client.post(f"{prefix}/caches", json={"key": "k", "version": "v"})).json()
        for first, piece in ((3, b"defg"), (0, b"abc")):
            place = {"Content-Range": f"bytes {first}-{first + len(piece) - 1}/*"}
            answer = await client.patch(f"{prefix}/caches/{made['cacheId']}", content=piece, headers=place)
            assert answer.status_code == 204, answer.text
        short = await client.post(f"{prefix}/caches/{made['cacheId']}", json={"size": 6})
        assert short.status_code == 400
        done = await client.post(f"{prefix}/caches/{made['cacheId']}", json={"size": 7})
        assert done.status_code == 204, done.text
        found = (await client.get(f"{prefix}/cache?keys=other,k&version=v")).json()
        assert (await client.get(local(found["archiveLocation"]))).content == b"abcdefg"
        assert (await client.post(f"{prefix}/caches", json={"key": "k", "version": "v"})).status_code == 409
        assert (await client.get(f"{prefix}/cache?keys=x&version=v")).status_code == 204


async def test_nobody_without_a_living_jobs_token_or_a_signed_address_gets_anywhere(house: House) -> None:
    """Of CVE-2026-34042 the whole class: neither cache nor artifact is to be had for asking."""
    async with jobs(house, "main") as (_, (client,)):
        _, made = await call(client, "CacheService", "CreateCacheEntry", key="k", version="v")
        address = local(made["signed_upload_url"])
        client.headers["Authorization"] = "Bearer a.b.wl_made-up"
        status, answer = await call(client, "CacheService", "GetCacheEntryDownloadURL", key="k", version="v")
        assert (status, answer["code"]) == (401, "unauthenticated")
        assert (await client.get(f"{BASE}/_jobs/toolkit/_apis/artifactcache/cache?keys=k")).status_code == 401
        assert (await client.get(f"{BASE}/_jobs/oidc/token?audience=x")).status_code == 401
        bare, _, signature = address.partition("?")
        forged = address.replace("sig=", "sig=0")
        elsewhere = f"{bare[:-1]}{'1' if bare.endswith('0') else '0'}?{signature}"
        other = address.replace("sp=w", "sp=r")
        longer = address.replace("se=", "se=9")
        for wrong in (bare, forged, other, longer, elsewhere):
            put = await client.put(wrong, content=b"poison")
            assert (put.status_code, "signed" in put.text) == (403, True), wrong
        assert (await client.get(f"{BASE}/_jobs/downloads/cache/1")).status_code == 403
        robot = await house.identity.mint("robot", "mirror", ["repo:read:*"])
        client.headers["Authorization"] = f"Bearer {robot}"
        assert (await call(client, "CacheService", "CreateCacheEntry", key="k", version="v"))[0] == 403
        token = next(iter(house.launcher.jobs.values())).secrets.token
        client.headers["Authorization"] = f"Bearer e30.e30.{token}"
        assert (await call(client, "CacheService", "GetCacheEntryDownloadURL", key="k", version="v"))[
            0
        ] == 200
        foreign = await call(client, "ArtifactService", "ListArtifacts", workflow_run_backend_id="99")
        assert foreign[0] == 404
        assert (await call(client, "ArtifactService", "Nothing"))[1]["code"] == "bad_route"


async def test_an_upload_ends_with_its_job(house: House) -> None:
    async with jobs(house, "main") as (pipelines, (client,)):
        _, made = await call(client, "CacheService", "CreateCacheEntry", key="k", version="v")
        next(iter(house.launcher.jobs.values())).term.set()
        await house.over(pipelines)
        answer = await client.put(local(made["signed_upload_url"]), content=b"late")
        assert answer.status_code == 404, answer.text
        assert await pipelines.uploads.expire() == 1
        assert await pipelines.uploads.expire() == 0


async def test_an_identity_token_says_who_the_job_is_only_where_it_may(house: House) -> None:
    async with jobs(house, "main") as (_, (client,)):
        refused = await client.get(f"{BASE}/_jobs/oidc/token?audience=cloud")
        assert (refused.status_code, "id-token: write" in refused.text) == (403, True)
        token = await house.identity.mint(
            "job", "run/1/test/1", scopes({"id-token": "write"}, "acme/app"), label="a job that may"
        )
        client.headers["Authorization"] = f"Bearer {token}"
        value = (await client.get(f"{BASE}/_jobs/oidc/token?audience=cloud")).json()["value"]
        header, body, signature = value.split(".")
        said = claims(body)
        assert said["aud"] == "cloud"
        assert said["sub"] == "repo:acme/app:ref:refs/heads/main"
        assert (said["repository"], said["run_id"]) == ("acme/app", "1")
        assert 0 < said["exp"] - time.time() <= 300
        issuer = urlsplit(said["iss"])
        about = (await client.get(f"{BASE}{issuer.path}/.well-known/openid-configuration")).json()
        assert about["issuer"] == said["iss"]
        (key,) = (await client.get(BASE + urlsplit(about["jwks_uri"]).path)).json()["keys"]
        assert key["kid"] == claims(header)["kid"]
        n, e = (int.from_bytes(base64.urlsafe_b64decode(key[part] + "=="), "big") for part in "ne")
        raw = base64.urlsafe_b64decode(signature + "==")
        public = rsa.RSAPublicNumbers(e, n).public_key()
        public.verify(raw, f"{header}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize(
    ("github", "environment", "expected"),
    [
        ({"ref": "refs/tags/v1", "event_name": "push"}, "", "repo:a/b:ref:refs/tags/v1"),
        ({"ref": "refs/heads/x", "event_name": "push"}, "prod", "repo:a/b:environment:prod"),
        ({"ref": "refs/pull/1/merge", "event_name": "pull_request"}, "", "repo:a/b:pull_request"),
    ],
)
def test_subjects(github: dict[str, str], environment: str, expected: str) -> None:
    assert subject({"repository": "a/b", **github}, environment) == expected


def test_fields_have_either_spelling_and_one_kind() -> None:
    assert field({"sizeBytes": 3}, "size_bytes") == "3"
    assert field({"hash": {"value": "x"}}, "hash") == "x"
    assert field({}, "name") == ""
    with pytest.raises(PipelinesError, match="name: a text is expected"):
        field({"name": ["x"]}, "name")
    with pytest.raises(PipelinesError, match="is not a time"):
        until("tomorrow")
    assert until("2020-01-01T00:00:00Z") == 60
    assert until("") is None


def test_a_runtime_token_ends_in_the_jobs_own() -> None:
    assert job_token("a.b.wl_x") == "wl_x"
    assert job_token("wl_x") == "wl_x"


def test_a_block_list_names_each_block_once() -> None:
    assert block_ids("<BlockList><Latest>YQ==</Latest><Uncommitted> Yg== </Uncommitted></BlockList>") == [
        "YQ==",
        "Yg==",
    ]
    with pytest.raises(PipelinesError, match="each once"):
        block_ids("<Latest>YQ==</Latest>" * 2)


def test_a_signed_address_is_good_for_one_thing_for_a_time() -> None:
    signer = Signer(b"k" * 32)
    query = dict(part.split("=") for part in signer.query("/a", "r").split("&"))
    signer.check("/a", "r", query)
    for path, permission in (("/a", "w"), ("/b", "r")):
        with pytest.raises(SignatureError):
            signer.check(path, permission, query)
    with pytest.raises(SignatureError):
        Signer(b"x" * 32).check("/a", "r", query)
    old = dict(part.split("=") for part in signer.query("/a", "r", lifetime=-5).split("&"))
    with pytest.raises(SignatureError, match="is over"):
        signer.check("/a", "r", old)


async def test_of_githubs_api_there_is_a_little_and_the_rest_is_refused(house: House) -> None:
    api = f"{BASE}/api/v3"
    async with jobs(house, "main") as (pipelines, (client,)):
        await client.put(f"{BASE}/_jobs/artifacts/report", content=GOOD)
        about = (await client.get(f"{api}/repos/acme/app")).json()
        assert (about["full_name"], about["default_branch"]) == ("acme/app", "main")
        head = house.run_git("rev-parse", "HEAD")
        for ref in ("main", "refs/heads/main", head):
            commit = (await client.get(f"{api}/repos/acme/app/commits/{ref}")).json()
            assert (commit["sha"], commit["commit"]["message"]) == (head, "A change")
        assert (await client.get(f"{api}/repos/acme/app/commits/--all")).status_code == 422
        run = (await client.get(f"{api}/repos/acme/app/actions/runs/1")).json()
        assert (run["head_sha"], run["head_branch"], run["event"]) == (head, "main", "push")
        listed = (await client.get(f"{api}/repos/acme/app/actions/runs/1/artifacts?name=report")).json()
        (artifact,) = listed["artifacts"]
        sent = await client.get(local(artifact["archive_download_url"]).rstrip("?"))
        assert sent.status_code == 302
        assert (await client.get(local(sent.headers["location"]))).content == GOOD
        assert (await client.get(f"{api}/repos/acme/app/actions/runs/1/artifacts?name=x")).json()[
            "total_count"
        ] == 0
        for absent in (
            "repos/acme/app/actions/runs/9",
            "repos/acme/other",
            "repos/acme/app/actions/artifacts/9",
        ):
            assert (await client.get(f"{api}/{absent}")).status_code == 404
        comment = await client.post(f"{api}/repos/acme/app/issues/1/comments", json={"body": "hi"})
        assert comment.status_code == 501
        assert "does not serve POST /api/v3/repos/acme/app/issues/1/comments" in comment.json()["message"]
        assert (await client.post(f"{BASE}/api/graphql", json={})).status_code == 501
        stranger = await house.identity.mint("robot", "other", ["repo:read:acme/other"])
        client.headers["Authorization"] = f"token {stranger}"
        for hidden in ("", "/commits/main", "/actions/runs/1", "/actions/artifacts/1/zip"):
            assert (await client.get(f"{api}/repos/acme/app{hidden}")).status_code == 404
        del client.headers["Authorization"]
        assert (await client.get(f"{api}/repos/acme/app")).status_code == 401
        assert (await client.post(f"{api}/anything")).status_code == 401
        assert pipelines.settings.server_url in artifact["url"]
