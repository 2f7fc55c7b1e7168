from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from windlass.identity import Principal
from windlass.repos import Git, GitWriter, Identity, Repositories
from windlass.repos.errors import (
    MergeBlockedError,
    NotAllowedError,
    PullNotFoundError,
    PullStateError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from windlass.repos.process import run
from windlass.repos.pulls import Check, Protection, Protections, Pulls
from windlass.repos.pulls.decide import counting

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from windlass.repos import RepoEvent
    from windlass.store import Store

REPO = "acme/x"
ANNA = Principal("user", "anna", ("repo:write:acme/*",))
BERT = Principal("user", "bert", ("repo:write:acme/*",))
RITA = Principal("user", "rita", ("repo:read:acme/*",))
OTTO = Principal("user", "otto", ("repo:write:other/*",))
JOB = Principal("job", "run/1/test/1", ("repo:write:acme/x",))
MALLORY = Identity("anna", "anna@example.org")
"""What commits say of their author: not to be believed."""


@dataclass
class Reported:
    """`Checks` that say what a test tells them to."""

    by_sha: dict[str, list[Check]] = field(default_factory=dict)

    async def of_commit(self, repository: str, sha: str) -> Sequence[Check]:
        assert repository == REPO
        return self.by_sha.get(sha, [])


@dataclass
class Site:
    """A repository with branches, and its pull requests."""

    store: Store
    repositories: Repositories
    git: Git
    pulls: Pulls
    protections: Protections
    checks: Reported

    async def commit(
        self,
        branch: str,
        files: dict[str, bytes | None],
        message: str = "change",
        who: Principal = BERT,
    ) -> str:
        return await GitWriter(self.repositories, who).commit_files(REPO, branch, files, message, MALLORY)

    async def branch(self, name: str, start: str = "main", who: Principal = BERT) -> None:
        tip = await self.git.resolve(REPO, start)
        assert tip
        await GitWriter(self.repositories, who).move(REPO, name, "0" * 40, tip)

    async def ref(self, name: str) -> str:
        return await self.git.resolve(REPO, name) or ""

    async def events(self) -> list[RepoEvent]:
        return await self.repositories.events(REPO)


@pytest.fixture
async def site(store: Store, tmp_path: Path) -> Site:
    repositories = Repositories(store, tmp_path / "repos")
    checks = Reported()
    pulls = Pulls(store, repositories, url="http://windlass.test", checks=checks)
    made = Site(store, repositories, Git(repositories), pulls, Protections(store, repositories), checks)
    await repositories.create(REPO)
    await made.commit("main", {"a.txt": b"one\n", "src/b.txt": b"b\n"}, "First")
    await made.branch("feature")
    await made.commit("feature", {"src/b.txt": b"better\n", "new.txt": b"n\n"}, "Better b")
    return made


async def test_opening_one_makes_its_refs_and_an_event_as_github_tells_it(site: Site) -> None:
    pull = await site.pulls.create(REPO, principal=ANNA, head="feature", body="Because.")
    assert (pull.number, pull.title, pull.base, pull.mergeable) == (1, "Better b", "main", True)
    head, base = await site.ref("feature"), await site.ref("main")
    assert await site.ref("refs/pull/1/head") == head
    merge = await site.git.commit_info(REPO, "refs/pull/1/merge")
    assert merge.parents == (base, head)
    assert await site.git.read_file(REPO, merge.sha, "src/b.txt") == b"better\n"
    (event,) = await site.events()
    assert (event.name, event.action, event.ref, event.sha) == (
        "pull_request",
        "opened",
        "refs/pull/1/merge",
        merge.sha,
    )
    assert (event.actor, event.actor_kind, event.paths) == ("anna", "user", ("new.txt", "src/b.txt"))
    shown = event.payload["pull_request"]
    assert (event.payload["action"], event.payload["number"]) == ("opened", 1)
    assert (shown["head"]["ref"], shown["head"]["sha"]) == ("feature", head)
    assert (shown["base"]["ref"], shown["base"]["sha"]) == ("main", base)
    assert (shown["user"]["login"], shown["merge_commit_sha"], shown["merged"]) == ("anna", merge.sha, False)
    assert shown["head"]["repo"]["full_name"] == shown["base"]["repo"]["full_name"] == REPO
    assert event.payload["repository"]["default_branch"] == "main"
    assert event.payload["sender"]["login"] == "anna"


async def test_numbers_are_the_repositorys_own(site: Site) -> None:
    await site.pulls.create(REPO, principal=ANNA, head="feature")
    await site.branch("other", "feature")
    assert (await site.pulls.create(REPO, principal=ANNA, head="other")).number == 2


async def test_a_push_to_the_head_is_told_with_what_it_changed(site: Site) -> None:
    opened = await site.pulls.create(REPO, principal=ANNA, head="feature")
    new = await site.commit("feature", {"more.txt": b"m\n"}, "More")
    await site.pulls.look()
    event = (await site.events())[-1]
    assert (event.action, event.actor) == ("synchronize", "bert")
    assert (event.payload["before"], event.payload["after"]) == (opened.head_sha, new)
    assert event.paths == ("more.txt", "new.txt", "src/b.txt")
    assert await site.ref("refs/pull/1/head") == new
    assert event.sha == await site.ref("refs/pull/1/merge") != opened.merge_sha
    await site.pulls.look()
    assert len(await site.events()) == 2


async def test_a_push_to_the_base_makes_a_new_merge_and_no_event(site: Site) -> None:
    opened = await site.pulls.create(REPO, principal=ANNA, head="feature")
    base = await site.commit("main", {"c.txt": b"c\n"})
    await site.pulls.look()
    merge = await site.git.commit_info(REPO, "refs/pull/1/merge")
    assert merge.parents == (base, opened.head_sha)
    assert [event.action for event in await site.events()] == ["opened"]


async def test_a_conflict_names_its_paths_and_leaves_no_commit_to_run_on(site: Site) -> None:
    await site.commit("main", {"src/b.txt": b"other\n"})
    pull = await site.pulls.create(REPO, principal=ANNA, head="feature")
    assert (pull.mergeable, pull.conflicts) == (False, ("src/b.txt",))
    assert await site.ref("refs/pull/1/head") == pull.head_sha
    (event,) = await site.events()
    assert event.sha == ""
    assert event.payload["pull_request"]["mergeable"] is False
    with pytest.raises(MergeBlockedError, match=r"conflict in src/b\.txt"):
        await site.pulls.merge(REPO, 1, principal=ANNA)
    await site.commit("feature", {"src/b.txt": b"b\n"}, "Back")
    await site.pulls.look()
    assert (await site.pulls.show(REPO, 1, principal=RITA)).pull.mergeable


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
async def test_merging_moves_the_base_as_a_push_of_who_merged(site: Site, method: str) -> None:
    second = await site.commit("feature", {"new.txt": b"n2\n"}, "Second")
    base = await site.commit("main", {"c.txt": b"c\n"})
    await site.pulls.create(REPO, principal=ANNA, head="feature", title="A better b")
    merged = await site.pulls.merge(REPO, 1, principal=BERT, method=method)  # type: ignore[arg-type]
    tip = await site.git.commit_info(REPO, "main")
    expected = {
        "merge": ((base, second), "Merge pull request #1 from acme/feature"),
        "squash": ((base,), "A better b (#1)"),
    }
    if method in expected:
        assert (tip.parents, tip.subject) == expected[method]
        assert tip.committer.name == "bert"
    else:
        log = await site.git.log(REPO, "main", limit=3)
        assert [commit.subject for commit in log] == ["Second", "Better b", "change"]
        assert (tip.author.name, tip.committer.name, log[2].sha) == ("anna", "bert", base)
    assert await site.git.read_file(REPO, "main", "new.txt") == b"n2\n"
    assert await site.git.read_file(REPO, "main", "c.txt") == b"c\n"
    push = (await site.repositories.pushes(REPO))[-1]
    assert (push.ref, push.after, push.pusher) == ("refs/heads/main", tip.sha, "bert")
    assert (merged.state, merged.merged_sha, merged.merged_by) == ("closed", tip.sha, "bert")
    event = (await site.events())[-1]
    assert (event.action, event.ref, event.sha) == ("closed", "refs/heads/main", tip.sha)
    assert event.payload["pull_request"]["merged"] is True
    assert event.payload["pull_request"]["merged_by"]["login"] == "bert"


async def test_a_rebase_that_conflicts_says_where_and_changes_nothing(site: Site) -> None:
    await site.commit("feature", {"a.txt": b"feature\n"}, "Change a")
    await site.commit("feature", {"a.txt": b"one\n"}, "Change a back")
    base = await site.commit("main", {"a.txt": b"main\n"})
    await site.pulls.create(REPO, principal=ANNA, head="feature")
    with pytest.raises(MergeBlockedError, match=r"Change a.*conflicts in a\.txt"):
        await site.pulls.merge(REPO, 1, principal=BERT, method="rebase")
    assert await site.ref("main") == base


async def test_merges_among_the_commits_are_not_rebased(site: Site) -> None:
    await site.branch("inner", "feature")
    await site.commit("inner", {"i.txt": b"i\n"})
    await site.commit("feature", {"f.txt": b"f\n"})
    await site.pulls.create(REPO, principal=ANNA, head="inner", base="feature")
    await site.pulls.merge(REPO, 1, principal=ANNA)
    await site.pulls.create(REPO, principal=ANNA, head="feature")
    with pytest.raises(PullStateError, match="--squash"):
        await site.pulls.merge(REPO, 2, principal=BERT, method="rebase")


async def test_required_checks_must_be_green(site: Site) -> None:
    await site.protections.set(REPO, Protection("main", checks=("test", "CI / lint")), actor="anna")
    pull = await site.pulls.create(REPO, principal=ANNA, head="feature")
    with pytest.raises(
        MergeBlockedError, match=r"'test' has not reported(.|\n)*'CI / lint' has not reported"
    ):
        await site.pulls.merge(REPO, 1, principal=ANNA)
    good = Check("test", "success", "http://windlass.test/runs/1", "CI")
    site.checks.by_sha[pull.merge_sha] = [good, Check("lint", "pending", "", "CI")]
    with pytest.raises(MergeBlockedError, match="'CI / lint' is not over"):
        await site.pulls.merge(REPO, 1, principal=ANNA)
    site.checks.by_sha[pull.merge_sha] = [good, Check("lint", "failure", "http://windlass.test/runs/1", "CI")]
    with pytest.raises(MergeBlockedError, match="'CI / lint' failed"):
        await site.pulls.merge(REPO, 1, principal=ANNA)
    site.checks.by_sha[pull.merge_sha] = [good, Check("lint", "success", "", "CI")]
    assert (await site.pulls.merge(REPO, 1, principal=ANNA)).merged_at


async def test_checks_of_an_earlier_head_do_not_count(site: Site) -> None:
    await site.protections.set(REPO, Protection("*", checks=("test",)), actor="anna")
    pull = await site.pulls.create(REPO, principal=ANNA, head="feature")
    site.checks.by_sha[pull.merge_sha] = [Check("test", "success", "", "CI")]
    await site.commit("feature", {"more.txt": b"m\n"})
    with pytest.raises(MergeBlockedError, match="'test' has not reported"):
        await site.pulls.merge(REPO, 1, principal=ANNA)


async def test_checks_outlive_a_push_to_the_base(site: Site) -> None:
    await site.protections.set(REPO, Protection("main", checks=("test",)), actor="anna")
    pull = await site.pulls.create(REPO, principal=ANNA, head="feature")
    site.checks.by_sha[pull.merge_sha] = [Check("test", "success", "", "CI")]
    await site.commit("main", {"c.txt": b"c\n"})
    assert (await site.pulls.merge(REPO, 1, principal=ANNA)).merged_at


async def test_all_checks_means_at_least_one_and_none_red(site: Site) -> None:
    await site.protections.set(REPO, Protection("main", all_checks=True), actor="anna")
    pull = await site.pulls.create(REPO, principal=ANNA, head="feature")
    with pytest.raises(MergeBlockedError, match="none has reported"):
        await site.pulls.merge(REPO, 1, principal=ANNA)
    green, red = Check("a", "success", "", "CI"), Check("b", "failure", "", "Nightly")
    site.checks.by_sha[pull.head_sha] = [green, red]
    with pytest.raises(MergeBlockedError, match="'b' failed"):
        await site.pulls.merge(REPO, 1, principal=ANNA)
    site.checks.by_sha[pull.head_sha] = [green]
    assert (await site.pulls.merge(REPO, 1, principal=ANNA)).merged_at


async def test_approvals_are_of_principals_not_of_what_commits_say(site: Site) -> None:
    """CVE-2026-58370: every commit here says it was written by anna; it was bert who pushed them."""
    await site.protections.set(REPO, Protection("main", approvals=1), actor="anna")
    pull = await site.pulls.create(REPO, principal=BERT, head="feature")
    assert (await site.git.commit_info(REPO, "feature")).author.name == "anna"
    assert (pull.author, (await site.events())[-1].actor) == ("bert", "bert")
    with pytest.raises(NotAllowedError, match="bert opened it"):
        await site.pulls.approve(REPO, 1, principal=BERT)
    with pytest.raises(MergeBlockedError, match="needs 1 approval of"):
        await site.pulls.merge(REPO, 1, principal=BERT)
    await site.pulls.approve(REPO, 1, principal=ANNA)
    view = await site.pulls.show(REPO, 1, principal=ANNA)
    assert (view.approvals, view.blockers) == (("anna",), ())
    assert (await site.pulls.merge(REPO, 1, principal=BERT)).merged_by == "bert"


async def test_who_pushed_last_does_not_approve(site: Site) -> None:
    await site.protections.set(REPO, Protection("main", approvals=1), actor="anna")
    await site.pulls.create(REPO, principal=ANNA, head="feature")
    with pytest.raises(NotAllowedError, match="pushed its last commit"):
        await site.pulls.approve(REPO, 1, principal=BERT)


async def test_an_approval_is_of_one_commit(site: Site) -> None:
    await site.protections.set(REPO, Protection("main", approvals=1), actor="anna")
    await site.pulls.create(REPO, principal=BERT, head="feature")
    await site.pulls.approve(REPO, 1, principal=ANNA)
    await site.commit("feature", {"evil.txt": b"e\n"})
    with pytest.raises(MergeBlockedError, match="needs 1 approval of"):
        await site.pulls.merge(REPO, 1, principal=BERT)


async def test_one_that_is_not_there_names_the_command_that_lists_all(site: Site) -> None:
    with pytest.raises(PullNotFoundError, match=f"`windlass pr list --state all -R {REPO}` shows all"):
        await site.pulls.approve(REPO, 99, principal=ANNA)


async def test_machines_do_not_approve(site: Site) -> None:
    await site.pulls.create(REPO, principal=ANNA, head="feature")
    with pytest.raises(NotAllowedError, match="only people approve"):
        await site.pulls.approve(REPO, 1, principal=JOB)


async def test_who_may_not_read_sees_no_repository_and_who_may_not_write_changes_nothing(site: Site) -> None:
    with pytest.raises(RepositoryNotFoundError):
        await site.pulls.list(REPO, principal=OTTO)
    with pytest.raises(NotAllowedError):
        await site.pulls.create(REPO, principal=RITA, head="feature")
    await site.pulls.create(REPO, principal=ANNA, head="feature")
    for change in (
        site.pulls.merge,
        site.pulls.close,
        site.pulls.reopen,
        site.pulls.edit,
        site.pulls.approve,
    ):
        with pytest.raises(NotAllowedError):
            await change(REPO, 1, principal=RITA)
    assert len(await site.pulls.list(REPO, principal=RITA)) == 1


async def test_what_cannot_be_opened(site: Site) -> None:
    with pytest.raises(RevisionNotFoundError, match="'nowhere'"):
        await site.pulls.create(REPO, principal=ANNA, head="nowhere")
    with pytest.raises(PullStateError, match="nothing to merge"):
        await site.pulls.create(REPO, principal=ANNA, head="main", base="feature")
    await site.commit("island", {"i.txt": b"i\n"})
    with pytest.raises(PullStateError, match="no commit in common"):
        await site.pulls.create(REPO, principal=ANNA, head="island")
    await site.pulls.create(REPO, principal=ANNA, head="feature")
    with pytest.raises(PullStateError, match="1 is open"):
        await site.pulls.create(REPO, principal=ANNA, head="feature")


async def test_closed_and_opened_again(site: Site) -> None:
    await site.pulls.create(REPO, principal=ANNA, head="feature")
    await site.pulls.close(REPO, 1, principal=ANNA)
    with pytest.raises(PullStateError):
        await site.pulls.merge(REPO, 1, principal=ANNA)
    new = await site.commit("feature", {"more.txt": b"m\n"})
    again = await site.pulls.reopen(REPO, 1, principal=BERT)
    assert (again.state, again.head_sha) == ("open", new)
    assert [event.action for event in await site.events()] == ["opened", "closed", "reopened"]
    assert (await site.events())[1].payload["pull_request"]["merged"] is False


async def test_edits_are_told_with_what_was_before(site: Site) -> None:
    await site.branch("develop")
    await site.commit("develop", {"d.txt": b"d\n"})
    await site.pulls.create(REPO, principal=ANNA, head="feature", title="Old", draft=True)
    with pytest.raises(MergeBlockedError, match="draft"):
        await site.pulls.merge(REPO, 1, principal=ANNA)
    edited = await site.pulls.edit(REPO, 1, principal=BERT, title="New", base="develop", draft=False)
    assert (edited.base, edited.base_sha) == ("develop", await site.ref("develop"))
    told = [(event.action, event.actor) for event in await site.events()]
    assert told == [("opened", "anna"), ("edited", "bert"), ("ready_for_review", "bert")]
    changes = (await site.events())[1].payload["changes"]
    assert (changes["title"]["from"], changes["base"]["ref"]["from"]) == ("Old", "main")


async def test_a_head_that_is_gone_closes_and_one_that_was_pushed_to_the_base_is_merged(site: Site) -> None:
    await site.branch("other", "feature")
    await site.pulls.create(REPO, principal=ANNA, head="feature")
    await site.pulls.create(REPO, principal=ANNA, head="other")
    tip = await site.ref("feature")
    await GitWriter(site.repositories, BERT).move(REPO, "main", await site.ref("main"), tip)
    await run(["git", f"--git-dir={site.repositories.path(REPO)}", "update-ref", "-d", "refs/heads/other"])
    await site.repositories.record_changes(REPO)
    await site.pulls.look()
    merged, gone = [(await site.pulls.show(REPO, number, principal=ANNA)).pull for number in (1, 2)]
    assert (merged.state, merged.merged_by, merged.merged_sha) == ("closed", "bert", tip)
    assert (gone.state, gone.merged_at) == ("closed", None)


async def test_a_head_that_was_set_back_is_not_merged(site: Site) -> None:
    await site.pulls.create(REPO, principal=ANNA, head="feature")
    back = await site.ref("main")
    await GitWriter(site.repositories, BERT).move(REPO, "feature", await site.ref("feature"), back)
    await site.pulls.look()
    pull = (await site.pulls.show(REPO, 1, principal=ANNA)).pull
    assert (pull.state, pull.merged_at) == ("closed", None)


async def test_a_merge_that_was_cut_off_is_ended_at_the_next_look(site: Site) -> None:
    """As after `kill -9` between the ref's movement and the record: squash, of which git cannot tell."""
    pull = await site.pulls.create(REPO, principal=ANNA, head="feature")
    made = await site.pulls._merging.squash_commit(REPO, pull.base_sha, pull.head_sha, "x", MALLORY)
    await site.pulls._book.begin_merge(pull, {"sha": made, "by": "anna", "kind": "user"})
    await GitWriter(site.repositories, ANNA).move(REPO, "main", pull.base_sha, made)
    again = Pulls(site.store, site.repositories, url="http://windlass.test", checks=site.checks)
    await again.look()
    ended = (await again.show(REPO, 1, principal=ANNA)).pull
    assert (ended.state, ended.merged_sha, ended.merged_by) == ("closed", made, "anna")


async def test_a_merge_that_never_began_leaves_it_open(site: Site) -> None:
    pull = await site.pulls.create(REPO, principal=ANNA, head="feature")
    made = await site.pulls._merging.squash_commit(REPO, pull.base_sha, pull.head_sha, "x", MALLORY)
    await site.pulls._book.begin_merge(pull, {"sha": made, "by": "anna", "kind": "user"})
    await site.pulls.look()
    assert (await site.pulls.show(REPO, 1, principal=ANNA)).pull.state == "open"
    assert (await site.pulls.merge(REPO, 1, principal=ANNA)).merged_at


async def test_only_the_head_that_was_looked_at_is_merged(site: Site) -> None:
    pull = await site.pulls.create(REPO, principal=ANNA, head="feature")
    await site.commit("feature", {"evil.txt": b"e\n"})
    with pytest.raises(PullStateError, match="somebody pushed"):
        await site.pulls.merge(REPO, 1, principal=ANNA, sha=pull.head_sha)


async def test_they_go_with_their_repository(site: Site) -> None:
    await site.protections.set(REPO, Protection("main", approvals=1), actor="anna")
    await site.pulls.create(REPO, principal=ANNA, head="feature")
    await site.repositories.delete(REPO)
    await site.repositories.create(REPO)
    assert await site.pulls.list(REPO, principal=ANNA, state="all") == []
    assert await site.protections.list(REPO) == []


def test_nobody_counts_for_what_is_their_own() -> None:
    """An approval that was given before one pushed the same commit again does not count either."""
    assert counting(["anna", "bert", "carl"], "anna", "bert") == ("carl",)
    assert counting(["anna"], "anna", "anna") == ()
