"""One Application as it is being reconciled, and what is remembered of it between two looks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from windlass.delivery import marks
from windlass.manifests import dig

if TYPE_CHECKING:
    import anyio

    from windlass.delivery.render import Source, Target
    from windlass.delivery.rollout import Outcome
    from windlass.delivery.sync import Result
    from windlass.manifests import Object


@dataclass(slots=True)
class Run:
    """A verification in flight, or its outcome, for exactly these pods."""

    pods: frozenset[str]
    scope: anyio.CancelScope
    outcome: Outcome


@dataclass(slots=True)
class Memory:
    """What may be lost at any time: targets already rendered, verifications, the last results."""

    targets: dict[int, Target] = field(default_factory=dict)
    runs: dict[tuple[int, str], Run] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    notes: dict[int, tuple[str, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class Case:
    """An Application, its source and the tip of its branch, as they are now."""

    key: str
    app: Object
    memory: Memory
    control: str
    source: Source | None = None
    branch: str = ""
    head: str | None = None
    conditions: list[tuple[str, str]] = field(default_factory=list)
    again: float | None = None

    @property
    def uid(self) -> str:
        """The object's uid."""
        return str(self.app["metadata"]["uid"])

    @property
    def namespace(self) -> str:
        """The object's namespace."""
        return str(self.app["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.app["metadata"]["name"])

    @property
    def instance(self) -> str:
        """The name under which its resources are tracked."""
        return marks.instance(self.namespace, self.name, self.control)

    @property
    def automated(self) -> dict[str, Any] | None:
        """`spec.syncPolicy.automated`, None where syncs are manual."""
        found = dig(self.app, "spec", "syncPolicy", "automated")
        if not isinstance(found, dict) or found.get("enabled") is False:
            return None
        return found

    @property
    def prune(self) -> bool:
        """Whether what is no longer wanted is deleted."""
        return bool((self.automated or {}).get("prune"))

    @property
    def self_heal(self) -> bool:
        """Whether drift is put back."""
        return bool((self.automated or {}).get("selfHeal"))

    def sync_option(self, name: str) -> bool:
        """Whether `spec.syncPolicy.syncOptions` holds `NAME=true`."""
        return f"{name}=true" in (dig(self.app, "spec", "syncPolicy", "syncOptions") or [])

    def look_again(self, seconds: float) -> None:
        """Look again in so many seconds, or earlier."""
        self.again = seconds if self.again is None else min(self.again, seconds)
