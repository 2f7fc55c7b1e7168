"""Image tags and labels from what happened in git, by the rules of docker/metadata-action; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from windlass.runner.errors import StepError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PRIORITIES = {
    "schedule": 1000, "semver": 900, "pep440": 900, "match": 800, "edge": 700, "ref": 600, "raw": 200, "sha": 100
}  # fmt: skip
DEFAULTS = ("type=schedule", "type=ref,event=branch", "type=ref,event=tag", "type=ref,event=pr")
_FORBIDDEN = re.compile(r"[^a-zA-Z0-9._-]+")
_SEMVER = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?\Z")
_PEP440 = re.compile(r"v?(?:\d+!)?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:\.\d+)*((?:a|b|rc|\.dev|\.post)\d+)*\Z")
_EXPRESSION = re.compile(r"\{\{\s*([a-z_]+)(?:\s+'([^']*)')?(?:\s+tz='([^']*)')?\s*\}\}")
_DATE = {"YYYY": "%Y", "YY": "%y", "MM": "%m", "DD": "%d", "HH": "%H", "mm": "%M", "ss": "%S", "X": "%s"}


@dataclass(frozen=True, slots=True)
class Event:
    """What the tags are made from."""

    ref: str
    sha: str
    event_name: str
    default_branch: str = "main"
    base_ref: str = ""
    committed: float = 0.0
    now: float = 0.0


@dataclass
class Version:
    """The tags: the main one, the others, and whether `latest` goes with them."""

    main: str = ""
    partial: list[str] = field(default_factory=list)
    latest: bool | None = None

    def add(self, value: str, *, latest: bool) -> None:
        """Take another tag; the first is the main one and decides on `latest`."""
        tag = _FORBIDDEN.sub("-", value)
        if not tag:
            return
        if not self.main:
            self.main = tag
        elif tag != self.main and tag not in self.partial:
            self.partial.append(tag)
        if self.latest is None:
            self.latest = latest


@dataclass(frozen=True, slots=True)
class Flavor:
    """What counts for all tags."""

    latest: str = "auto"
    prefix: str = ""
    suffix: str = ""
    prefix_latest: bool = False
    suffix_latest: bool = False


def attributes(line: str, known: Iterable[str], *, first: str = "") -> dict[str, str]:
    """Read `key=value,key=value`; a first part without `=` stands for the key `first`. Raises `StepError`."""
    found: dict[str, str] = {}
    for index, part in enumerate(_csv(line)):
        key, equals, value = part.partition("=")
        if not equals and index == 0 and first:
            found[first] = part.strip()
        elif not equals or key.strip().lower() not in known:
            raise StepError(f"{line!r}: {part!r} is not known here; known are {', '.join(sorted(known))}")
        else:
            found[key.strip().lower()] = value.strip()
    return found


def read_flavor(lines: Iterable[str]) -> Flavor:
    """Read the input `flavor`."""
    values: dict[str, Any] = {}
    for line in lines:
        last = ""
        for key, value in attributes(line, {"latest", "prefix", "suffix", "onlatest"}).items():
            if key == "onlatest":
                values[f"{last}_latest"] = value == "true"
            else:
                values[key], last = value, key
    if values.get("latest", "auto") not in {"auto", "true", "false"}:
        raise StepError(f"input flavor: latest={values['latest']} is none of auto, true, false")
    return Flavor(**values)


def read_tags(lines: Iterable[str]) -> list[dict[str, str]]:
    """Read the input `tags`, highest priority first."""
    known = {
        "type",
        "enable",
        "priority",
        "prefix",
        "suffix",
        "event",
        "branch",
        "value",
        "pattern",
        "group",
        "format",
    }
    rules = []
    for line in list(lines) or DEFAULTS:
        rule = attributes(line, known, first="value")
        kind = rule.setdefault("type", "raw")
        if kind not in PRIORITIES:
            raise StepError(f"input tags: unknown type {kind!r}; known are {', '.join(PRIORITIES)}")
        rules.append(rule)
    return sorted(rules, key=lambda rule: -int(rule.get("priority") or PRIORITIES[rule["type"]]))


def versions(rules: Iterable[Mapping[str, str]], flavor: Flavor, event: Event) -> tuple[Version, list[str]]:
    """Return the tags that the rules make of the event, and what there is to warn of."""
    version, warnings = Version(), []
    for rule in rules:
        enabled = expand(rule.get("enable", "true"), event)
        if enabled not in {"true", "false"}:
            raise StepError(f"input tags: enable={enabled} is neither true nor false")
        if enabled == "false":
            continue
        try:
            made = _MAKERS[rule["type"]](rule, event)
        except ValueError as error:
            warnings.append(str(error))
            continue
        if made is None:
            continue
        value, latest = made
        prefix = expand(rule["prefix"] if "prefix" in rule else _own_prefix(rule) or flavor.prefix, event)
        suffix = expand(rule.get("suffix", flavor.suffix), event)
        decided = latest if flavor.latest == "auto" else flavor.latest == "true"
        version.add(f"{prefix}{value}{suffix}", latest=decided)
    return version, warnings


def tag_names(version: Version, flavor: Flavor) -> list[str]:
    """Return the tags without an image's name."""
    if not version.main:
        return []
    names = [version.main, *version.partial]
    if version.latest:
        prefix = flavor.prefix if flavor.prefix_latest else ""
        suffix = flavor.suffix if flavor.suffix_latest else ""
        latest = _FORBIDDEN.sub("-", f"{prefix}latest{suffix}")
        names += [latest] if latest not in names else []
    return names


