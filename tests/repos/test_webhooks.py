from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.repos import ZERO
from windlass.repos.webhooks import (
    Ping,
    RemoteImage,
    RemotePullRequest,
    RemotePush,
    WebhookError,
    parse_webhook,
)

A, B = "a" * 40, "b" * 40
REPOSITORY = {"full_name": "acme/x", "clone_url": "https://github.com/acme/x.git"}
PUSH = {
    "ref": "refs/heads/main",
    "before": A,
    "after": B,
    "repository": REPOSITORY,
    "pusher": {"name": "anna"},
}
URL = "https://github.com/acme/x.git"
GITLAB = "https://gitlab.com/group/sub/x.git"


@pytest.mark.parametrize(
    ("payload", "events"),
    [
        (PUSH, [RemotePush("github", "acme/x", URL, "refs/heads/main", A, B, "anna")]),
        (
            {**PUSH, "compare_url": "https://gitea.example/x", "pusher": {"login": "anna"}},
            [RemotePush("gitea", "acme/x", URL, "refs/heads/main", A, B, "anna")],
        ),
        ({"zen": "Keep it simple.", "repository": REPOSITORY}, [Ping("github", "acme/x")]),
        (
            {
                "action": "opened",
                "pull_request": {"number": 7, "head": {"ref": "topic", "sha": B}, "base": {"ref": "main"}},
                "repository": REPOSITORY,
            },
            [RemotePullRequest("github", "acme/x", URL, 7, "opened", "topic", "main", B)],
        ),
        (
            {
                "object_kind": "tag_push",
                "project": {
                    "path_with_namespace": "group/sub/x",
                    "git_http_url": GITLAB,
                },
                "ref": "refs/tags/v1",
                "before": ZERO,
                "after": B,
                "user_username": "otto",
            },
            [
                RemotePush(
                    "gitlab",
                    "group/sub/x",
                    "https://gitlab.com/group/sub/x.git",
                    "refs/tags/v1",
                    ZERO,
                    B,
                    "otto",
                )
            ],
        ),
        (
            {
                "push": {
                    "changes": [
                        {"old": None, "new": {"type": "branch", "name": "main", "target": {"hash": B}}},
                        {"old": {"type": "tag", "name": "v1", "target": {"hash": A}}, "new": None},
                    ]
                },
                "repository": {"full_name": "acme/x"},
                "actor": {"nickname": "anna"},
            },
            [
                RemotePush("bitbucket", "acme/x", "", "refs/heads/main", ZERO, B, "anna"),
                RemotePush("bitbucket", "acme/x", "", "refs/tags/v1", A, ZERO, "anna"),
            ],
        ),
        (
            {
                "eventKey": "repo:refs_changed",
                "repository": {"slug": "x", "project": {"key": "ACME"}},
                "changes": [{"ref": {"id": "refs/heads/main"}, "fromHash": A, "toHash": B}],
            },
            [RemotePush("bitbucket", "ACME/x", "", "refs/heads/main", A, B, "")],
        ),
        (
            {
                "eventType": "git.push",
                "resource": {
                    "repository": {
                        "name": "x",
                        "project": {"name": "p"},
                        "remoteUrl": "https://dev.azure.com/x",
                    },
                    "refUpdates": [{"name": "refs/heads/main", "oldObjectId": A, "newObjectId": B}],
                },
            },
            [RemotePush("azure", "p/x", "https://dev.azure.com/x", "refs/heads/main", A, B, "")],
        ),
        (
            {
                "action": "published",
                "registry_package": {
                    "name": "X",
                    "namespace": "acme",
                    "package_type": "CONTAINER",
                    "package_version": {"container_metadata": {"tag": {"name": "v1", "digest": "sha256:1"}}},
                },
            },
            [RemoteImage("ghcr.io", "acme/x", "v1", "sha256:1")],
        ),
        (
            {"push_data": {"tag": "v1"}, "repository": {"repo_name": "acme/x"}},
            [RemoteImage("docker.io", "acme/x", "v1", "")],
        ),
    ],
)
def test_events(payload: dict[str, Any], events: list[Any]) -> None:
    assert list(parse_webhook(json.dumps(payload).encode())) == events


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"event": "invalid"}', "no kind that is known"),
        (json.dumps({**PUSH, "ref": None}).encode(), "ref is missing"),
        (json.dumps({**PUSH, "ref": "refs/heads/x\ny"}).encode(), "no text of one line"),
        (json.dumps({**PUSH, "after": ["x"]}).encode(), "after is missing"),
        (b'{"object_kind": "note", "project": {"path_with_namespace": "a/b"}}', "starts nothing"),
        (b'{"push": {"changes": []}, "repository": {"full_name": "a/b"}}', "no ref that moved"),
    ],
)
def test_what_is_refused_and_why(body: bytes, reason: str) -> None:
    with pytest.raises(WebhookError, match=reason):
        parse_webhook(body)


keys = st.sampled_from(
    [
        "repository",
        "full_name",
        "push",
        "changes",
        "project",
        "object_kind",
        "resource",
        "eventType",
        "new",
        "ref",
    ]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=15,
)


@given(st.dictionaries(keys, json_values, max_size=6))
def test_no_payload_crashes_it(payload: dict[str, Any]) -> None:
    try:
        parse_webhook(json.dumps(payload).encode())
    except WebhookError:
        return


@given(st.sampled_from(sorted(PUSH)), json_values)
def test_a_field_of_any_type_is_read_or_refused(name: str, value: Any) -> None:
    try:
        parse_webhook(json.dumps({**PUSH, name: value}).encode())
    except WebhookError:
        return
