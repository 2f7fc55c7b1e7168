"""Asking new pods what they must answer: without traffic through the API's proxy, then through the address."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import httpx2

from windlass.delivery import marks
from windlass.delivery.checks import Check, readiness, target_port, wanted
from windlass.delivery.rollout import Outcome
from windlass.kube import KubeError
from windlass.kube.connecting import owning
from windlass.manifests import annotations_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from windlass.delivery.rollout import Pod
    from windlass.kube import Kube
    from windlass.manifests import Object

POD_HEADER = "x-windlass-pod"
SHOWN = 300
STRAY_PATIENCE = 10.0
ENOUGH = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer over HTTP; `status` 0 with `error` where there was none."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    error: str = ""


class Prober(Protocol):
    """Asks an address. Each request is a connection of its own; never raises for what the other end does."""

    async def ask(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> Answer:
        """Send one request and return what came back within `timeout` seconds."""
        ...


class HTTPProber:
    """The real one."""

    def __init__(self) -> None:
        limits = httpx2.Limits(max_keepalive_connections=0)
        self._http = owning(httpx2.AsyncClient(trust_env=False, limits=limits, follow_redirects=False))

    async def ask(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> Answer:
        """Send one request."""
        start = time.perf_counter()
        try:
            found = await self._http.request(
                method, url, headers=dict(headers), content=body, timeout=timeout
            )
        except httpx2.HTTPError as error:
            return Answer(0, {}, b"", time.perf_counter() - start, repr(error))
        return Answer(found.status_code, dict(found.headers), found.content, time.perf_counter() - start)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


@dataclass(slots=True)
class Record:
    """What was asked and answered, for the evidence; only the last answers of a long series are kept."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, subject: str, check: Check, answer: Answer, fault: str) -> None:
        """Note one answer."""
        row = {
            "at": time.time(),
            "pod": subject,
            "request": f"{check.method} {check.path}",
            "status": answer.status,
            "milliseconds": round(answer.seconds * 1000, 1),
            "fault": fault or answer.error,
        }
        if fault:
            row["body"] = answer.body[:SHOWN].decode(errors="replace")
        self.rows.append(row)
        del self.rows[:-200]


@dataclass(frozen=True, slots=True)
class Subject:
    """A workload to verify: as it is applied, its new pods, its Services as they are live."""

    key: str
    item: Object
    pods: tuple[Pod, ...]
    services: tuple[Object, ...]

    def checks(self, checks: Sequence[Check], phase: str) -> list[Check]:
        """Return the checks of a phase that concern it."""
        names = {service["metadata"]["name"] for service in self.services}
        mine = [check for check in checks if not check.service or check.service in names]
        return wanted(mine, phase, self.item)


