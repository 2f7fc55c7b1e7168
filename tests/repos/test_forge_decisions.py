from __future__ import annotations

import json
from typing import Any

import pytest

from windlass.repos.forges.api import Standing, already_said, status_request
from windlass.repos.forges.moves import Hop, Move, hops, plan_moves
from windlass.repos.forges.records import Remote, guess_forge
from windlass.repos.forges.telling import LAST_RETRY, Told, retry_after, to_tell
from windlass.repos.forges.translate import work_of
from windlass.repos.records import ZERO
from windlass.repos.webhooks import RemotePush, WebhookError

A, B, C, D = (letter * 40 for letter in "abcd")
REF = "refs/heads/main"


@pytest.mark.parametrize(
    ("local", "agreed", "there", "contains", "expected"),
    [
        (A, A, A, False, None),
        (A, A, B, False, "move"),
        (ZERO, ZERO, B, False, "move"),
        (A, A, ZERO, False, "move"),
        (B, A, B, False, "agree"),
        (ZERO, A, ZERO, False, "agree"),
        (B, A, A, False, None),
        (B, A, C, True, "move"),
        (B, A, C, False, "apart"),
        (B, A, ZERO, False, "apart"),
        (ZERO, A, B, True, "apart"),
        (B, ZERO, ZERO, False, None),
    ],
)
def test_refs_follow_unless_they_moved_here_too(
    local: str,
    agreed: str,
    there: str,
    contains: bool,
    expected: str | None,
) -> None:
    maps = [{REF: sha} if sha != ZERO else {} for sha in (local, agreed, there)]
    found = plan_moves(maps[0], maps[1], maps[2], lambda _ours, _theirs: contains)
    assert [(move.what, move.before, move.after) for move in found] == (
        [] if expected is None else [(expected, local, there)]
    )


def told(before: str, after: str, pusher: str = "mona", ref: str = REF) -> RemotePush:
    return RemotePush("github", "octo/hello", "", ref, before, after, pusher)


@pytest.mark.parametrize(
    ("pushes", "expected"),
    [
        ([], [Hop(A, C, "forge")]),
        ([told(A, C)], [Hop(A, C, "mona")]),
        ([told(A, B, "x"), told(B, C, "y")], [Hop(A, B, "x"), Hop(B, C, "y")]),
        ([told(A, B, "x")], [Hop(A, B, "x"), Hop(B, C, "forge")]),
        ([told(A, D, "x"), told(D, C, "y")], [Hop(A, C, "y")]),
        ([told(B, C, "y")], [Hop(A, C, "y")]),
        ([told(A, C, "x", "refs/heads/other")], [Hop(A, C, "forge")]),
        ([told(A, C, "")], [Hop(A, C, "forge")]),
    ],
    ids=["nothing", "one", "chain", "half", "forced over", "late", "another ref", "nameless"],
)
def test_a_movement_is_taken_apart_into_what_was_told(pushes: list[RemotePush], expected: list[Hop]) -> None:
    assert hops(Move(REF, A, C, "move"), pushes, "forge", {B}.__contains__) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://github.com/a/b.git", ("github", "https://api.github.com")),
        ("https://gitlab.com/a/b", ("gitlab", "https://gitlab.com/api/v4")),
        ("https://bitbucket.org/a/b", ("bitbucket", "https://api.bitbucket.org/2.0")),
        ("https://codeberg.org/a/b", ("gitea", "https://codeberg.org/api/v1")),
        ("https://gitlab.acme.example/a/b", ("gitlab", "https://gitlab.acme.example/api/v4")),
        ("https://git.acme.example/a/b", ("git", "")),
        ("/srv/repos/a.git", ("git", "")),
    ],
)
def test_the_forge_behind_an_address(url: str, expected: tuple[str, str]) -> None:
    assert guess_forge(url) == expected


def remote(forge: str, api: str, url: str = "https://forge.example/group/sub/name.git") -> Remote:
    blank: dict[str, Any] = dict.fromkeys(
        ("wanted_at", "looked_at", "changed_at", "next_at", "poll", "secret")
    )
    return Remote("acme/x", url, forge, api, "sealed", failures=0, error="", etags={}, **blank)


STANDING = Standing("acme/x", A, "windlass / CI (push)", "failure", "Failure after 3 s", "http://w/runs/1")


@pytest.mark.parametrize(
    ("forge", "user", "url", "state", "header"),
    [
        ("github", "u", f"https://api/repos/group/sub/name/statuses/{A}", "failure", "Bearer pw"),
        ("gitea", "u", f"https://api/repos/group/sub/name/statuses/{A}", "failure", "token pw"),
        ("gitlab", "u", f"https://api/projects/group%2Fsub%2Fname/statuses/{A}", "failed", "pw"),
        (
            "bitbucket",
            "u",
            f"https://api/repositories/group/sub/name/commit/{A}/statuses/build",
            "FAILED",
            "Basic dTpwdw==",
        ),
        (
            "bitbucket",
            "x-token-auth",
            f"https://api/repositories/group/sub/name/commit/{A}/statuses/build",
            "FAILED",
            "Bearer pw",
        ),
        ("bitbucket-server", "u", f"https://api/build-status/1.0/commits/{A}", "FAILED", "Bearer pw"),
    ],
)
def test_each_forge_is_told_in_its_own_way(forge: str, user: str, url: str, state: str, header: str) -> None:
    made = status_request(remote(forge, "https://api"), STANDING, (user, "pw"))
    assert (made.method, made.url) == ("POST", url)
    assert made.json is not None
    assert made.json["state"] == state
    assert "http://w/runs/1" in {made.json.get("target_url"), made.json.get("url")}
    assert header in made.headers.values()
    assert "pw" not in repr(made)
    names = {made.json.get("context"), made.json.get("name")}
    assert "windlass / CI (push)" in names


