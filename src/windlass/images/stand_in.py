"""Decisions about a stand-in for a Python base image: whether it may stand in, and how it is made. All pure."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from windlass.images.errors import BaseUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from windlass.engine.references import Reference
    from windlass.images.apt import Distribution

LABEL = "windlass.dev/stand-in"
"""The label that a stand-in bears; its value says for what."""

_TAG = re.compile(
    r"(?:(?P<major>\d+)(?:\.(?P<minor>\d+)(?:\.(?P<patch>\d+))?)?|latest|slim)?"
    r"(?:-?(?P<slim>slim))?(?:-(?P<codename>[a-z]+))?"
)
_PACKAGES = ("python3", "python3-venv", "ca-certificates")
_OLD = frozenset({"bullseye", "buster", "focal", "jammy"})
_UNWANTED = ("man", "locale", "doc", "info", "lintian", "bug")
_USER_INFO = re.compile(r"//[^/@]*@")
_RECIPE = 5
"""Raised when what is made changes, so that caches made before are left alone."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a stand-in is made: `key` names its cache entry, and changes with all that goes into it."""

    distribution: Distribution
    version: str
    architecture: str

    @property
    def key(self) -> str:
        """A name for what this recipe makes."""
        facts = [_RECIPE, self.distribution.codename, self.architecture, self.version, _PACKAGES]
        facts += [source.line() for source in self.distribution.sources]
        return f"python-{self.version}-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}"

    def image_sources(self) -> str:
        """List where the image itself gets packages: where this machine does, without what that has to log in with."""
        there = [
            source for source in self.distribution.sources if source.uri.startswith(("http://", "https://"))
        ]
        return "".join(
            replace(source, uri=_USER_INFO.sub("//", source.uri)).line() + "\n" for source in there
        )


def decide(reference: Reference, distribution: Distribution | None, python: str, architecture: str) -> Recipe:
    """Say how to stand in for `reference`, or raise `BaseUnavailableError` that says why one cannot.

    `python` is the version that the distribution's packages have ("3.11.2").
    """
    remedy = (
        "give this machine access to the registry, map it to a mirror, or import the image into the engine"
    )
    if reference.name != "docker.io/library/python":
        raise BaseUnavailableError(str(reference), "its registry does not answer", remedy)
    if distribution is None or not python:
        raise BaseUnavailableError(
            str(reference),
            "its registry does not answer, and this machine has no apt sources to make one from",
            remedy,
        )
    match = _TAG.fullmatch(reference.tag)
    if reference.digest or match is None:
        reason = "its registry does not answer, and a stand-in cannot be what this tag or digest names"
        raise BaseUnavailableError(str(reference), reason, remedy)
    if match["codename"] not in {None, distribution.codename, "slim"}:
        reason = f"its registry does not answer, and this machine's packages are {distribution.codename}'s"
        raise BaseUnavailableError(str(reference), reason, remedy)
    wanted = ".".join(part for part in (match["major"], match["minor"]) if part)
    have = ".".join(python.split(".")[:2])
    if wanted and have != wanted and have.split(".")[0] != wanted:
        raise BaseUnavailableError(
            str(reference),
            f"its registry does not answer, and this machine's packages have Python {have}, not {wanted}",
            f"{remedy}; or use FROM python:{have}-slim",
        )
    return Recipe(distribution, python, architecture)


def sources_list(recipe: Recipe, keys: dict[str, Path]) -> str:
    """Spell apt's sources; `keys` holds files for keys that stand in the configuration itself."""
    lines = []
    for source in recipe.distribution.sources:
        key = str(keys[source.signed_by]) if source.signed_by in keys else source.signed_by
        lines.append(source.line(key))
    return "\n".join(lines) + "\n"


def mmdebstrap(recipe: Recipe, sources: Path, image_sources: Path, output: Path) -> tuple[str, ...]:
    """Make the root file system.

    /usr/local becomes a virtual environment that sees the system: so `python` and `pip` are on the PATH, and
    `--prefix`, `--user` and `venv` lay files out as the official image does, not in Debian's dist-packages.
    """
    modern = recipe.distribution.codename not in _OLD
    packages = (
        *_PACKAGES,
        *(("usr-is-merged",) if modern else ()),
    )  # else usrmerge, which brings all of perl
    arguments = ["mmdebstrap", "--variant=apt", f"--include={','.join(packages)}"]
    if modern:
        arguments.append("--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr")
    arguments += ["--dpkgopt=force-unsafe-io", '--aptopt=Acquire::Languages "none"']
    arguments += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _UNWANTED]
    arguments += [
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        '--customize-hook=chroot "$1" python3 -m venv --system-site-packages /usr/local',
        '--customize-hook=rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED "$1"/etc/apt/sources.list.d/*',
        f"--customize-hook=copy-in {image_sources} /etc/apt/",
        '--customize-hook=rm -rf "$1"/var/cache/* "$1"/var/log/* "$1"/tmp/*',
        # mmdebstrap copies these from the machine.
        '--customize-hook=rm -f "$1"/etc/hostname; : >"$1"/etc/resolv.conf; : >"$1"/etc/machine-id',
        '--customize-hook=find "$1"/var/lib/apt/lists -type f -delete',
    ]
    return (*arguments, recipe.distribution.codename, str(output), str(sources))


def changes(recipe: Recipe) -> tuple[str, ...]:
    """Spell the image's configuration, as the official one's."""
    return (
        "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
        "ENV LANG=C.UTF-8",
        f"ENV PYTHON_VERSION={recipe.version}",
        f"LABEL {LABEL}=python:{recipe.version}-slim-{recipe.distribution.codename}",
        'CMD ["python3"]',
    )
