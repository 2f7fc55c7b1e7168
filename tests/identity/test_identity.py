from __future__ import annotations

import base64
import stat
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.identity import (
    FixedAuthenticator,
    Identity,
    Principal,
    ScopeError,
    SecretError,
    Secrets,
    token_from_headers,
)

if TYPE_CHECKING:
    from pathlib import Path

    from windlass.store import Store


def basic(user: str, password: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


@pytest.mark.parametrize(
    ("scopes", "action", "resource", "expected"),
    [
        (("admin",), "kube:admin", "*", True),
        (("repo:write:acme/*",), "repo:read", "acme/x", True),
        (("repo:write:acme/*",), "repo:write", "acme/x", True),
        (("repo:write:acme/*",), "repo:admin", "acme/x", False),
        (("repo:read:acme/x",), "repo:write", "acme/x", False),
        (("repo:read:acme/x",), "registry:read", "acme/x", False),
        (("repo:read:acme/x",), "repo:read", "acme/xy", False),
        ((), "api:read", "runs", False),
    ],
)
def test_scopes(scopes: tuple[str, ...], action: str, resource: str, expected: bool) -> None:
    assert Principal("user", "anna", scopes).may(action, resource) is expected


async def test_a_token_is_recognised_stored_hashed_and_revocable(store: Store, tmp_path: Path) -> None:
    identity = Identity(store)
    token = await identity.mint("user", "anna", ["repo:read:acme/*"])
    assert await identity.authenticate(token) == Principal("user", "anna", ("repo:read:acme/*",))
    for file in tmp_path.iterdir():
        assert token.encode() not in file.read_bytes()
    assert await identity.revoke("anna") == 1
    assert await identity.authenticate(token) is None


async def test_an_expired_token_is_nobody(store: Store) -> None:
    identity = Identity(store)
    token = await identity.mint("job", "run/1", ["admin"], ttl=-1)
    assert await identity.authenticate(token) is None
    assert await identity.tokens() == []


async def test_one_token_of_several_is_revoked_by_its_id(store: Store) -> None:
    identity = Identity(store)
    first = await identity.mint("user", "anna", ["admin"], label="laptop")
    second = await identity.mint("user", "anna", ["admin"], label="phone")
    listed = {row["label"]: row["id"] for row in await identity.tokens()}
    assert await identity.revoke_id(listed["laptop"])
    assert await identity.authenticate(first) is None
    assert await identity.authenticate(second) is not None
    assert not await identity.revoke_id("nothing")


async def test_a_malformed_scope_mints_nothing(store: Store) -> None:
    for scope in ("repo", "repo:write", "repo:fly:x", "moon:read:x", "repo:read:a b", ""):
        with pytest.raises(ScopeError, match="AREA:VERB:RESOURCE"):
            await Identity(store).mint("user", "anna", [scope])
    assert await Identity(store).tokens() == []


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"authorization", b"Bearer t")], "t"),
        ([(b"Authorization", b"token t")], "t"),
        ([(b"authorization", basic("x", "t"))], "t"),
        ([(b"authorization", basic("t", ""))], "t"),
        ([(b"authorization", b"Basic !!!")], None),
        ([(b"authorization", b"Digest t")], None),
        ([(b"cookie", b"a=b; windlass_session=t")], "t"),
        ([(b"cookie", b"windlass_session=c"), (b"authorization", b"Bearer t")], "t"),
        ([], None),
    ],
)
def test_where_a_token_stands(headers: list[tuple[bytes, bytes]], expected: str | None) -> None:
    assert token_from_headers(headers) == expected


@given(st.binary(max_size=200))
def test_no_header_breaks_the_reading(value: bytes) -> None:
    token_from_headers([(b"authorization", value)])
    token_from_headers([(b"authorization", b"Basic " + value)])
    token_from_headers([(b"cookie", value)])


async def test_the_fixed_authenticator_knows_only_its_own() -> None:
    anna = Principal("user", "anna")
    fixed = FixedAuthenticator({"t": anna})
    assert await fixed.from_headers([(b"authorization", b"Bearer t")]) is anna
    assert await fixed.from_headers([(b"authorization", b"Bearer u")]) is None
    assert await fixed.from_headers([]) is None


async def test_secrets_are_sealed_and_the_narrower_scope_wins(store: Store, tmp_path: Path) -> None:
    secrets = Secrets(store, tmp_path / "keys" / "secrets.key")
    await secrets.set("*", "token", "everyone's-value")
    await secrets.set("acme", "OWNER", "owners-value")
    await secrets.set("acme/x", "TOKEN", "repository's-value")
    assert await secrets.reveal("acme/x") == {"TOKEN": "repository's-value", "OWNER": "owners-value"}
    assert await secrets.reveal("other/x") == {"TOKEN": "everyone's-value"}
    database = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert b"s-value" not in database
    assert stat.S_IMODE((tmp_path / "keys" / "secrets.key").stat().st_mode) == 0o600


async def test_a_secret_does_not_open_with_another_key_or_in_another_place(
    store: Store, tmp_path: Path
) -> None:
    secrets = Secrets(store, tmp_path / "one.key")
    sealed = await secrets.seal(b"x", context=b"here")
    with pytest.raises(SecretError, match="does not open"):
        await secrets.unseal(sealed, context=b"there")
    with pytest.raises(SecretError, match="does not open"):
        await Secrets(store, tmp_path / "two.key").unseal(sealed, context=b"here")
    assert await Secrets(store, tmp_path / "one.key").unseal(sealed, context=b"here") == b"x"


@pytest.mark.parametrize(
    ("scope", "name"),
    [("acme/x/y", "A"), ("../x", "A"), ("", "A"), ("a", "1A"), ("a", "A-B"), ("a", "github_token")],
)
async def test_bad_names_are_refused(store: Store, tmp_path: Path, scope: str, name: str) -> None:
    with pytest.raises(SecretError):
        await Secrets(store, tmp_path / "k").set(scope, name, "v")


async def test_a_secret_is_deleted_once(store: Store, tmp_path: Path) -> None:
    secrets = Secrets(store, tmp_path / "k")
    await secrets.set("acme", "A", "v")
    assert await secrets.names("acme") == ["A"]
    assert await secrets.delete("acme", "a")
    assert not await secrets.delete("acme", "a")
    assert await secrets.names("acme") == []
