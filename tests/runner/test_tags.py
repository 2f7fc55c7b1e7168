from __future__ import annotations

import pytest

from windlass.runner.actions.tags import Event, read_flavor, read_tags, tag_names, versions
from windlass.runner.errors import StepError

SHA = "860c1904a1ce19322e91ac35af1ab07466440c37"
BRANCH = Event("refs/heads/main", SHA, "push", committed=1_767_225_600, now=1_767_225_600)
FEATURE = Event("refs/heads/feature/x_1", SHA, "push")
TAG = Event("refs/tags/v1.2.3", SHA, "push")
EARLY = Event("refs/tags/v2.0.8-beta.67", SHA, "push")
PULL = Event("refs/pull/25/merge", SHA, "pull_request", base_ref="main")


@pytest.mark.parametrize(
    ("rules", "flavor", "event", "names"),
    [
        ([], [], BRANCH, ["main"]),
        ([], [], FEATURE, ["feature-x_1"]),
        ([], [], TAG, ["v1.2.3", "latest"]),
        ([], [], PULL, ["pr-25"]),
        ([], [], Event("refs/heads/main", SHA, "schedule"), ["nightly", "main"]),
        (["type=sha,priority=1000", "type=ref,event=branch"], [], BRANCH, ["sha-860c190", "main"]),
        (["type=ref,event=branch", "type=sha"], [], BRANCH, ["main", "sha-860c190"]),
        (["type=sha,format=long,prefix="], [], BRANCH, [SHA]),
        (["type=sha,prefix={{branch}}-"], [], FEATURE, ["feature-x_1-860c190"]),
        (["type=raw,value=latest,enable={{is_default_branch}}"], [], BRANCH, ["latest"]),
        (["type=raw,value=latest,enable={{is_default_branch}}"], [], FEATURE, []),
        (["type=raw,value=rel-{{date 'YYYYMMDD'}}"], [], BRANCH, ["rel-20260101"]),
        (["plain"], ["latest=true"], BRANCH, ["plain", "latest"]),
        (["type=semver,pattern={{version}}", "type=semver,pattern={{major}}.{{minor}}", "type=semver,pattern={{major}}"],  # noqa: E501
         [], TAG, ["1.2.3", "1.2", "1", "latest"]),
        (["type=semver,pattern={{version}}", "type=semver,pattern={{major}}.{{minor}}"], [], EARLY, ["2.0.8-beta.67"]),
        (["type=semver,pattern={{raw}}"], [], TAG, ["v1.2.3", "latest"]),
        (["type=semver,pattern={{version}},value=v3.1.4"], [], BRANCH, ["3.1.4", "latest"]),
        (["type=semver,pattern={{version}}"], [], BRANCH, []),
        (["type=match,pattern=v(\\d+).(\\d+),group=1"], [], TAG, ["1", "latest"]),
        (["type=edge"], [], BRANCH, ["edge"]),
        (["type=ref,event=tag"], ["latest=false", "prefix=p-", "suffix=-s"], TAG, ["p-v1.2.3-s"]),
        (["type=ref,event=tag"], ["suffix=-slim,onlatest=true"], TAG, ["v1.2.3-slim", "latest-slim"]),
        (["type=raw,value=a/b c"], [], BRANCH, ["a-b-c"]),
    ],
)  # fmt: skip
def test_tags(rules: list[str], flavor: list[str], event: Event, names: list[str]) -> None:
    chosen = read_flavor(flavor)
    version, _ = versions(read_tags(rules), chosen, event)
    assert tag_names(version, chosen) == names


def test_a_tag_that_is_no_version_is_warned_of() -> None:
    version, warnings = versions(
        read_tags(["type=semver,pattern={{version}}"]), read_flavor([]), Event("refs/tags/x", SHA, "push")
    )
    assert not version.main
    assert "x is not a version" in warnings[0]


@pytest.mark.parametrize(
    "rule",
    ["type=unknown", "type=ref,event=x", "type=raw", "type=sha,format=x", "a,b", "type=sha,enable=maybe"],
)
def test_rules_that_are_none(rule: str) -> None:
    with pytest.raises(StepError):
        versions(read_tags([rule]), read_flavor([]), BRANCH)
