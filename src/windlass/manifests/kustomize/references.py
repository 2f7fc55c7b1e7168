"""Names in other objects' fields follow the objects that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windlass.manifests.kustomize.resource import Resource, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from windlass.manifests.kustomize.specs import Field, Reference


def _same_ending(one: list[str], other: list[str]) -> bool:
    count = min(len(one), len(other))
    return count == 0 or one[-count:] == other[-count:]


def _same_affixes(one: Resource, other: Resource, *, allow_empty: bool) -> bool:
    def fits(mine: list[str], theirs: list[str]) -> bool:
        if allow_empty and (not mine or not theirs):
            return True
        return bool(mine) == bool(theirs) and _same_ending(mine, theirs)

    return fits(one.prefixes, other.prefixes) and fits(one.suffixes, other.suffixes)


def _binding_namespaces(referrer: Resource) -> set[str]:
    if referrer.id.kind not in ("RoleBinding", "ClusterRoleBinding"):
        return set()
    subjects = referrer.value.get("subjects") or []
    return {str(each["namespace"]) for each in subjects if isinstance(each, dict) and each.get("namespace")}


def _reachable(referrer: Resource, items: Iterable[Resource]) -> list[Resource]:
    own = referrer.id.namespace
    if not own:
        return list(items)
    others = _binding_namespaces(referrer)
    return [
        item
        for item in items
        if item.id.namespace in ("", own)
        or item.id.namespace in others
        or any(name.namespace in others for name in item.previous)
    ]


def _role_filter(referrer: Resource, field: Field) -> Callable[[Resource], bool]:
    role = referrer.value.get("roleRef")
    if field.path != ("roleRef", "name") or not isinstance(role, dict):
        return lambda _: True
    return lambda item: (item.id.kind, item.id.group) == (role.get("kind"), role.get("apiGroup"))


def _choose(
    old: str, candidates: list[Resource], referrer: Resource, reference: Reference, field: Field
) -> Resource | None:
    """Choose whom `old` means: by its earlier names and kinds, then by what tells several apart."""

    def named(item: Resource) -> bool:
        return any(
            name.name == old and name.fits(reference.kind, reference.group, reference.version)
            for name in item.ids
        )

    found = [item for item in candidates if named(item)]
    sieves: list[Callable[[Resource], bool]] = [
        _role_filter(referrer, field),
        lambda item: (
            not referrer.id.namespace
            or item.id.kind == "ServiceAccount"
            or item.id.namespace in ("", referrer.id.namespace)
        ),
        lambda item: _same_affixes(referrer, item, allow_empty=False),
        lambda item: _same_affixes(referrer, item, allow_empty=True),
    ]
    for number, sieve in enumerate(sieves):
        if number >= 2 and len(found) <= 1:
            break
        kept = [item for item in found if sieve(item)]
        found = kept if kept or number < 2 else found
    if not found or len({item.id.name for item in found}) > 1:
        return None
    return found[0]


def _follow(  # noqa: C901 one closure for the three shapes of a reference
    items: list[Resource], referrer: Resource, reference: Reference, field: Field
) -> None:
    reachable = [
        item
        for item in _reachable(referrer, items)
        if any(name.fits(reference.kind, reference.group, reference.version) for name in item.ids)
    ]
    if not reachable:
        return

    def one(old: str, among: list[Resource]) -> Resource | None:
        return _choose(old, among, referrer, reference, field)

    def visit(mapping: dict[str, Any], key: str) -> None:
        value = mapping[key]
        if isinstance(value, str):
            target = one(value, reachable)
            if target is not None:
                mapping[key] = target.id.name
        elif isinstance(value, list):
            for index, each in enumerate(value):
                if isinstance(each, dict):
                    _follow_mapping(each, reachable, one)
                elif isinstance(each, str) and (target := one(each, reachable)) is not None:
                    value[index] = target.id.name
        elif isinstance(value, dict):
            _follow_mapping(value, reachable, one)

    walk(referrer.value, list(field.path), visit, create=False)


def _follow_mapping(
    value: dict[str, Any],
    reachable: list[Resource],
    one: Callable[[str, list[Resource]], Resource | None],
) -> None:
    """Follow a mapping with `name` and perhaps `namespace` (subjects, webhook services)."""
    space = value.get("namespace")
    among = reachable
    if space is not None:
        among = [item for item in reachable if item.ids[0].namespace == space] or [
            item for item in reachable if item.id.namespace == space
        ]
    target = one(str(value.get("name", "")), among)
    if target is not None:
        value["name"] = target.id.name
        if target.meta.get("namespace"):
            value["namespace"] = target.meta["namespace"]


def fix_references(items: list[Resource], table: list[Reference]) -> None:
    """Rewrite every reference in place, once all names are final."""
    present = {name.kind for item in items if item.previous for name in item.ids}
    for reference in table:
        if reference.kind not in present:
            continue
        for referrer in items:
            for field in reference.fields:
                if field.fits(referrer.id):
                    _follow(items, referrer, reference, field)
