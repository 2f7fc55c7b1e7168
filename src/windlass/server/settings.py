"""What a server is told: from the command line, `windlass.yaml` in the data directory, and defaults."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

CONFIG_NAME = "windlass.yaml"
LAST_PORT = 65535


class SettingsError(Exception):
    """The configuration file cannot be used."""


class Settings(BaseModel):
    """All settings of one server. Every field can stand in `windlass.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    host: str = Field("127.0.0.1", description="Address that the server and the edge listen on.")
    port: int = Field(8700, ge=0, le=LAST_PORT, description="Dashboard, API, git and registry.")
    kubernetes_port: int = Field(8701, ge=0, le=LAST_PORT, description="The Kubernetes API (TLS).")
    edge_port: int = Field(8702, ge=0, le=LAST_PORT, description="Ingress rules, by host and path.")
    service_ports: tuple[int, int] = Field((8710, 8799), description="First and last port given to Services.")
    engine: Literal["auto", "podman", "docker", "fake"] = Field("auto", description="Container engine.")
    isolation: Literal["auto", "bubblewrap", "host"] = Field("auto", description="How jobs are kept apart.")
    jobs: int = Field(0, ge=0, description="Jobs that run at once; 0: one for each core, at least two.")
    registries: list[str] = Field(
        default=["ghcr.io"], description="Registry hosts that stand for the built-in registry."
    )
    forges: list[str] = Field(
        default=["github.com"], description="Forges whose repository names are hosted here."
    )
    shared_actions: list[str] = Field(
        default=[],
        description="Repositories (patterns) whose actions every job may read, such as acme/actions.",
    )
    actions_mirror: str = Field(
        "",
        pattern=r"^(https?://[^\s@]+)?$",
        description="Where actions come from that are not hosted here, such as https://github.com; nowhere by default.",
    )
    variables: dict[str, str] = Field(default={}, description="`vars` of all workflows.")

    @field_validator("kubernetes_port", "edge_port")
    @classmethod
    def _of_its_own(cls, value: int, info: ValidationInfo) -> int:
        for name in ("port", "kubernetes_port"):
            if value and info.data.get(name) == value:
                raise PydanticCustomError("port", "{value} is {name} already", {"value": value, "name": name})
        return value

    @field_validator("service_ports")
    @classmethod
    def _a_range(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not 1 <= value[0] <= value[1] <= LAST_PORT:
            raise PydanticCustomError("ports", "the first and the last port, from 1 to 65535, are expected")
        return value

    @property
    def url(self) -> str:
        """The server's own address."""
        return f"http://{self.host}:{self.port}"

    @property
    def mirrors(self) -> dict[str, str]:
        """Registry host to the address that answers for it."""
        return dict.fromkeys(self.registries, f"{self.host}:{self.port}")


def default_data_directory() -> Path:
    """Return `$WINDLASS_DATA`, else the XDG data directory's `windlass`."""
    if given := os.environ.get("WINDLASS_DATA"):
        return Path(given).expanduser().absolute()
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "windlass"


def load_settings(data: Path, overrides: dict[str, Any]) -> Settings:
    """Read `windlass.yaml` in the data directory, if it is there; what the command line says wins.

    Raises SettingsError naming file, place and what was expected.
    """
    file = data / CONFIG_NAME
    given: Any = {}
    if file.exists():
        try:
            given = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            kind = "not YAML" if isinstance(error, yaml.YAMLError) else "cannot be read"
            raise SettingsError(f"{file}: {kind}: {error}") from None
    if not isinstance(given, dict):
        raise SettingsError(f"{file}:1: expected a map of settings, found {type(given).__name__}")
    chosen = {key: value for key, value in overrides.items() if value is not None}
    try:
        return Settings(**{**given, **chosen})
    except ValidationError as error:
        from_file = given.keys() - chosen.keys()
        lines = [_complaint(file, from_file, problem["loc"], problem["msg"]) for problem in error.errors()]
        raise SettingsError("\n".join(["settings that cannot be used:", *lines])) from None


def _complaint(file: Path, from_file: AbstractSet[str], place: tuple[int | str, ...], message: str) -> str:
    """Say what is wrong with a setting, and where it was said or can be."""
    name = str(place[0]) if place else ""
    if name not in Settings.model_fields:
        message = f"there is no such setting; there are {', '.join(Settings.model_fields)}"
    where = (
        f"{file}: {'.'.join(map(str, place))}" if name in from_file else f"option --{name.replace('_', '-')}"
    )
    return f"  {where}: {message}"
