from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from windlass.identity import Principal
from windlass.repos import (
    ZERO,
    BadNameError,
    Conflict,
    Git,
    GitWriter,
    Identity,
    ImportFailedError,
    Repositories,
    RepositoryExistsError,
    RepositoryNotFoundError,
    Reverted,
    RevisionNotFoundError,
    StaleBranchError,
    TooLargeError,
    UnsafeTreeError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from repos.conftest import Work
    from windlass.store import Store

pytestmark = pytest.mark.integration

AUTHOR = Identity("Windlass", "windlass@localhost")
ROBOT = Principal("robot", "delivery", ())


@pytest.fixture
async def repositories(store: Store, tmp_path: Path, work: Work) -> Repositories:
    """`acme/x`, imported from the client's working copy."""
    work.commit(
        {"app/a.yaml": "a: 1\n", "app/sub/b.yaml": "b: 1\n", "other/c.yaml": "c: 1\n", "ü ö.txt": "text"}
    )
    hosted = Repositories(store, tmp_path / "repos")
    await hosted.import_(str(work.path), "acme/x", applications="/argocd/applications/")
    return hosted


@pytest.fixture
def git(repositories: Repositories) -> Git:
    return Git(repositories)


@pytest.fixture
def writer(repositories: Repositories) -> GitWriter:
    return GitWriter(repositories, ROBOT)


async def test_repositories_are_kept(repositories: Repositories, store: Store) -> None:
    repository = await repositories.get("acme/x")
    assert (repository.default_branch, repository.owner) == ("main", "acme")
    assert repository.applications == "argocd/applications"
    with pytest.raises(RepositoryExistsError):
        await repositories.create("acme/X")
    await repositories.create("acme/y", default_branch="trunk")
    assert [r.name for r in await repositories.list()] == ["acme/x", "acme/y"]
    await repositories.delete("acme/y")
    with pytest.raises(RepositoryNotFoundError, match="windlass repo create acme/y"):
        await repositories.get("acme/y")
    assert not repositories.path("acme/y").exists()
    await repositories.create("acme/y")
    assert (await repositories.get("acme/y")).default_branch == "main"
    kinds = [e["kind"] for e in await store.read("ledger.of_subject", subject="repo/acme/y")]
    assert kinds == ["repository.created", "repository.deleted", "repository.created"]


async def test_a_folder_left_by_a_crash_is_moved_aside(repositories: Repositories) -> None:
    left = repositories.path("acme/y")
    left.mkdir()
    (left / "precious").touch()
    await repositories.create("acme/y")
    [kept] = (repositories.root / ".orphans").glob("*/precious")
    assert kept.exists()


@pytest.mark.parametrize(
    "source", ["ext::sh -c id", "ssh://x/y", "-u", "relative", "http://", "/nowhere/at/all"]
)
async def test_what_cannot_be_imported(repositories: Repositories, source: str) -> None:
    with pytest.raises(ImportFailedError):
        await repositories.import_(source, "acme/z")
    assert [r.name for r in await repositories.list()] == ["acme/x"]
    assert not list((repositories.root / ".new").iterdir())


async def test_reading(git: Git, work: Work) -> None:
    tip = work.git_sync("rev-parse", "HEAD").stdout.strip()
    assert await git.resolve("acme/x", "main") == tip
    assert await git.resolve("acme/x", "nothing") is None
    assert await git.refs("acme/x") == {"refs/heads/main": tip}
    assert await git.read_file("acme/x", "main", "app/a.yaml") == b"a: 1\n"
    assert await git.read_file("acme/x", tip, "app//a.yaml") == b"a: 1\n"
    for missing in ("app", "nothing", "app/a.yaml/x"):
        assert await git.read_file("acme/x", "main", missing) is None
    assert await git.read_file("acme/x", "nothing", "app/a.yaml") is None
    found = await git.read_files("acme/x", "main", ["other/c.yaml", "gone", "ü ö.txt", "app/a.yaml"])
    assert found == {"other/c.yaml": b"c: 1\n", "ü ö.txt": b"text", "app/a.yaml": b"a: 1\n"}
    work.commit({"big": "x" * 20_000})
    await git._repositories.import_(str(work.path), "acme/big")
    with pytest.raises(TooLargeError):
        await git.read_file("acme/big", "main", "big", limit=10_000)


async def test_listing(git: Git) -> None:
    entries = await git.list_files("acme/x", "main", "app")
    assert [(e.path, e.mode, e.size) for e in entries] == [
        ("app/a.yaml", "100644", 5),
        ("app/sub/b.yaml", "100644", 5),
    ]
    assert [e.path for e in await git.list_files("acme/x", "main", "app", recursive=False)] == ["app/a.yaml"]
    assert "ü ö.txt" in [e.path for e in await git.list_files("acme/x", "main")]
    assert await git.list_files("acme/x", "main", "nothing") == []


async def test_history(git: Git, repositories: Repositories, work: Work) -> None:
    first, second = (await git.log("acme/x", "main"))[::-1]
    assert (first.subject, first.parents, second.parents) == ("First", (), (first.sha,))
    assert str(second.author) == "Mallory <mallory@example.org>"
    assert [c.sha for c in await git.log("acme/x", "main", paths=["README.md"])] == [first.sha]
    assert [c.sha for c in await git.log("acme/x", "main", paths=["*.yaml"])] == []
    assert sorted(await git.changed_paths("acme/x", first.sha, second.sha)) == [
        "app/a.yaml",
        "app/sub/b.yaml",
        "other/c.yaml",
        "ü ö.txt",
    ]
    assert await git.changed_paths("acme/x", ZERO, first.sha) == ["README.md"]
    assert await git.is_ancestor("acme/x", first.sha, second.sha)
    assert not await git.is_ancestor("acme/x", second.sha, first.sha)
    assert not await git.is_ancestor("acme/x", "f" * 40, first.sha)
    with pytest.raises(RevisionNotFoundError):
        await git.commit_info("acme/x", "f" * 40)
    work.git_sync("commit", "--allow-empty", "-m", "Subject line\n\nBody one\n\nBody two")
    await repositories.import_(str(work.path), "acme/message")
    commit = await git.commit_info("acme/message", "main")
    assert (commit.subject, commit.body) == ("Subject line", "Body one\n\nBody two")


@pytest.mark.parametrize(
    "rev", ["--upload-pack=x", "-x", "main~1", "main^{tree}", "a..b", "main:app", "@{u}", "a b", ""]
)
async def test_revisions_are_names_only(git: Git, rev: str) -> None:
    with pytest.raises(BadNameError):
        await git.resolve("acme/x", rev)
    with pytest.raises(BadNameError):
        await git.read_file("acme/x", rev, "README.md")


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "a\0b"])
async def test_paths_stay_inside(git: Git, path: str) -> None:
    with pytest.raises(BadNameError):
        await git.read_file("acme/x", "main", path)


