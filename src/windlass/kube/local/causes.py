"""What is wrong with an object, field by field, worded as Kubernetes words it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from windlass.kube.errors import InvalidError

if TYPE_CHECKING:
    from windlass.kube.local.kinds import Resource

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
SERVICE = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
ENV_NAME = re.compile(r"[^\x00-\x20=\x7f]+")
QUANTITY = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+|[KMGTPE]i|[numkMGTPE])?")

LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end"
    " with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is"
    " '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SERVICE_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character,"
    " and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is"
    " '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start"
    " and end with an alphanumeric character (e.g. 'example.com', regex used for validation is"
    r" '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
QUALIFIED_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric"
    " character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is"
    " '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start"
    " and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for"
    " validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
QUANTITY_RULE = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def go_value(value: Any) -> str:
    """Write a value as Go's `%#v` does, near enough to read."""
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(key)}:{go_value(item)}" for key, item in sorted(value.items()))
        flat = all(isinstance(item, str) for item in value.values())
        return f"map[string]string{{{inner}}}" if flat else json.dumps(value)
    return json.dumps(value, ensure_ascii=False)


@dataclass(slots=True)
class Causes:
    """Collects everything that is wrong, and raises it at once as InvalidError."""

    found: list[dict[str, str]] = field(default_factory=list)

    def add(self, reason: str, path: str, message: str) -> None:
        """Note one cause."""
        self.found.append({"reason": reason, "message": message, "field": path})

    def required(self, path: str, why: str = "") -> None:
        """Note a field that is missing."""
        self.add("FieldValueRequired", path, f"Required value{f': {why}' if why else ''}")

    def invalid(self, path: str, value: Any, why: str) -> None:
        """Note a value that breaks a rule."""
        self.add("FieldValueInvalid", path, f"Invalid value: {go_value(value)}: {why}")

    def duplicate(self, path: str, value: Any) -> None:
        """Note a value that may stand only once."""
        self.add("FieldValueDuplicate", path, f"Duplicate value: {go_value(value)}")

    def unsupported(self, path: str, value: Any, supported: tuple[str, ...]) -> None:
        """Note a value that is not one of those there are."""
        names = ", ".join(json.dumps(name) for name in supported)
        self.add(
            "FieldValueNotSupported", path, f"Unsupported value: {go_value(value)}: supported values: {names}"
        )

    def forbidden(self, path: str, why: str) -> None:
        """Note a field that may not be set or changed."""
        self.add("FieldValueForbidden", path, f"Forbidden: {why}")

    def immutable(self, path: str, value: Any) -> None:
        """Note a field that may not change any more."""
        self.invalid(path, value, "field is immutable")

    def raise_for(self, resource: Resource, name: str) -> None:
        """Raise InvalidError if anything was noted."""
        if not self.found:
            return
        lines = [f"{cause['field']}: {cause['message']}" for cause in self.found]
        listed = lines[0] if len(lines) == 1 else f"[{', '.join(lines)}]"
        kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
        details = {"name": name, "kind": resource.kind, "causes": self.found}
        if resource.group:
            details["group"] = resource.group
        raise InvalidError(f'{kind} "{name}" is invalid: {listed}', details=details)

    def name(self, path: str, value: Any, *, kind: str = "subdomain") -> None:
        """Check a name: `label` (63 characters), `service`, or `subdomain` (253)."""
        rules = {
            "label": (LABEL, LABEL_RULE, 63),
            "service": (SERVICE, SERVICE_RULE, 63),
            "subdomain": (SUBDOMAIN, SUBDOMAIN_RULE, 253),
        }
        pattern, rule, longest = rules[kind]
        if not value:
            self.required(path)
        elif len(value) > longest:
            self.invalid(path, value, f"must be no more than {longest} characters")
        elif not pattern.fullmatch(value):
            self.invalid(path, value, rule)

    def port(self, path: str, value: Any, *, named: bool = False) -> None:
        """Check a port number, or where `named` also a port's name."""
        if named and isinstance(value, str):
            if not LABEL.fullmatch(value) or len(value) > 15 or value.isdigit():
                self.invalid(
                    path, value, "must be a port's name: at most 15 of a-z, 0-9 and '-', one a letter"
                )
        elif not isinstance(value, int) or not 1 <= value <= 65535:
            self.invalid(path, value, "must be between 1 and 65535, inclusive")

    def non_negative(self, path: str, value: Any) -> None:
        """Check a number that may be absent and may not be negative."""
        if value is not None and value < 0:
            self.invalid(path, value, "must be greater than or equal to 0")

    def key(self, path: str, key: str, shown: Any) -> None:
        """Check the key of a label or annotation: `[prefix/]name`."""
        prefix, slash, name = key.rpartition("/")
        if slash and not SUBDOMAIN.fullmatch(prefix):
            self.invalid(path, shown, f"prefix part {SUBDOMAIN_RULE}")
        if len(name) > 63 or not QUALIFIED.fullmatch(name):
            self.invalid(path, shown, QUALIFIED_RULE)

    def labels(self, path: str, labels: dict[str, str] | None) -> None:
        """Check a map of labels."""
        for key, value in (labels or {}).items():
            self.key(path, key, key)
            if value and (len(value) > 63 or not QUALIFIED.fullmatch(value)):
                self.invalid(path, value, VALUE_RULE)