class Verifier:
    """Carries verifications out. Stateless: a verification that was cut short is begun anew."""

    def __init__(self, kube: Kube, prober: Prober, trace_secret: str, address_grace: float) -> None:
        self._kube = kube
        self._prober = prober
        self._secret = trace_secret
        self._grace = address_grace

    async def ask_pod(
        self, pod: Pod, port: int, check: Check, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask one pod through the API server."""
        try:
            found = await self._kube.proxy(
                pod.namespace,
                pod.name,
                port,
                check.method,
                check.path,
                headers=headers,
                body=check.body.encode() or None,
                timeout=check.timeout,
            )
        except KubeError as error:
            return Answer(0, {}, b"", 0.0, str(error))
        return Answer(found.status, found.headers, found.body, found.seconds)

    async def candidate(
        self, subjects: Sequence[Subject], checks: Sequence[Check], record: Record
    ) -> Outcome:
        """Ask every new pod; all must answer as they should."""
        outcomes: list[Outcome] = []

        async def one(subject: Subject, pod: Pod) -> None:
            outcomes.append(await self._candidate(subject, pod, checks, record))

        async with anyio.create_task_group() as tasks:
            for subject in subjects:
                for pod in subject.pods:
                    tasks.start_soon(one, subject, pod)
        return next((found for found in outcomes if not found.passed), Outcome(passed=True))

    async def _candidate(
        self, subject: Subject, pod: Pod, checks: Sequence[Check], record: Record
    ) -> Outcome:
        port = target_port(subject.item, subject.services[0] if subject.services else None)
        probe = readiness(subject.item)
        for check in subject.checks(checks, "candidate"):
            if port is None:
                return Outcome(False, f"{subject.key} has no container port to verify", subject.key)
            headers = dict(probe.headers) if probe else None
            fault = await self._ask_until(pod, port, check, headers, record)
            if fault:
                return Outcome(False, f"pod {pod.name} without traffic: {fault}", subject.key)
        return Outcome(passed=True)

    async def _ask_until(
        self, pod: Pod, port: int, check: Check, headers: Mapping[str, str] | None, record: Record
    ) -> str:
        """Ask until an answer is good, and return an empty string, or what is wrong with the last one.

        A pod that cannot be reached gets more time: that may be us, starting up, and not the pod.
        """
        give_up = anyio.current_time() + STRAY_PATIENCE
        bad = 0
        while True:
            answer = await self.ask_pod(pod, port, check, headers)
            fault = answer.error or check.fault(answer.status, answer.body)
            record.add(pod.name, check, answer, fault)
            bad += not answer.error
            if not fault or bad >= check.attempts or anyio.current_time() >= give_up:
                return fault
            await anyio.sleep(check.interval or 0.05)

    async def live(self, subjects: Sequence[Subject], checks: Sequence[Check], record: Record) -> Outcome:
        """Ask through the public addresses until every new pod has answered as it should."""
        notes = []
        for subject in subjects:
            address = await self._address(subject)
            mine = subject.checks(checks, "live")
            if address is None or not mine:
                why = (
                    "no Service of it has a public address" if address is None else "nothing says what to ask"
                )
                notes.append(f"{subject.key} was not verified through its address: {why}")
                continue
            for check in mine:
                outcome = await self._live(subject, address, check, record)
                if not outcome.passed:
                    return outcome
        return Outcome(True, "; ".join(notes))

    async def _address(self, subject: Subject) -> str | None:
        """Return the public address, waiting a little for the edge to give one."""
        give_up = anyio.current_time() + self._grace
        while subject.services:
            for service in subject.services:
                meta = service["metadata"]
                try:
                    fresh = await self._kube.get("v1/Service", meta["name"], meta.get("namespace"))
                except KubeError:
                    continue
                if address := annotations_of(fresh).get(marks.ADDRESS):
                    return address.rstrip("/")
            if anyio.current_time() >= give_up:
                return None
            await anyio.sleep(0.1)
        return None

    async def _live(self, subject: Subject, address: str, check: Check, record: Record) -> Outcome:
        pods = {pod.name for pod in subject.pods}
        headers = {"X-Windlass-Trace": self._secret} if self._secret else {}
        seen: set[str] = set()
        good = failures = 0
        stray_until: float | None = None
        while True:
            answer = await self._prober.ask(
                check.method,
                address + check.path,
                headers=headers,
                body=check.body.encode() or None,
                timeout=check.timeout,
            )
            traced = {key.lower(): value for key, value in answer.headers.items()}.get(POD_HEADER, "")
            ours = traced in pods or (not self._secret and not traced and answer.status > 0)
            fault = answer.error or check.fault(answer.status, answer.body)
            record.add(traced or address, check, answer, fault if ours else fault or "not a new pod")
            if ours and not fault:
                seen.add(traced)
                good, failures, stray_until = good + 1, 0, None
                if seen >= pods or good >= ENOUGH * max(len(pods), 1):
                    return Outcome(passed=True)
                continue
            if ours:
                failures += 1
                if failures >= check.attempts:
                    return Outcome(False, f"pod {traced or '?'} with traffic: {fault}", subject.key)
                await anyio.sleep(check.interval)
                continue
            now = anyio.current_time()
            stray_until = stray_until or now + max(STRAY_PATIENCE, check.timeout)
            if now >= stray_until:
                what = answer.error or (
                    f"pod {traced} answered" if traced else f"{answer.status} from no pod of ours"
                )
                return Outcome(
                    False, f"{address}{check.path} is not answered by the new pods: {what}", subject.key
                )
            await anyio.sleep(0.05)
