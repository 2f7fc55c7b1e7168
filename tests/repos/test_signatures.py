from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from windlass.repos.forges.signatures import MAX_ID, delivery_of, verify

BODY, SECRET, NOW = b"Hello, World!", "It's a Secret to Everybody", 1_700_000_000.0
DOCUMENTED = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
"""The example of GitHub's documentation, "Validating webhook deliveries"."""


def standard(
    identifier: str = "msg_1", at: float = NOW, body: bytes = BODY, key: bytes = b""
) -> dict[str, str]:
    signed = f"{identifier}.{int(at)}.".encode() + body
    mac = hmac.new(key or SECRET.encode(), signed, hashlib.sha256).digest()
    return {
        "webhook-id": identifier,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


GOOD = {
    "github": {"x-hub-signature-256": f"sha256={DOCUMENTED}"},
    "github, with what is older beside it": {
        "x-hub-signature-256": f"sha256={DOCUMENTED}",
        "x-hub-signature": "sha1=" + "0" * 40,
    },
    "gitea": {"x-gitea-signature": DOCUMENTED},
    "forgejo": {"x-forgejo-signature": DOCUMENTED},
    "bitbucket": {"x-hub-signature": f"sha256={DOCUMENTED}"},
    "gitlab": {"x-gitlab-token": SECRET},
    "gitlab, signed": standard(),
    "several keys": {**standard(), "webhook-signature": f"v1,AAAA {standard()['webhook-signature']}"},
}


@pytest.mark.parametrize("headers", GOOD.values(), ids=GOOD)
def test_each_forges_signature_is_known(headers: dict[str, str]) -> None:
    assert verify(headers, BODY, SECRET, now=NOW)
    assert verify(headers, BODY, "another secret", now=NOW) is None
    assert verify(headers, BODY, None, now=NOW) is None
    if "x-gitlab-token" not in headers:
        assert verify(headers, BODY + b"!", SECRET, now=NOW) is None


BAD = {
    "nothing": {},
    "empty": {"x-hub-signature-256": ""},
    "no digest": {"x-hub-signature-256": "sha256="},
    "sha1": {"x-hub-signature": "sha1=" + hmac.new(SECRET.encode(), BODY, hashlib.sha1).hexdigest()},
    "shortened": {"x-hub-signature-256": f"sha256={DOCUMENTED[:-1]}"},
    "no ascii": {"x-hub-signature-256": "sha256=ü"},
    "old": standard(at=NOW - 301),
    "of the future": standard(at=NOW + 301),
    "no time": {**standard(), "webhook-timestamp": ""},
    "another time": {**standard(), "webhook-timestamp": str(int(NOW) + 1)},
    "another id": {**standard(), "webhook-id": "msg_2"},
    "another version": {
        **standard(),
        "webhook-signature": standard()["webhook-signature"].replace("v1", "v9"),
    },
    "a bad signature beside a good token": {
        **standard(),
        "webhook-signature": "v1,AAAA",
        "x-gitlab-token": SECRET,
    },
    "the secret as bearer": {"authorization": f"Bearer {SECRET}"},
}


@pytest.mark.parametrize("headers", BAD.values(), ids=BAD)
def test_what_is_not_signed_so_is_refused(headers: dict[str, str]) -> None:
    assert verify(headers, BODY, SECRET, now=NOW) is None


def test_the_secret_of_nobody_opens_nothing() -> None:
    from windlass.repos.forges.signatures import NOBODY

    mac = hmac.new(NOBODY.encode(), BODY, hashlib.sha256).hexdigest()
    assert verify({"x-hub-signature-256": f"sha256={mac}"}, BODY, None, now=NOW) is None
    assert verify({"x-gitlab-token": NOBODY}, BODY, None, now=NOW) is None


def test_a_bearer_counts_where_it_is_asked_for() -> None:
    shown = verify({"authorization": f"Bearer {SECRET}"}, BODY, SECRET, now=NOW, bearer=True)
    assert shown
    assert not shown.binds_body
    assert verify({"authorization": "Bearer x"}, BODY, SECRET, now=NOW, bearer=True) is None


def test_a_secret_of_standard_webhooks_is_base64() -> None:
    key = b"0123456789abcdef01234567"
    secret = f"whsec_{base64.b64encode(key).decode()}"
    assert verify(standard(key=key), BODY, secret, now=NOW)


def test_a_signed_id_is_bound_and_others_are_not() -> None:
    signed = verify(standard(), BODY, SECRET, now=NOW)
    assert signed
    assert (signed.delivery, signed.binds_id) == ("msg_1", True)
    github = verify({**GOOD["github"], "x-github-delivery": "d"}, BODY, SECRET, now=NOW)
    assert github
    assert (github.delivery, github.binds_id, github.binds_body) == ("d", False, True)


@pytest.mark.parametrize("given", ["", "x" * (MAX_ID + 1), "a\nb"])
def test_an_id_that_makes_no_sense_is_that_of_the_body(given: str) -> None:
    assert delivery_of({"x-github-delivery": given}, BODY) == f"sha256:{hashlib.sha256(BODY).hexdigest()}"
