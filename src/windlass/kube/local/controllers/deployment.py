"""The Deployment controller's decisions: a port of Kubernetes' `syncDeployment` as a pure function."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from windlass.kube.local.controllers import deployment_status as status
from windlass.kube.local.controllers.effects import (
    EVENT_NORMAL,
    Collide,
    Create,
    Delete,
    Patch,
    Report,
    Requeue,
    SetStatus,
)
from windlass.kube.local.controllers.meta import (
    annotations_of,
    condition,
    controlled_by,
    controller_of,
    created,
    deleting,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    selects,
    status_of,
    uid_of,
    with_condition,
)
from windlass.kube.local.controllers.scaling import (
    DESIRED,
    MAXIMUM,
    down_old,
    is_rolling,
    is_saturated,
    max_surge,
    new_replicas,
    proportional,
    replicas_of,
)
from windlass.kube.local.controllers.templates import (
    HASH_LABEL,
    find_new,
    labelled,
    revision,
    template_hash,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windlass.kube.local.controllers.effects import Effect
    from windlass.kube.local.controllers.meta import Object

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
NOT_COPIED = {
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAXIMUM,
    "deprecated.deployment.rollback.to",
}
DEPLOYMENTS = "deployments.apps"
REPLICA_SETS = "replicasets.apps"


def decide(
    deployment: Object, replica_sets: Sequence[Object], pods: Sequence[Object], now: float
) -> list[Effect]:
    """Say what is to be done about a Deployment.

    `replica_sets` and `pods` are those of its namespace. Spec as in apps/v1; a missing field has
    Kubernetes' default. Deciding again after the effects are done leads on; in a settled state it is empty.
    """
    adoptions: list[Effect] = []
    owned = []
    for candidate in replica_sets:
        if controlled_by(candidate, deployment):
            owned.append(candidate)
        elif _is_orphan(deployment, candidate):
            references = [*(candidate["metadata"].get("ownerReferences") or ()), owner_reference(deployment)]
            patch = {"metadata": {"ownerReferences": references}}
            adoptions.append(Patch(REPLICA_SETS, candidate, patch))
    if adoptions:
        return adoptions
    return _Sync(deployment, owned, pods, now, taken={name_of(rs) for rs in replica_sets}).decide()


def _is_behind(replica_set: Object) -> bool:
    """Whether the ReplicaSet controller has not seen the present spec yet."""
    observed: int = status_of(replica_set).get("observedGeneration", 0)
    return observed < int(replica_set["metadata"].get("generation", 1))


def _is_orphan(deployment: Object, candidate: Object) -> bool:
    """Whether the ReplicaSet is nobody's and matches."""
    free = controller_of(candidate) is None and not deleting(candidate) and not deleting(deployment)
    return free and selects(deployment["spec"].get("selector"), labels_of(candidate))


