"""What a new version is asked before and after it gets traffic. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windlass.delivery.errors import ChecksError
from windlass.manifests import DocumentError, containers, dig, read

if TYPE_CHECKING:
    from windlass.manifests import Object

PHASES = ("candidate", "live")
FIELDS = frozenset(
    {"phase", "path", "method", "status", "contains", "timeout", "attempts", "interval", "service", "body"}
)
MAX_CHECKS = 50
LIMITS = {"timeout": (0.1, 60.0), "interval": (0.0, 60.0), "attempts": (1, 100)}


@dataclass(frozen=True, slots=True)
class Check:
    """One request and what must come back. Times in seconds; `status` None takes 200 to 399."""

    phase: str
    path: str
    method: str = "GET"
    status: int | None = 200
    contains: str = ""
    body: str = ""
    timeout: float = 2.0
    attempts: int = 2
    interval: float = 0.2
    service: str = ""

    def fault(self, status: int, body: bytes) -> str:
        """Return what is wrong with an answer, or an empty string."""
        if self.status is None:
            if not 200 <= status < 400:
                return f"{self.method} {self.path} answered {status}"
        elif status != self.status:
            return f"{self.method} {self.path} answered {status}, not {self.status}"
        if self.contains and self.contains.encode() not in body:
            return f"{self.method} {self.path}: the answer does not contain {self.contains!r}"
        return ""


def _check(entry: Any, number: int) -> Check:
    where = f"check {number}"
    if not isinstance(entry, dict):
        raise ChecksError(f"{where}: a check is a mapping with phase and path")
    if unknown := sorted(set(entry) - FIELDS):
        raise ChecksError(
            f"{where}: unknown fields {', '.join(map(str, unknown))}; known: {', '.join(sorted(FIELDS))}"
        )
    if entry.get("phase") not in PHASES:
        raise ChecksError(f"{where}: phase must be candidate or live, not {entry.get('phase')!r}")
    path = str(entry.get("path", ""))
    if not path.startswith("/"):
        raise ChecksError(f"{where}: path must begin with /, not {path!r}")
    values: dict[str, Any] = {"phase": entry["phase"], "path": path}
    values |= {key: str(entry[key]) for key in ("contains", "service", "body") if key in entry}
    values["method"] = str(entry.get("method", "GET")).upper()
    if "status" in entry:
        if not isinstance(entry["status"], int) or not 100 <= entry["status"] <= 599:
            raise ChecksError(f"{where}: status must be an HTTP status, not {entry['status']!r}")
        values["status"] = entry["status"]
    for key, (low, high) in LIMITS.items():
        if key in entry:
            value = entry[key]
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                raise ChecksError(f"{where}: {key} must be a number from {low} to {high}, not {value!r}")
            values[key] = int(value) if key == "attempts" else float(value)
    return Check(**values)


def parse(text: str) -> list[Check]:
    """Read the annotation `windlass.dev/verify`; raises `ChecksError`."""
    try:
        documents = read(text, "windlass.dev/verify")
    except DocumentError as error:
        raise ChecksError(str(error)) from None
    entries = documents[0].value if documents else []
    if not isinstance(entries, list) or len(entries) > MAX_CHECKS or len(documents) > 1:
        raise ChecksError(f"windlass.dev/verify must be one list of at most {MAX_CHECKS} checks")
    return [_check(entry, number) for number, entry in enumerate(entries, 1)]


@dataclass(frozen=True, slots=True)
class Readiness:
    """A container's HTTP readiness probe, with Kubernetes' defaults. Times in seconds."""

    path: str
    port: int
    headers: tuple[tuple[str, str], ...] = ()
    period: float = 10.0
    timeout: float = 1.0
    threshold: int = 3
    delay: float = 0.0

    @property
    def patience(self) -> float:
        """How long definite errors are borne."""
        return self.threshold * self.period + self.delay


def _port(container: Object, port: Any) -> int | None:
    if isinstance(port, int):
        return port
    named = [each.get("containerPort") for each in container.get("ports") or [] if each.get("name") == port]
    return named[0] if named and isinstance(named[0], int) else None


def readiness(item: Object) -> Readiness | None:
    """Return the first HTTP readiness probe of a workload or pod."""
    for container in containers(item):
        probe = container.get("readinessProbe") or {}
        http = probe.get("httpGet")
        port = _port(container, http.get("port")) if isinstance(http, dict) else None
        if http and port:
            return Readiness(
                str(http.get("path") or "/"),
                port,
                tuple((str(h.get("name")), str(h.get("value"))) for h in http.get("httpHeaders") or []),
                float(probe.get("periodSeconds") or 10),
                float(probe.get("timeoutSeconds") or 1),
                int(probe.get("failureThreshold") or 3),
                float(probe.get("initialDelaySeconds") or 0),
            )
    return None


def target_port(item: Object, service: Object | None) -> int | None:
    """Return the container port to ask: the readiness probe's, else the Service's first, else the first of all."""
    probe = readiness(item)
    if probe:
        return probe.port
    wanted = dig(service or {}, "spec", "ports", 0, "targetPort") or dig(
        service or {}, "spec", "ports", 0, "port"
    )
    for container in containers(item):
        port = _port(container, wanted) if wanted else None
        port = port or dig(container, "ports", 0, "containerPort")
        if isinstance(port, int):
            return port
    return None


def wanted(checks: list[Check], phase: str, item: Object) -> list[Check]:
    """Return the checks of a phase; without any, the readiness probe's path."""
    mine = [check for check in checks if check.phase == phase]
    if mine:
        return mine
    probe = readiness(item)
    if probe is None:
        return []
    timeout = max(probe.timeout, 1.0)
    return [Check(phase, probe.path, status=None, timeout=timeout, attempts=3 if phase == "candidate" else 2)]
