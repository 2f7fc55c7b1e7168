"""Volumes on disk: projected files replaced in one step, as kubelet's atomic writer does, and empty directories."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from windlass.engine.port import Mount
from windlass.kube.local.node.errors import MountError
from windlass.kube.local.node.files import File, files, is_projected
from windlass.kube.local.node.quantities import quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from windlass.kube.local.controllers.meta import Object
    from windlass.kube.local.node.environment import Sources

DATA = "..data"


@dataclass(frozen=True, slots=True)
class VolumeRules:
    """What the node's configuration allows."""

    host_path: bool = False


def write(directory: Path, wanted: Mapping[str, File], group: int | None = None) -> bool:
    """Make the directory hold exactly these files, readers seeing all the old or all the new; True if changed.

    `..data` is a link to a directory with the content, and each name in the volume a link through it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    current = directory / DATA
    if current.is_symlink() and _content(current) == dict(wanted):
        return False
    fresh = directory / f"..{secrets.token_hex(8)}"
    fresh.mkdir(mode=0o755)
    for path, file in wanted.items():
        target = fresh / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
        target.chmod(file.mode)
        if group is not None:
            os.chown(target, -1, group)
    old = current.resolve() if current.is_symlink() else None
    link = directory / f"..link-{secrets.token_hex(4)}"
    link.symlink_to(fresh.name)
    link.replace(current)
    _link_names(directory, wanted)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
    return True


def _content(current: Path) -> dict[str, File]:
    root = current.resolve()
    return {
        str(path.relative_to(root)): File(path.read_bytes(), path.stat().st_mode & 0o777)
        for path in root.rglob("*")
        if path.is_file()
    }


def _link_names(directory: Path, wanted: Mapping[str, File]) -> None:
    names = {path.split("/")[0] for path in wanted}
    for name in names:
        link = directory / name
        if not link.is_symlink():
            link.symlink_to(f"{DATA}/{name}")
    for entry in directory.iterdir():
        if entry.name not in names and not entry.name.startswith(".."):
            entry.unlink()


class Volumes:
    """The volumes of one pod below its directory, which only the node's user can enter."""

    def __init__(self, directory: Path, rules: VolumeRules) -> None:
        self._directory = directory
        self._rules = rules

    def prepare(self, pod: Object, sources: Sources) -> None:
        """Create or update all volumes. Raises MountError with the reason when one cannot be."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        group = (pod["spec"].get("securityContext") or {}).get("fsGroup") if os.getuid() == 0 else None
        for volume in pod["spec"].get("volumes") or ():
            place = self._directory / volume["name"]
            if is_projected(volume):
                write(place, files(volume, sources), group)
            elif "emptyDir" in volume:
                _empty(place, group)
            elif "hostPath" in volume:
                self._check_host_path(volume)
            else:
                kind = next((key for key in volume if key != "name"), "of unknown kind")
                raise MountError(
                    f'volume "{volume["name"]}": {kind} is not supported by the embedded cluster; use emptyDir, '
                    "configMap, secret, projected or downwardAPI, or a real cluster"
                )

    def _check_host_path(self, volume: Object) -> None:
        if not self._rules.host_path:
            raise MountError(
                f'volume "{volume["name"]}": hostPath is refused; it gives a pod this machine\'s files. '
                "Allow it in the server's settings (host paths) if you trust everything that deploys here"
            )
        kind, path = volume["hostPath"].get("type") or "", Path(volume["hostPath"]["path"])
        if kind == "DirectoryOrCreate":
            path.mkdir(parents=True, exist_ok=True)
        elif not path.exists():
            raise MountError(f'volume "{volume["name"]}": {path} does not exist on this machine')

    def mounts(self, pod: Object, container: Object) -> tuple[Mount, ...]:
        """Return the container's mounts. Call after `prepare`."""
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
        return tuple(self._mount(pod, volumes, entry) for entry in container.get("volumeMounts") or ())

    def _mount(self, pod: Object, volumes: Mapping[str, Object], entry: Object) -> Mount:
        volume = volumes.get(entry["name"])
        if volume is None:
            raise MountError(f'volumeMount "{entry["name"]}" names no volume of the pod')
        target, read_only = entry["mountPath"], bool(entry.get("readOnly"))
        empty = volume.get("emptyDir")
        if empty is not None and empty.get("medium") == "Memory" and _users(pod, entry["name"]) == 1:
            return Mount("", target, "tmpfs", read_only, int(quantity(empty.get("sizeLimit") or 0)))
        place = Path(volume["hostPath"]["path"]) if "hostPath" in volume else self._directory / volume["name"]
        return Mount(str(_below(place, entry.get("subPath") or "")), target, "bind", read_only)

    def remove(self) -> None:
        """Delete all of it."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._directory)


def _users(pod: Object, volume: str) -> int:
    containers = [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
    return sum(entry["name"] == volume for c in containers for entry in c.get("volumeMounts") or ())


def _empty(place: Path, group: int | None) -> None:
    if not place.exists():
        place.mkdir(parents=True)
        place.chmod(0o2777 if group is not None else 0o777)
        if group is not None:
            os.chown(place, -1, group)


def _below(place: Path, sub: str) -> Path:
    if not sub:
        return place
    target = place / sub
    if not target.exists():
        target.mkdir(parents=True)
    resolved = target.resolve()
    if not resolved.is_relative_to(place.resolve()):
        raise MountError(f"subPath {sub!r} leaves its volume")
    return resolved