@dataclass(slots=True)
class _Sync:
    """One pass: works on copies of the objects, so that each step sees what the steps before it did."""

    deployment: Object
    owned: list[Object]
    pods: Sequence[Object]
    now: float
    taken: set[str]
    new: Object | None = None
    effects: list[Effect] = field(default_factory=list)

    def decide(self) -> list[Effect]:
        before = status_of(self.deployment)
        self.new = find_new(self.deployment, self.owned)
        if deleting(self.deployment):
            return self._finish(before, progressing=False)
        self._note_pause()
        if self._paused or self._is_scaling():
            self._touch_new()
            self._scale()
            if self._paused:
                self._clean_up()
            return self._finish(before, progressing=False)
        if is_rolling(self.deployment):
            self._roll()
        else:
            self._recreate()
        return self._finish(before, progressing=True)

    # -- what is there

    @property
    def old(self) -> list[Object]:
        return [rs for rs in self.owned if self.new is None or uid_of(rs) != uid_of(self.new)]

    @property
    def _paused(self) -> bool:
        return bool(self.deployment["spec"].get("paused"))

    def _is_scaling(self) -> bool:
        desired = str(replicas_of(self.deployment))
        return any(
            annotations_of(rs).get(DESIRED, desired) != desired for rs in self.owned if replicas_of(rs) > 0
        )

    # -- steps

    def _roll(self) -> None:
        if not self._ensure_new():
            return
        new = self._newest
        desired = replicas_of(self.deployment)
        if replicas_of(new) != desired:
            size = desired
            if replicas_of(new) < desired:
                size = new_replicas(self.deployment, self.owned, replicas_of(new))
            if self._resize(new, size):
                return
        # The status of a ReplicaSet whose spec has just changed speaks of what was: wait for it, or pods that
        # are on their way out, or that minReadySeconds now calls unavailable, would count for a moment.
        if any(_is_behind(rs) for rs in self.owned):
            return
        shrink = down_old(self.deployment, new, self.old)
        for rs in self.old:
            if name_of(rs) in shrink:
                self._resize(rs, shrink[name_of(rs)])
        self._clean_up_when_complete()

    def _recreate(self) -> None:
        active = [rs for rs in self.old if replicas_of(rs) > 0]
        for rs in active:
            self._resize(rs, 0)
        if active or self._old_pods_run():
            return
        if self._ensure_new():
            self._resize(self._newest, replicas_of(self.deployment))
            self._clean_up_when_complete()

    def _old_pods_run(self) -> bool:
        old = {uid_of(rs) for rs in self.old}
        return any(
            (controller_of(pod) or {}).get("uid") in old
            and status_of(pod).get("phase") not in {"Failed", "Succeeded"}
            for pod in self.pods
        )

    @property
    def _newest(self) -> Object:
        assert self.new is not None  # noqa: S101 said to the type checker; _ensure_new came before
        return self.new

    def _ensure_new(self) -> bool:
        """Whether the new ReplicaSet stands with all that the Deployment says; otherwise make it so."""
        if self.new is not None:
            return self._touch_new()
        spec = self.deployment["spec"]
        value = template_hash(spec["template"], status_of(self.deployment).get("collisionCount", 0))
        name = f"{name_of(self.deployment)}-{value}"
        if name in self.taken:
            self.effects.append(Collide(self.deployment))
            return False
        replica_set = self._new_replica_set(name, value)
        size = new_replicas(self.deployment, self.owned, 0)
        replica_set["spec"]["replicas"] = size
        self.effects.append(Create(REPLICA_SETS, replica_set))
        if size > 0:
            self._report(f"Scaled up replica set {name} from 0 to {size}")
        self.owned = [*self.owned, replica_set]
        self.new = replica_set
        self._set_revision(replica_set)
        self._set_progressing("NewReplicaSetCreated", f'Created new replica set "{name}"')
        return False

    def _new_replica_set(self, name: str, value: str) -> Object:
        spec = self.deployment["spec"]
        template = labelled(spec["template"], value)
        selector = dict(spec["selector"])
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: value}
        return {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": name,
                "namespace": namespace_of(self.deployment),
                "labels": dict(template["metadata"]["labels"]),
                "annotations": {
                    **self._copied(),
                    REVISION: str(self._next_revision()),
                    DESIRED: str(replicas_of(self.deployment)),
                    MAXIMUM: str(replicas_of(self.deployment) + max_surge(self.deployment)),
                },
                "ownerReferences": [owner_reference(self.deployment)],
            },
            "spec": {
                "minReadySeconds": spec.get("minReadySeconds", 0),
                "selector": selector,
                "template": template,
            },
        }

    def _copied(self) -> dict[str, str]:
        return {key: value for key, value in annotations_of(self.deployment).items() if key not in NOT_COPIED}

    def _next_revision(self) -> int:
        return max((revision(rs) for rs in self.old), default=0) + 1

    def _touch_new(self) -> bool:
        """Bring revision, annotations and minReadySeconds of the new ReplicaSet up to date; True if they were."""
        if self.new is None:
            return True
        annotations = annotations_of(self.new)
        changed = {key: value for key, value in self._copied().items() if annotations.get(key) != value}
        wanted_revision, present = self._next_revision(), revision(self.new)
        if present < wanted_revision:
            changed[REVISION] = str(wanted_revision)
            if present:
                history = annotations.get(HISTORY)
                changed[HISTORY] = f"{history},{present}" if history else str(present)
        patch: Object = {"metadata": {"annotations": changed}} if changed else {}
        minimum = self.deployment["spec"].get("minReadySeconds", 0)
        if self.new["spec"].get("minReadySeconds", 0) != minimum:
            patch["spec"] = {"minReadySeconds": minimum}
        if patch:
            self.effects.append(Patch(REPLICA_SETS, self.new, patch))
        self._set_revision({"metadata": {"annotations": {**annotations, **changed}}})
        if condition(self.deployment, "Progressing") is None:
            self._set_progressing("FoundNewReplicaSet", f'Found new replica set "{name_of(self.new)}"')
        return not patch

    def _set_revision(self, replica_set: Object) -> None:
        value = annotations_of(replica_set).get(REVISION)
        if value and annotations_of(self.deployment).get(REVISION) != value:
            patch = {"metadata": {"annotations": {REVISION: value}}}
            self.effects.append(Patch(DEPLOYMENTS, self.deployment, patch))

    def _scale(self) -> None:
        active = [rs for rs in self.owned if replicas_of(rs) > 0]
        desired = replicas_of(self.deployment)
        if len(active) <= 1:
            latest = max(self.owned, key=lambda rs: (created(rs), name_of(rs)), default=None)
            only = active[0] if active else self.new or latest
            if only is not None:
                self._resize(only, desired)
        elif is_saturated(self.deployment, self.new):
            for rs in self.old:
                self._resize(rs, 0)
        elif is_rolling(self.deployment):
            sizes = proportional(self.deployment, active)
            for rs in active:
                self._resize(rs, sizes[name_of(rs)])

    def _resize(self, replica_set: Object, size: int) -> bool:
        """Set size and the annotations that tell a scaling from a rollout; True if the size changes."""
        before = replicas_of(replica_set)
        desired = replicas_of(self.deployment)
        notes = {DESIRED: str(desired), MAXIMUM: str(desired + max_surge(self.deployment))}
        if before == size and notes.items() <= annotations_of(replica_set).items():
            return False
        patch: Object = {"metadata": {"annotations": notes}}
        if before != size:
            patch["spec"] = {"replicas": size}
            way = "up" if size > before else "down"
            self._report(f"Scaled {way} replica set {name_of(replica_set)} from {before} to {size}")
        self.effects.append(Patch(REPLICA_SETS, replica_set, patch))
        replica_set = {**replica_set, "spec": {**replica_set["spec"], "replicas": size}}
        self.owned = [replica_set if uid_of(rs) == uid_of(replica_set) else rs for rs in self.owned]
        if self.new is not None and uid_of(self.new) == uid_of(replica_set):
            self.new = replica_set
        return before != size

    def _clean_up_when_complete(self) -> None:
        if status.is_complete(
            self.deployment, status.counts(self.deployment, self.new, self.owned, self.now)
        ):
            self._clean_up()

    def _clean_up(self) -> None:
        limit = self.deployment["spec"].get("revisionHistoryLimit")
        limit = 10 if limit is None else int(limit)
        kept = [rs for rs in self.old if not deleting(rs)]
        for rs in sorted(kept, key=lambda rs: (revision(rs), created(rs)))[: max(0, len(kept) - limit)]:
            observed = status_of(rs).get("observedGeneration", 0) >= rs["metadata"].get("generation", 1)
            if not replicas_of(rs) and not status_of(rs).get("replicas") and observed:
                self.effects.append(Delete(REPLICA_SETS, rs))

    # -- status

    def _note_pause(self) -> None:
        if status.deadline(self.deployment) == status.NEVER:
            return
        current = condition(self.deployment, "Progressing")
        if current is not None and current["reason"] == "ProgressDeadlineExceeded":
            return
        noted = current is not None and current["reason"] == "DeploymentPaused"
        if self._paused and not noted:
            self._set_progressing("DeploymentPaused", "Deployment is paused", verdict="Unknown")
        elif noted and not self._paused:
            self._set_progressing("DeploymentResumed", "Deployment is resumed", verdict="Unknown")

    def _set_progressing(self, reason: str, message: str, *, verdict: str = "True") -> None:
        if status.deadline(self.deployment) == status.NEVER:
            return
        fresh = status.make("Progressing", verdict, reason, message, self.now)
        present = status_of(self.deployment)
        conditions = with_condition(list(present.get("conditions") or ()), fresh)
        self.deployment = {**self.deployment, "status": {**present, "conditions": conditions}}

    def _finish(self, before: Object, *, progressing: bool) -> list[Effect]:
        """Write the status if it changed, and come back when the progress deadline is due."""
        fresh: dict[str, Any] = status.counts(self.deployment, self.new, self.owned, self.now)
        if progressing:
            fresh["conditions"] = status.progress(self.deployment, self.new, fresh, self.now)
            fresh["conditions"] = status.failures(fresh["conditions"], self.new, self.owned)
        if fresh != before:
            self.effects.append(SetStatus(DEPLOYMENTS, self.deployment, fresh))
        left = status.overdue({**self.deployment, "status": fresh}, self.now)
        if progressing and left is not None and left > 0:
            self.effects.append(Requeue(left + 0.5))
        return self.effects

    def _report(self, message: str) -> None:
        self.effects.append(Report(self.deployment, EVENT_NORMAL, "ScalingReplicaSet", message))
