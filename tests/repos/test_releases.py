from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from windlass.identity import Principal
from windlass.repos import GitWriter, Identity, Repositories
from windlass.repos.errors import (
    BadNameError,
    NotAllowedError,
    PullStateError,
    ReleaseNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from windlass.repos.releases import Release, Releases, actions_of

if TYPE_CHECKING:
    from pathlib import Path

    from windlass.store import Store

REPO = "acme/x"
ANNA = Principal("user", "anna", ("repo:write:acme/*",))
RITA = Principal("user", "rita", ("repo:read:acme/*",))
OTTO = Principal("user", "otto", ())
FULL = Release(1, REPO, "v1", "One", "", False, False, "main", "1" * 40, "anna", "user", 1.0, 2.0)
DRAFT, PRE = replace(FULL, draft=True), replace(FULL, prerelease=True)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, FULL, ["created", "published", "released"]),
        (None, PRE, ["created", "published", "prereleased"]),
        (None, DRAFT, []),
        (DRAFT, DRAFT, []),
        (DRAFT, FULL, ["published", "released"]),
        (PRE, FULL, ["edited", "released"]),
        (FULL, FULL, ["edited"]),
        (FULL, DRAFT, ["unpublished"]),
        (FULL, None, ["deleted"]),
        (DRAFT, None, []),
    ],
)
def test_what_github_tells_of_a_change(
    before: Release | None, after: Release | None, expected: list[str]
) -> None:
    assert actions_of(before, after) == expected


@pytest.fixture
async def repositories(store: Store, tmp_path: Path) -> Repositories:
    made = Repositories(store, tmp_path / "repos")
    await made.create(REPO)
    await GitWriter(made, ANNA).commit_files(REPO, "main", {"a": b"a"}, "First", Identity("M", "m@m"))
    return made


@pytest.fixture
def releases(store: Store, repositories: Repositories) -> Releases:
    return Releases(store, repositories, url="http://windlass.test")


async def test_a_release_makes_its_tag_and_tells(repositories: Repositories, releases: Releases) -> None:
    made = await releases.create(REPO, "v1.0", principal=ANNA, notes="New.", prerelease=True)
    refs = await repositories.recorded_refs(REPO)
    assert refs["refs/tags/v1.0"] == refs["refs/heads/main"] == made.sha
    push = (await repositories.pushes(REPO))[-1]
    assert (push.ref, push.pusher) == ("refs/tags/v1.0", "anna")
    events = await repositories.events(REPO)
    assert [event.action for event in events] == ["created", "published", "prereleased"]
    event = events[1]
    assert (event.name, event.ref, event.sha, event.actor) == ("release", "refs/tags/v1.0", made.sha, "anna")
    shown = event.payload["release"]
    assert (shown["tag_name"], shown["name"], shown["body"], shown["prerelease"]) == (
        "v1.0",
        "v1.0",
        "New.",
        True,
    )
    with pytest.raises(PullStateError, match="already"):
        await releases.create(REPO, "v1.0", principal=ANNA)


async def test_a_draft_is_published_later(repositories: Repositories, releases: Releases) -> None:
    draft = await releases.create(REPO, "v2", principal=ANNA, draft=True, title="Two")
    assert (draft.sha, await repositories.events(REPO)) == ("", [])
    assert "refs/tags/v2" not in await repositories.recorded_refs(REPO)
    assert await releases.list(REPO, principal=RITA) == []
    done = await releases.change(REPO, "v2", principal=ANNA, draft=False)
    assert done.sha
    assert [event.action for event in await repositories.events(REPO)] == ["published", "released"]
    assert await releases.list(REPO, principal=RITA) == [done]
    await releases.delete(REPO, "v2", principal=ANNA)
    assert "refs/tags/v2" in await repositories.recorded_refs(REPO)
    with pytest.raises(ReleaseNotFoundError):
        await releases.delete(REPO, "v2", principal=ANNA)


async def test_who_may_not_makes_none(releases: Releases) -> None:
    with pytest.raises(NotAllowedError):
        await releases.create(REPO, "v1", principal=RITA)
    with pytest.raises(RepositoryNotFoundError):
        await releases.list(REPO, principal=OTTO)


@pytest.mark.parametrize("tag", ["", "a..b", "-x", "x y", "x\n"])
async def test_tags_that_git_would_not_have(releases: Releases, tag: str) -> None:
    with pytest.raises(BadNameError, match="is not a tag's name"):
        await releases.create(REPO, tag, principal=ANNA)


async def test_a_target_that_is_not_there(repositories: Repositories, releases: Releases) -> None:
    with pytest.raises(RevisionNotFoundError):
        await releases.create(REPO, "v1", principal=ANNA, target="nowhere")
    assert await repositories.events(REPO) == []
