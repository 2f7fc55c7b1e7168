"""Health of live objects, by the rules of Argo CD's built-in checks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windlass.manifests.objects import Object, annotations_of, dig, identify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HEALTHY, SUSPENDED, PROGRESSING = "Healthy", "Suspended", "Progressing"
MISSING, DEGRADED, UNKNOWN = "Missing", "Degraded", "Unknown"
ORDER = (HEALTHY, SUSPENDED, PROGRESSING, MISSING, DEGRADED, UNKNOWN)
IGNORE_RESTART_POLICY = "argocd.argoproj.io/ignore-restart-policy"
HOOK = "argocd.argoproj.io/hook"


@dataclass(frozen=True, slots=True)
class Health:
    """A status of `ORDER`, and why."""

    status: str
    message: str = ""


def worst(statuses: Iterable[str]) -> str:
    """Return the worst of several; Healthy where there are none."""
    return max(statuses, key=ORDER.index, default=HEALTHY)


def _condition(item: Object, kind: str) -> Object:
    found = dig(item, "status", "conditions") or []
    return next((each for each in found if isinstance(each, dict) and each.get("type") == kind), {})


def _number(item: Object, *path: str, default: int = 0) -> int:
    value = dig(item, *path)
    return value if isinstance(value, int) else default


def _observed(item: Object) -> bool:
    return _number(item, "metadata", "generation") <= _number(item, "status", "observedGeneration")


def _deployment(item: Object) -> Health:  # noqa: PLR0911 one for each of Argo CD's rules
    if dig(item, "spec", "paused"):
        return Health(SUSPENDED, "Deployment is paused")
    if not _observed(item):
        return Health(
            PROGRESSING,
            "Waiting for rollout to finish: observed deployment generation less than desired generation",
        )
    progress = _condition(item, "Progressing")
    if progress.get("reason") == "ProgressDeadlineExceeded":
        name = dig(item, "metadata", "name")
        return Health(DEGRADED, f'Deployment "{name}" exceeded its progress deadline')
    wanted = _number(item, "spec", "replicas", default=1)
    updated = _number(item, "status", "updatedReplicas")
    old = _number(item, "status", "replicas") - updated
    available = _number(item, "status", "availableReplicas")
    lead = "Waiting for rollout to finish: "
    if updated < wanted:
        return Health(PROGRESSING, f"{lead}{updated} out of {wanted} new replicas have been updated...")
    if old > 0:
        return Health(PROGRESSING, f"{lead}{old} old replicas are pending termination...")
    if available < updated:
        return Health(PROGRESSING, f"{lead}{available} of {updated} updated replicas are available...")
    return Health(HEALTHY)


def _replica_set(item: Object) -> Health:
    if not _observed(item):
        return Health(
            PROGRESSING, "Waiting for rollout to finish: observed replica set generation less than desired"
        )
    failure = _condition(item, "ReplicaFailure")
    if failure.get("status") == "True":
        return Health(DEGRADED, str(failure.get("message", "")))
    wanted, available = _number(item, "spec", "replicas"), _number(item, "status", "availableReplicas")
    if available < wanted:
        return Health(
            PROGRESSING,
            f"Waiting for rollout to finish: {available} out of {wanted} new replicas are available...",
        )
    return Health(HEALTHY)


def _stateful_set(item: Object) -> Health:  # noqa: PLR0911 one for each rule
    if not dig(item, "status", "observedGeneration") or not _observed(item):
        return Health(PROGRESSING, "Waiting for statefulset spec update to be observed...")
    wanted = _number(item, "spec", "replicas", default=1)
    ready = _number(item, "status", "readyReplicas")
    if ready < wanted:
        return Health(PROGRESSING, f"Waiting for {wanted - ready} pods to be ready...")
    strategy = dig(item, "spec", "updateStrategy") or {}
    partition = dig(strategy, "rollingUpdate", "partition")
    if strategy.get("type") == "RollingUpdate" and isinstance(partition, int) and partition > 0:
        updated = _number(item, "status", "updatedReplicas")
        if updated < wanted - partition:
            return Health(
                PROGRESSING,
                f"Waiting for partitioned roll out to finish: {updated} out of {wanted - partition} new pods "
                "have been updated...",
            )
        return Health(HEALTHY, f"partitioned roll out complete: {updated} new pods have been updated...")
    if strategy.get("type") == "OnDelete":
        return Health(HEALTHY, f"statefulset has {ready} ready pods")
    current, update = dig(item, "status", "currentRevision"), dig(item, "status", "updateRevision")
    if current != update:
        count = _number(item, "status", "updatedReplicas")
        return Health(
            PROGRESSING,
            f"waiting for statefulset rolling update to complete {count} pods at revision {update}...",
        )
    return Health(
        HEALTHY,
        f"statefulset rolling update complete {_number(item, 'status', 'currentReplicas')} pods "
        f"at revision {current}...",
    )


def _daemon_set(item: Object) -> Health:
    name = dig(item, "metadata", "name")
    if not _observed(item):
        return Health(
            PROGRESSING,
            "Waiting for rollout to finish: observed daemon set generation less than desired generation",
        )
    if dig(item, "spec", "updateStrategy", "type") == "OnDelete":
        return Health(HEALTHY, f"daemon set {name} uses OnDelete")
    wanted = _number(item, "status", "desiredNumberScheduled")
    updated = _number(item, "status", "updatedNumberScheduled")
    available = _number(item, "status", "numberAvailable")
    if updated < wanted:
        return Health(
            PROGRESSING,
            f'Waiting for daemon set "{name}" rollout to finish: {updated} out of {wanted} new pods '
            "have been updated...",
        )
    if available < wanted:
        return Health(
            PROGRESSING,
            f'Waiting for daemon set "{name}" rollout to finish: {available} of {wanted} updated pods are available...',
        )
    return Health(HEALTHY)


def _failing(status: Object) -> str:
    """Return why a container waits, where that is an error."""
    waiting = dig(status, "state", "waiting") or {}
    reason = str(waiting.get("reason", ""))
    return (
        str(waiting.get("message") or reason)
        if reason.startswith("Err") or reason.endswith(("Error", "BackOff"))
        else ""
    )


def _pod(item: Object) -> Health:  # noqa: PLR0911 one for each rule
    notes = annotations_of(item)
    ignored = notes.get(IGNORE_RESTART_POLICY) == "true" and HOOK not in notes
    lasting = dig(item, "spec", "restartPolicy") in (None, "Always") or ignored
    statuses = dig(item, "status", "containerStatuses") or []
    message = str(dig(item, "status", "message") or "")
    if lasting and (failures := [why for each in statuses if (why := _failing(each))]):
        return Health(DEGRADED, ", ".join(failures))
    phase = dig(item, "status", "phase")
    if phase == "Pending":
        return Health(PROGRESSING, message)
    if phase == "Succeeded":
        return Health(HEALTHY, message)
    if phase == "Failed":
        return Health(DEGRADED, message or _exit_messages(statuses))
    if phase == "Running" and lasting:
        if _condition(item, "Ready").get("status") == "True":
            return Health(HEALTHY, message)
        if any(dig(each, "lastState", "terminated") for each in statuses):
            return Health(DEGRADED, message)
        return Health(PROGRESSING, message)
    return Health(PROGRESSING if phase == "Running" else UNKNOWN, message)


def _exit_messages(statuses: list[Object]) -> str:
    for each in statuses:
        ended = dig(each, "state", "terminated") or {}
        if ended.get("message"):
            return str(ended["message"])
        if ended.get("reason") == "OOMKilled":
            return "OOMKilled"
        if ended.get("exitCode"):
            return f"container {each.get('name')!r} failed with exit code {ended['exitCode']}"
    return ""


def _job(item: Object) -> Health:
    for kind, status in (("Failed", DEGRADED), ("Suspended", SUSPENDED), ("Complete", HEALTHY)):
        found = _condition(item, kind)
        if found.get("status") == "True":
            return Health(status, str(found.get("message", "")))
    return Health(PROGRESSING)


HPA_FAILURES = {
    ("AbleToScale", "FailedGetScale"),
    ("AbleToScale", "FailedUpdateScale"),
    ("ScalingActive", "FailedGetResourceMetric"),
    ("ScalingActive", "InvalidSelector"),
}


def _autoscaler(item: Object) -> Health:
    conditions = dig(item, "status", "conditions")
    if conditions is None:
        text = annotations_of(item).get("autoscaling.alpha.kubernetes.io/conditions", "[]")
        try:
            conditions = json.loads(text)
        except ValueError:
            return Health(UNKNOWN, "its conditions annotation is not JSON")
    for each in conditions:
        if (each.get("type"), each.get("reason")) in HPA_FAILURES:
            return Health(DEGRADED, str(each.get("message", "")))
        if each.get("type") in ("AbleToScale", "ScalingLimited") and each.get("status") == "True":
            return Health(HEALTHY, str(each.get("message", "")))
    return Health(PROGRESSING, "Waiting to Autoscale")


def _api_service(item: Object) -> Health:
    found = _condition(item, "Available")
    if not found:
        return Health(PROGRESSING, "Waiting to be processed")
    message = f"{found.get('reason')}: {found.get('message')}"
    return Health(HEALTHY if found.get("status") == "True" else PROGRESSING, message)


def _service(item: Object) -> Health:
    if dig(item, "spec", "type") != "LoadBalancer" or dig(item, "status", "loadBalancer", "ingress"):
        return Health(HEALTHY)
    return Health(PROGRESSING)


def _ingress(item: Object) -> Health:
    return Health(HEALTHY if dig(item, "status", "loadBalancer", "ingress") else PROGRESSING)


def _claim(item: Object) -> Health:
    phases = {"Lost": DEGRADED, "Pending": PROGRESSING, "Bound": HEALTHY}
    return Health(phases.get(str(dig(item, "status", "phase")), UNKNOWN))


def _application(item: Object) -> Health:
    found = dig(item, "status", "health") or {}
    return Health(str(found.get("status") or PROGRESSING), str(found.get("message") or ""))


CHECKS: dict[tuple[str, str], Callable[[Object], Health]] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "ReplicaSet"): _replica_set,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("", "Pod"): _pod,
    ("", "Service"): _service,
    ("", "PersistentVolumeClaim"): _claim,
    ("batch", "Job"): _job,
    ("autoscaling", "HorizontalPodAutoscaler"): _autoscaler,
    ("apiregistration.k8s.io", "APIService"): _api_service,
    ("networking.k8s.io", "Ingress"): _ingress,
    ("extensions", "Ingress"): _ingress,
    ("extensions", "Deployment"): _deployment,
    ("argoproj.io", "Application"): _application,
}


def health(item: Object | None) -> Health | None:
    """Return the health of a live object; None for kinds without a check, Missing where there is no object."""
    if item is None:
        return Health(MISSING)
    found = identify(item)
    if dig(item, "metadata", "deletionTimestamp"):
        return Health(PROGRESSING, "Pending deletion")
    check: Any = CHECKS.get((found.group, found.kind))
    return check(item) if check else None
