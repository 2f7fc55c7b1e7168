"""Writes `kubernetes.json`, the field types of the built-in kinds, from the sources of `lightkube-models`.

Run by hand when the Kubernetes release that is served changes:
`python -m windlass.kube.local.schema.generate PATH_TO_lightkube/models` (of the version that matches the release).
"""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path

ROOTS = (
    "core_v1.Pod",
    "core_v1.Service",
    "core_v1.ConfigMap",
    "core_v1.Secret",
    "core_v1.Namespace",
    "core_v1.Node",
    "core_v1.Event",
    "core_v1.ServiceAccount",
    "core_v1.Endpoints",
    "apps_v1.Deployment",
    "apps_v1.ReplicaSet",
    "networking_v1.Ingress",
    "discovery_v1.EndpointSlice",
    "coordination_v1.Lease",
    "autoscaling_v1.Scale",
    "events_v1.Event",
    "meta_v1.Status",
    "meta_v1.DeleteOptions",
)
PLAIN = {
    "str": "str",
    "int": "int",
    "bool": "bool",
    "float": "number",
    "meta_v1.Time": "time",
    "meta_v1.MicroTime": "time",
    "resource.Quantity": "quantity",
    "util_intstr.IntOrString": "intstr",
    "runtime.RawExtension": "any",
    "meta_v1.FieldsV1": "any",
}
QUANTITIES = {"limits", "requests", "capacity", "allocatable", "overhead", "allocatedResources"}


def notation(text: str, module: str, field: str) -> str:
    """Translate one annotation: `Optional[List[EnvVar]]` to `[core_v1.EnvVar]`; required ones end in `!`."""
    if match := re.fullmatch(r"Optional\[(.*)\]", text):
        return notation(match[1], module, field).removesuffix("!")
    if match := re.fullmatch(r"List\[(.*)\]", text):
        return f"[{notation(match[1], module, field).removesuffix('!')}]!"
    if text == "dict":
        return "{quantity}!" if field in QUANTITIES else "{str}!"
    qualified = text if "." in text or text in PLAIN else f"{module}.{text}"
    return f"{PLAIN.get(qualified, qualified)}!"


def classes(folder: Path) -> dict[str, dict[str, str]]:
    """Read all classes of all model files: `module.Class` to field name to notation."""
    found: dict[str, dict[str, str]] = {}
    for file in folder.glob("*_v*.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                found[f"{file.stem}.{node.name}"] = _fields(node, file.stem)
    return found


def _fields(node: ast.ClassDef, module: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            renamed = re.search(r"'json': '([^']+)'", ast.unparse(item.value)) if item.value else None
            name = renamed[1] if renamed else item.target.id
            annotation = item.annotation.value if isinstance(item.annotation, ast.Constant) else ""
            fields[name] = notation(str(annotation), module, name)
    return fields


def reachable(every: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Keep what the roots lead to."""
    kept: dict[str, dict[str, str]] = {}
    waiting = list(ROOTS)
    while waiting:
        name = waiting.pop()
        if name in kept or name not in every:
            continue
        kept[name] = every[name]
        waiting += [text.strip("[]{}!") for text in every[name].values()]
    return dict(sorted(kept.items()))


if __name__ == "__main__":
    types = reachable(classes(Path(sys.argv[1])))
    lines = [f"{json.dumps(name)}: {json.dumps(fields)}" for name, fields in types.items()]
    target = Path(__file__).with_name("kubernetes.json")
    target.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
