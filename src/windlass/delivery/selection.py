"""Services that select nothing: what they ask for, and what the pods bear. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.delivery import marks
from windlass.manifests import dig, identify, pod_template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from windlass.manifests import Object

SHOWN = 4


def _text(labels: Mapping[str, object]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "no labels"


def _labels(item: Object) -> dict[str, object]:
    """Return the labels of the pods that an object makes, or of a pod itself."""
    if item.get("kind") == "Pod":
        return dict(dig(item, "metadata", "labels") or {})
    return dict(dig(pod_template(item) or {}, "metadata", "labels") or {})


def unselecting(
    objects: Iterable[Object], pods: Callable[[str], Iterable[Object]] = lambda _: ()
) -> dict[str, str]:
    """Return for each Service that selects no pods, of these objects nor of others, why not.

    `pods` gives the pods of a namespace as they are. Keys are those of `marks.workload_key`.
    """
    items = list(objects)
    makers = [item for item in items if pod_template(item) is not None or item.get("kind") == "Pod"]
    found = {}
    for service in items:
        selector = dig(service, "spec", "selector") if service.get("kind") == "Service" else None
        if not selector or dig(service, "spec", "type") == "ExternalName":
            continue
        space = identify(service).namespace
        here = [item for item in makers if identify(item).namespace == space]
        if not any(selector.items() <= _labels(item).items() for item in [*here, *pods(space)]):
            found[marks.workload_key(service)] = _sentence(service, selector, here)
    return found


def _sentence(service: Object, selector: Mapping[str, object], here: list[Object]) -> str:
    name = identify(service).name
    bears = [f"{item['kind']} {identify(item).name} has {_text(_labels(item))}" for item in here[:SHOWN]]
    said = f"the pods of {'; those of '.join(bears)}" if bears else "there are no pods in its namespace"
    return f"Service {name} selects no pods, so nobody answers at its address: it asks for {_text(selector)}; {said}"