def test_gitlab_refuses_what_it_knows_already() -> None:
    text = '{"message":"Cannot transition status via :run from :running"}'
    assert already_said("gitlab", 400, text)
    assert not already_said("github", 400, text)
    assert not already_said("gitlab", 404, text)


def test_only_what_changed_is_told_and_refusals_wait() -> None:
    now = 1000.0
    fresh = Told("failure", "Failure after 3 s", "http://w/runs/1", 900.0, 0, 900.0)
    key = (A, STANDING.context)
    assert to_tell([STANDING], {}, now)[0] == [STANDING]
    assert to_tell([STANDING], {key: fresh}, now)[0] == []
    older = Told("pending", "It runs", "http://w/runs/1", 900.0, 0, 900.0)
    assert to_tell([STANDING], {key: older}, now)[0] == [STANDING]
    refused = Told("failure", "Failure after 3 s", "http://w/runs/1", None, 2, 1010.0)
    assert to_tell([STANDING], {key: refused}, now) == ([], 1010.0)
    assert to_tell([STANDING], {key: refused}, 1010.0)[0] == [STANDING]
    newer = Standing("acme/x", A, STANDING.context, "success", "Success after 3 s", "http://w/runs/2")
    assert to_tell([STANDING, newer], {}, now)[0] == [newer]


def test_retries_wait_longer_each_time_and_as_long_as_the_forge_asks() -> None:
    assert [retry_after(number, {}) for number in range(4)] == [2.0, 4.0, 8.0, 16.0]
    assert retry_after(50, {}) == LAST_RETRY
    assert retry_after(0, {"retry-after": "60"}) == 60.0
    assert retry_after(0, {"retry-after": "99999999"}) == LAST_RETRY


MERGE_REQUEST: dict[str, Any] = {
    "object_kind": "merge_request",
    "user": {"username": "root"},
    "project": {"path_with_namespace": "acme/x", "git_http_url": "https://gitlab.example/acme/x.git"},
    "labels": [{"title": "bug"}],
    "object_attributes": {
        "iid": 7,
        "title": "Improve",
        "source_branch": "patch",
        "target_branch": "main",
        "action": "open",
        "last_commit": {"id": A},
        "source": {"path_with_namespace": "mallory/x"},
        "target": {"path_with_namespace": "acme/x"},
    },
}


def test_gitlabs_merge_requests_look_as_githubs_pull_requests() -> None:
    (work,) = work_of(json.dumps(MERGE_REQUEST).encode())
    assert (work["kind"], work["number"], work["forge"]) == ("pull", 7, "gitlab")
    payload = work["payload"]
    assert (payload["action"], payload["sender"]["login"]) == ("opened", "root")
    shown = payload["pull_request"]
    assert (shown["head"]["ref"], shown["head"]["sha"], shown["base"]["ref"]) == ("patch", A, "main")
    assert shown["head"]["repo"]["fork"] is True
    assert [label["name"] for label in shown["labels"]] == ["bug"]


@pytest.mark.parametrize(
    ("action", "more", "expected"),
    [
        ("update", {"oldrev": B}, "synchronize"),
        ("update", {}, "edited"),
        ("merge", {}, "closed"),
        ("close", {}, "closed"),
        ("reopen", {}, "reopened"),
    ],
)
def test_gitlabs_actions(action: str, more: dict[str, str], expected: str) -> None:
    attributes = {**MERGE_REQUEST["object_attributes"], "action": action, **more}
    (work,) = work_of(json.dumps({**MERGE_REQUEST, "object_attributes": attributes}).encode())
    assert work["payload"]["action"] == expected
    assert work["payload"]["pull_request"]["merged"] is (action == "merge")


def test_giteas_word_for_synchronize() -> None:
    data = {
        "action": "synchronized",
        "number": 2,
        "compare_url": "https://gitea.example/x",
        "pull_request": {
            "number": 2,
            "head": {"ref": "patch", "sha": A},
            "base": {"ref": "main"},
        },
        "repository": {"full_name": "acme/x", "clone_url": "https://gitea.example/acme/x.git"},
    }
    (work,) = work_of(json.dumps(data).encode())
    assert work["payload"]["action"] == "synchronize"


def test_too_much_for_a_run_is_refused() -> None:
    big = {**MERGE_REQUEST, "padding": "x" * (1 << 20)}
    with pytest.raises(WebhookError, match="too much"):
        work_of(json.dumps(big).encode())
