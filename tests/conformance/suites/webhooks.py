"""Forges' webhooks: each is read, or refused with a reason."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from conformance.cases import Case
from windlass.repos.webhooks import WebhookError, parse_webhook

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def run(folder: Path) -> Iterable[Case]:
    """Read each payload; any other end than events or a refusal is a failure."""
    for path in sorted(folder.glob("*.json")):
        result: Any
        try:
            found = parse_webhook(path.read_bytes())
            result, passed = (
                {"events": [{"kind": type(event).__name__, **asdict(event)} for event in found]},
                True,
            )
        except WebhookError as refusal:
            result, passed = {"refused": str(refusal)}, bool(str(refusal))
        except Exception as error:  # noqa: BLE001 a crash is what the suite looks for
            result, passed = f"{type(error).__name__}: {error}", False
        yield Case(path.name, passed, result, "events, or a refusal with its reason")