async def test_export(git: Git, tmp_path: Path, work: Work, repositories: Repositories) -> None:
    work.commit({".gitattributes": "* export-ignore\n", "run.sh": "#!/bin/sh\n"})
    (work.path / "run.sh").chmod(0o755)
    (work.path / "app" / "link").symlink_to("../other")
    sha = work.commit({})
    await repositories.import_(str(work.path), "acme/e")
    assert await git.export("acme/e", "main", "", tmp_path / "out") == sha
    out = tmp_path / "out"
    assert (out / "app" / "link" / "c.yaml").read_text() == "c: 1\n"
    assert os.access(out / "run.sh", os.X_OK)
    assert (out / "README.md").exists()
    with pytest.raises(UnsafeTreeError, match="not empty"):
        await git.export("acme/e", "main", "", out)
    with pytest.raises(TooLargeError):
        await git.export("acme/e", "main", "", tmp_path / "small", limit=10)
    # Of one folder only, the same link leads to what is not there, but stays inside.
    await git.export("acme/e", "main", "app", tmp_path / "part")
    assert (tmp_path / "part" / "app" / "sub" / "b.yaml").exists()


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "a/../../../x"])
async def test_links_that_lead_out_are_refused(
    git: Git, tmp_path: Path, work: Work, repositories: Repositories, target: str
) -> None:
    (work.path / "app" / "link").symlink_to(target)
    work.commit({})
    await repositories.import_(str(work.path), "acme/e")
    with pytest.raises(UnsafeTreeError, match="leads out"):
        await git.export("acme/e", "main", "", tmp_path / "out")
    assert not (tmp_path / "out").exists()


async def test_a_link_to_a_link_that_leads_out_is_refused(
    git: Git, tmp_path: Path, work: Work, repositories: Repositories
) -> None:
    (work.path / "deep" / "er").mkdir(parents=True)
    (work.path / "deep" / "er" / "x").write_text("x")
    (work.path / "a").symlink_to("deep/er")
    (work.path / "b").symlink_to("a/../../../outside")
    work.commit({})
    await repositories.import_(str(work.path), "acme/e")
    with pytest.raises(UnsafeTreeError):
        await git.export("acme/e", "main", "", tmp_path / "out")


