"""Decides how branches and tags follow those of a forge. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from windlass.repos.records import ZERO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from windlass.repos.webhooks import RemotePush


@dataclass(frozen=True, slots=True)
class Move:
    """One ref that goes from `before` to `after` (`ZERO`: none), or (`agree`) stands there already."""

    ref: str
    before: str
    after: str
    what: Literal["move", "agree", "apart"]


def plan_moves(
    local: Mapping[str, str],
    agreed: Mapping[str, str],
    there: Mapping[str, str],
    contains: Callable[[str, str], bool],
) -> list[Move]:
    """Compare our refs, what was last agreed upon, and the forge's: full ref to commit.

    A ref that only the forge moved follows, also backwards. One that moved here as well follows only where the
    forge's holds what ours has (`contains(ours, theirs)`); else it stays as it is, told as `apart`.
    """
    moves = []
    for ref in sorted(local.keys() | agreed.keys() | there.keys()):
        ours, last, theirs = local.get(ref, ZERO), agreed.get(ref, ZERO), there.get(ref, ZERO)
        if theirs == last:
            continue
        if ours == theirs:
            moves.append(Move(ref, ours, theirs, "agree"))
        elif ours == last or (ZERO not in {ours, theirs} and contains(ours, theirs)):
            moves.append(Move(ref, ours, theirs, "move"))
        else:
            moves.append(Move(ref, ours, theirs, "apart"))
    return moves


@dataclass(frozen=True, slots=True)
class Hop:
    """A part of a move that one push on the forge made."""

    before: str
    after: str
    pusher: str


def hops(move: Move, told: Sequence[RemotePush], otherwise: str, leads: Callable[[str], bool]) -> list[Hop]:
    """Take a move apart into the pushes that the forge told of, in their order.

    `leads(sha)` says whether a commit is on the way to where the ref is now. What nobody told of is one hop by
    `otherwise` (the forge).
    """
    found: list[Hop] = []
    at = move.before
    for push in told:
        if push.ref != move.ref or push.before != at or push.after == at:
            continue
        if push.after == move.after or (push.after != ZERO and leads(push.after)):
            found.append(Hop(at, push.after, push.pusher or otherwise))
            at = push.after
        if at == move.after:
            break
    if at != move.after:
        last = [
            push.pusher for push in told if push.ref == move.ref and push.after == move.after and push.pusher
        ]
        found.append(Hop(at, move.after, last[-1] if last else otherwise))
    return found
