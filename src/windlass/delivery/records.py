"""Deliveries, holds and evidence, as they are kept in SQL."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

WAITING, APPLYING, PROGRESSING, VERIFYING = "waiting", "applying", "progressing", "verifying"
ASK = "automated sync is off for this Application; ask for a sync"
"""Why a delivery waits that a person must start."""
ROLLING_BACK = "rolling_back"
LIVE, SUPERSEDED, ROLLED_BACK, FAILED, HELD = "live", "superseded", "rolled_back", "failed", "held"
FINAL = frozenset({LIVE, SUPERSEDED, ROLLED_BACK, FAILED, HELD})
GOOD_SEGMENTS = (
    "committed_at",
    "applied_at",
    "ready_at",
    "verified_candidate_at",
    "cut_over_at",
    "verified_live_at",
    "finalised_at",
)
BAD_SEGMENTS = ("detected_at", "traffic_back_at", "evidence_at", "restored_at", "reverted_at")
SEGMENTS = (*GOOD_SEGMENTS, *BAD_SEGMENTS)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One GitOps commit on its way to one Application. Times are seconds since the epoch; None: not yet.

    `state` is waiting, applying, progressing, verifying, rolling_back, or final: live, superseded,
    rolled_back, failed, held. `pending` are the workloads (`Deployment/NAME`) whose pod template is new with
    it. `previous` is the delivery that was live before.
    """

    id: int
    application: str
    uid: str
    repo: str
    branch: str
    revision: str
    attempt: int
    source: str
    initiated_by: str
    state: str
    reason: str
    previous: int | None
    superseded_by: str | None
    pending: tuple[str, ...]
    created_at: float
    committed_at: float | None = None
    applied_at: float | None = None
    ready_at: float | None = None
    verified_candidate_at: float | None = None
    cut_over_at: float | None = None
    verified_live_at: float | None = None
    finalised_at: float | None = None
    detected_at: float | None = None
    traffic_back_at: float | None = None
    evidence_at: float | None = None
    restored_at: float | None = None
    reverted_at: float | None = None
    revert_commit: str | None = None
    ended_at: float | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of the table `deliveries`."""
        values = {field.name: row[field.name] for field in fields(cls)}
        return cls(**{**values, "pending": tuple(json.loads(row["pending"]))})

    @property
    def final(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in FINAL

    @property
    def segments(self) -> dict[str, float]:
        """The time stamps that were reached, in their order."""
        return {name: value for name in SEGMENTS if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a delivery deploys, immutable: image → digest, workload → template hash, files that it was made of."""

    delivery: int
    images: dict[str, str]
    templates: dict[str, str]
    files: tuple[str, ...]

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of the table `delivery_deployments`."""
        return cls(
            row["delivery"],
            json.loads(row["images"]),
            json.loads(row["templates"]),
            tuple(json.loads(row["files"])),
        )


@dataclass(frozen=True, slots=True)
class Hold:
    """A pod template that may not be deployed again to this Application, until it is released."""

    id: int
    application: str
    workload: str
    template: str
    delivery: int
    reason: str
    created_at: float

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of the table `delivery_holds`."""
        return cls(**{field.name: row[field.name] for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something that was seen: `kind` is log, answers, events, verification, images or note."""

    at: float
    kind: str
    subject: str
    data: Any
