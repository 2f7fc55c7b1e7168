"""What of this machine a build needs to reach the network, and what must never stay in an image.

The files are shown to RUN under `PLACE`, the variables name those paths only: what a build could record of them
says nothing about the machine.
"""

from __future__ import annotations

import configparser
import ipaddress
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

log = structlog.get_logger()

PLACE = "/dev/windlass"
"""Where the files stand during a build: /dev is in memory in every container, so nothing of it is committed."""

_BUNDLE_VARIABLES = (
    "SSL_CERT_FILE",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "CARGO_HTTP_CAINFO",
)
_PIP_URLS = ("index-url", "extra-index-url", "find-links")
_PIP_KEPT = ("timeout", "retries", "disable-pip-version-check")


@dataclass(frozen=True, slots=True)
class BuildAids:
    """Files by their name under `PLACE`, and variables for RUN; both only while building."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts read from this machine's configuration: a CA bundle, pip's options, npm's registry, uv's indexes."""

    ca_bundle: bytes = b""
    pip: Mapping[str, str] = field(default_factory=dict)
    npm_registry: str = ""
    uv_default_index: str = ""
    uv_indexes: tuple[str, ...] = ()


def read_machine(
    env: Mapping[str, str] | None = None, home: Path | None = None, root: Path = Path("/")
) -> Machine:
    """Read the configuration of this machine and of this user."""
    env = os.environ if env is None else env
    home = home or Path.home()
    pip = _pip_options(env, home, root)
    bundle = next((env[name] for name in _BUNDLE_VARIABLES if env.get(name)), pip.get("cert", ""))
    return Machine(
        ca_bundle=_read_bundle(bundle),
        pip=pip,
        npm_registry=env.get("NPM_CONFIG_REGISTRY") or _npm_registry(home / ".npmrc", root / "etc/npmrc"),
        uv_default_index=env.get("UV_DEFAULT_INDEX") or env.get("UV_INDEX_URL", ""),
        uv_indexes=tuple((env.get("UV_INDEX", "") + " " + env.get("UV_EXTRA_INDEX_URL", "")).split()),
    )


def aids(machine: Machine) -> BuildAids:
    """Decide what a build is given: only what a container can use, and no credentials."""
    files: dict[str, bytes] = {}
    env: dict[str, str] = {}
    if machine.ca_bundle:
        files["ca.pem"] = machine.ca_bundle
        files["apt.conf"] = f'Acquire::https::CAInfo "{PLACE}/ca.pem";\n'.encode()
        env |= dict.fromkeys(_BUNDLE_VARIABLES, f"{PLACE}/ca.pem")
        env["APT_CONFIG"] = f"{PLACE}/apt.conf"
    if pip := _pip_file(machine):
        files["pip/pip.conf"] = pip
        env["XDG_CONFIG_DIRS"] = f"{PLACE}:/etc/xdg"
    if uv := _uv_file(machine):
        files["uv/uv.toml"] = uv
        env["XDG_CONFIG_DIRS"] = f"{PLACE}:/etc/xdg"
    if usable(machine.npm_registry):
        files["npmrc"] = f"registry={machine.npm_registry}\n".encode()
        env["NPM_CONFIG_GLOBALCONFIG"] = f"{PLACE}/npmrc"
    return BuildAids(files, env)


def usable(url: str) -> bool:
    """Tell whether a container can use the address: over HTTP, not this machine's loopback, without credentials."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return False
    if parts.username or parts.password:
        log.warning("images.mirror_with_credentials_not_given_to_builds", host=parts.hostname)
        return False
    if parts.hostname == "localhost":
        return False
    try:
        return not ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        return True


def _pip_file(machine: Machine) -> bytes:
    lines = [f"{name} = {machine.pip[name]}" for name in _PIP_KEPT if machine.pip.get(name)]
    addresses = {
        name: [url for url in machine.pip.get(name, "").split() if usable(url)] for name in _PIP_URLS
    }
    for name, urls in addresses.items():
        if urls:
            lines.append(f"{name} = " + "\n    ".join(urls))
    if any(addresses.values()) and (hosts := machine.pip.get("trusted-host", "").split()):
        lines.append("trusted-host = " + "\n    ".join(hosts))
    if machine.ca_bundle:
        lines.append(f"cert = {PLACE}/ca.pem")
    return ("[global]\n" + "\n".join(lines) + "\n").encode() if lines else b""


def _uv_file(machine: Machine) -> bytes:
    default = machine.uv_default_index if usable(machine.uv_default_index) else ""
    named = [url.partition("=")[2] if re.match(r"[\w.-]+=", url) else url for url in machine.uv_indexes]
    tables = [f'[[index]]\nurl = "{url}"\n' for url in named if usable(url)]
    if default:
        tables.append(f'[[index]]\nurl = "{default}"\ndefault = true\n')
    return "\n".join(tables).encode()


def _pip_options(env: Mapping[str, str], home: Path, root: Path) -> dict[str, str]:
    """Read pip's options, weakest first: site, user, PIP_CONFIG_FILE, variables."""
    options: dict[str, str] = {}
    files: Iterable[Path] = (
        root / "etc/xdg/pip/pip.conf",
        root / "etc/pip.conf",
        home / ".pip/pip.conf",
        home / ".config/pip/pip.conf",
        *((Path(env["PIP_CONFIG_FILE"]),) if env.get("PIP_CONFIG_FILE") else ()),
    )
    for file in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read_string(file.read_text(encoding="utf-8"))
        except (OSError, configparser.Error, UnicodeDecodeError):
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                options |= {name.replace("_", "-"): value for name, value in parser.items(section)}
    for name in (*_PIP_URLS, *_PIP_KEPT, "trusted-host", "cert"):
        variable = {"timeout": "PIP_DEFAULT_TIMEOUT"}.get(name, "PIP_" + name.upper().replace("-", "_"))
        if env.get(variable):
            options[name] = env[variable]
    return options


def _npm_registry(*files: Path) -> str:
    for file in files:
        try:
            found = re.search(r"^\s*registry\s*=\s*(\S+)", file.read_text(encoding="utf-8"), re.MULTILINE)
        except (OSError, UnicodeDecodeError):
            continue
        if found:
            return found[1]
    return ""


def _read_bundle(file: str) -> bytes:
    try:
        return Path(file).read_bytes() if file else b""
    except OSError:
        return b""