def expand(text: str, event: Event) -> str:
    """Replace the global expressions: `{{branch}}`, `{{sha}}`, `{{date 'YYYYMMDD'}}` and the others."""

    def value(match: re.Match[str]) -> str:
        name, form, zone = match[1], match[2] or "", match[3] or "UTC"
        branch = event.ref.removeprefix("refs/heads/") if event.ref.startswith("refs/heads/") else ""
        simple = {
            "branch": _FORBIDDEN.sub("-", branch),
            "tag": _FORBIDDEN.sub("-", event.ref.removeprefix("refs/tags/"))
            if event.ref.startswith("refs/tags/")
            else "",
            "sha": event.sha[:7],
            "base_ref": event.base_ref,
            "is_default_branch": str(branch == event.default_branch).lower(),
            "is_not_default_branch": str(branch != event.default_branch).lower(),
        }
        if name in simple:
            return simple[name]
        if name in {"date", "commit_date"}:
            return _date(event.now if name == "date" else event.committed, form, zone)
        raise StepError(f"{match[0]} is not an expression that is known here")

    return _EXPRESSION.sub(value, text)


def _own_prefix(rule: Mapping[str, str]) -> str:
    if rule["type"] == "sha":
        return "sha-"
    return "pr-" if rule["type"] == "ref" and rule.get("event") == "pr" else ""


def _schedule(rule: Mapping[str, str], event: Event) -> tuple[str, bool] | None:
    if event.event_name != "schedule":
        return None
    pattern = rule.get("pattern") or "nightly"
    return expand(pattern, event), False


def _semver(rule: Mapping[str, str], event: Event) -> tuple[str, bool] | None:
    return _numbered(rule, event, _SEMVER, "{{version}}")


def _pep440(rule: Mapping[str, str], event: Event) -> tuple[str, bool] | None:
    return _numbered(rule, event, _PEP440, "{{version}}")


def _numbered(
    rule: Mapping[str, str], event: Event, form: re.Pattern[str], default: str
) -> tuple[str, bool] | None:
    text = expand(rule.get("value", ""), event)
    if not text:
        if not event.ref.startswith("refs/tags/"):
            return None
        text = event.ref.removeprefix("refs/tags/").replace("/", "-")
    match = form.match(text)
    if match is None:
        raise ValueError(f"{text} is not a version of the form {rule['type']}; no tag is made of it")
    pattern, early = rule.get("pattern") or default, bool(match[4])
    raw = pattern.strip() in {"{{raw}}", "{{ raw }}"}
    if early and not raw:
        pattern = default
    parts = {
        "raw": text,
        "version": text.removeprefix("v"),
        "major": match[1],
        "minor": match[2] or "0",
        "patch": match[3] or "0",
    }
    made = re.sub(r"\{\{\s*(raw|version|major|minor|patch)\s*\}\}", lambda found: parts[found[1]], pattern)
    return expand(made, event), not early


def _match(rule: Mapping[str, str], event: Event) -> tuple[str, bool] | None:
    text = expand(rule.get("value", ""), event)
    if not text:
        if not event.ref.startswith("refs/tags/"):
            return None
        text = event.ref.removeprefix("refs/tags/").replace("/", "-")
    pattern = rule.get("pattern", "")
    expression = (
        pattern[1 : pattern.rindex("/")] if pattern.startswith("/") and pattern.rindex("/") else pattern
    )
    group = int(rule.get("group") or 0)
    try:
        found = re.search(expression, text)
    except re.error as error:
        raise StepError(f"input tags: pattern={pattern} is no regular expression: {error}") from error
    if found is None:
        raise ValueError(f"{pattern} does not match {text}; no tag is made of it")
    return found[group], True


def _edge(rule: Mapping[str, str], event: Event) -> tuple[str, bool] | None:
    branch = rule.get("branch") or event.default_branch
    return ("edge", False) if event.ref == f"refs/heads/{branch}" else None


def _ref(rule: Mapping[str, str], event: Event) -> tuple[str, bool] | None:
    kind = rule.get("event", "")
    if kind not in {"branch", "tag", "pr"}:
        raise StepError(f"input tags: type=ref wants event=branch, tag or pr, not {kind!r}")
    starts = {"branch": "refs/heads/", "tag": "refs/tags/", "pr": "refs/pull/"}[kind]
    if not event.ref.startswith(starts):
        return None
    name = event.ref.removeprefix(starts)
    return name.removesuffix("/merge") if kind == "pr" else name, kind == "tag"


def _raw(rule: Mapping[str, str], event: Event) -> tuple[str, bool] | None:
    value = expand(rule.get("value", ""), event)
    if not value:
        raise StepError("input tags: type=raw wants a value")
    return value, False


def _sha(rule: Mapping[str, str], event: Event) -> tuple[str, bool] | None:
    form = rule.get("format", "short")
    if form not in {"short", "long"}:
        raise StepError(f"input tags: type=sha,format={form} is neither short nor long")
    return (event.sha[:7] if form == "short" else event.sha) or "", False


_MAKERS = {
    "schedule": _schedule, "semver": _semver, "pep440": _pep440, "match": _match, "edge": _edge, "ref": _ref,
    "raw": _raw, "sha": _sha,
}  # fmt: skip


def _date(at: float, form: str, zone: str) -> str:
    try:
        moment = datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(zone))
    except (KeyError, ValueError, OSError) as error:
        raise StepError(f"{zone!r} is not a time zone") from error
    if form == "X":
        return str(int(at))
    return re.sub(
        "|".join(_DATE), lambda match: moment.strftime(_DATE[match[0]]), form or "YYYY-MM-DDTHH:mm:ss"
    )


def _csv(line: str) -> list[str]:
    """Split at commas outside of double quotes and of `{{ }}`."""
    parts = re.findall(r'(?:"[^"]*"|\{\{.*?\}\}|[^,])+', line)
    return [part.strip().strip('"') for part in parts]
