"""Which of two deployments is the newer one. Pure.

GitOps commits of a branch stand in one line: the branch's tip is the newest, and a delivery of an older one
is superseded as soon as a newer is seen. But the tip may carry an *older image*: two runs of one branch
finish in the wrong order, and the late job of the older run writes its digest over the newer one's. So a
digest whose latest run is older than the latest run of the digest that is live does not go out, if a job put it
there. It does go out when somebody meant it: a revert in the source repository makes a new, and so a newer,
run (even where it publishes the very same digest), and a GitOps commit by a person is a decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Published:
    """A run that published a digest. Runs of a repository are numbered in the order of their events."""

    run: int
    repository: str
    ref: str
    sha: str


@dataclass(frozen=True, slots=True)
class Older:
    """The image that is older than what is live."""

    image: str
    ours: Published
    live: Published

    def __str__(self) -> str:
        return (
            f"{self.image} is of run {self.ours.run} ({self.ours.sha[:12]}), older than run {self.live.run} "
            f"({self.live.sha[:12]}) of the same branch, which is live; superseded by that"
        )


def name_of(image: str) -> str:
    """Return an image's name without tag and digest."""
    name = image.partition("@")[0]
    colon = name.find(":", name.rfind("/") + 1)
    return name if colon < 0 else name[:colon]


def older(
    candidate: Mapping[str, Sequence[Published]], live: Mapping[str, Sequence[Published]], *, pushed_by: str
) -> Older | None:
    """Return an image by which a commit is older than what is live, or None.

    Both map an image's name to the runs that published its digest; `pushed_by` is the kind of principal that
    pushed the GitOps commit (`job`, `user`, `robot`).
    """
    if pushed_by != "job":
        return None
    for image, ours in candidate.items():
        for there in live.get(image, ()):
            same = [each for each in ours if (each.repository, each.ref) == (there.repository, there.ref)]
            newest = max((each for each in same), key=lambda each: each.run, default=None)
            top = max(
                (
                    each
                    for each in live[image]
                    if (each.repository, each.ref) == (there.repository, there.ref)
                ),
                key=lambda each: each.run,
            )
            if newest is not None and newest.run < top.run:
                return Older(image, newest, top)
    return None