async def test_commit_files(git: Git, writer: GitWriter, repositories: Repositories) -> None:
    tip = await git.resolve("acme/x", "main")
    assert tip
    files = {"app/a.yaml": b"a: 2\n", "new/file": b"\0binary", "other/c.yaml": None}
    sha = await writer.commit_files("acme/x", "main", files, "Change\n\nbody", AUTHOR, expected=tip)
    commit = await git.commit_info("acme/x", "main")
    assert (commit.sha, commit.parents, commit.subject, str(commit.author)) == (
        sha,
        (tip,),
        "Change",
        str(AUTHOR),
    )
    assert sorted(await git.changed_paths("acme/x", tip, sha)) == ["app/a.yaml", "new/file", "other/c.yaml"]
    assert await git.read_file("acme/x", "main", "new/file") == b"\0binary"
    [push] = await repositories.pushes("acme/x")
    assert (push.before, push.after, push.pusher, push.pusher_kind) == (tip, sha, "delivery", "robot")
    assert await repositories.record_unseen() == []
    assert await writer.commit_files("acme/x", "main", {"app/a.yaml": b"a: 2\n"}, "Nothing", AUTHOR) == sha
    with pytest.raises(StaleBranchError):
        await writer.commit_files("acme/x", "main", files, "Late", AUTHOR, expected=tip)
    for path in ("", "../x", ".git/config", "a/.GIT/x"):
        with pytest.raises(BadNameError):
            await writer.commit_files("acme/x", "main", {path: b""}, "Bad", AUTHOR)
    folder = await writer.commit_files(
        "acme/x", "main", {"new/file": None, "new": b"a file now"}, "F", AUTHOR
    )
    assert await git.read_file("acme/x", folder, "new") == b"a file now"


async def test_the_first_commit_of_an_empty_repository(
    git: Git, writer: GitWriter, repositories: Repositories
) -> None:
    await repositories.create("acme/empty")
    sha = await writer.commit_files("acme/empty", "main", {"a": b"1"}, "First", AUTHOR, expected=ZERO)
    assert (await git.commit_info("acme/empty", "main")).parents == ()
    assert [(p.before, p.after) for p in await repositories.pushes("acme/empty")] == [(ZERO, sha)]


async def test_revert_of_the_last_commit_of_these_paths(git: Git, writer: GitWriter) -> None:
    bad = await writer.commit_files(
        "acme/x", "main", {"app/a.yaml": b"bad", "app/new": b"n", "other/c.yaml": b"kept"}, "Bad", AUTHOR
    )
    await writer.commit_files("acme/x", "main", {"README.md": b"later, elsewhere"}, "Later", AUTHOR)
    done = await writer.revert_paths("acme/x", "main", bad, ["app"], "Revert", AUTHOR)
    assert isinstance(done, Reverted)
    assert done.paths == ("app/a.yaml", "app/new")
    assert await git.read_file("acme/x", "main", "app/a.yaml") == b"a: 1\n"
    assert await git.read_file("acme/x", "main", "app/new") is None
    assert await git.read_file("acme/x", "main", "other/c.yaml") == b"kept"
    assert await git.read_file("acme/x", "main", "README.md") == b"later, elsewhere"
    again = await writer.revert_paths("acme/x", "main", bad, ["app"], "Revert", AUTHOR)
    assert again == Reverted(done.sha, ())


async def test_revert_refuses_to_undo_others(git: Git, writer: GitWriter) -> None:
    tip = await git.resolve("acme/x", "main")
    bad = await writer.commit_files("acme/x", "main", {"app/a.yaml": b"bad"}, "Bad", AUTHOR)
    later = await writer.commit_files("acme/x", "main", {"app/sub/b.yaml": b"by another"}, "Later", AUTHOR)
    done = await writer.revert_paths("acme/x", "main", bad, ["app"], "Revert", AUTHOR)
    assert isinstance(done, Conflict)
    assert done.paths == ("app/sub/b.yaml",)
    assert "would undo them" in done.why
    assert await git.resolve("acme/x", "main") == later
    narrow = await writer.revert_paths("acme/x", "main", bad, ["app/a.yaml"], "Revert", AUTHOR)
    assert isinstance(narrow, Reverted)
    both = await writer.revert_paths("acme/x", "main", later, ["app"], "Revert", AUTHOR, good=tip)
    assert isinstance(both, Reverted)
    assert await git.changed_paths("acme/x", str(tip), both.sha) == []
    stranger = await writer.commit_files("acme/x", "side", {"app/a.yaml": b"s"}, "Side", AUTHOR)
    assert isinstance(await writer.revert_paths("acme/x", "main", stranger, ["app"], "R", AUTHOR), Conflict)
