"""The smallest image there can be: what the scripted engine builds, and a registry takes."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import httpx2

from windlass.engine.errors import EngineError, RegistryUnreachableError
from windlass.engine.references import is_loopback, parse_reference

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from windlass.images.request import BuildRequest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_LAYER = gzip.compress(b"\0" * 1024, mtime=0)
_MAX_FILES = 10_000


@dataclass(frozen=True, slots=True)
class TinyImage:
    """An image of one empty layer, made different by its `seed`."""

    seed: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def config(self) -> bytes:
        """The image's configuration."""
        layer = f"sha256:{hashlib.sha256(gzip.decompress(_LAYER)).hexdigest()}"
        return _json(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Labels": {**self.labels, "windlass.dev/fake": self.seed}},
                "rootfs": {"type": "layers", "diff_ids": [layer]},
            }
        )

    @property
    def manifest(self) -> bytes:
        """The image's manifest."""
        media = "application/vnd.oci.image."
        return _json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": f"{media}config.v1+json", **_describe(self.config)},
                "layers": [{"mediaType": f"{media}layer.v1.tar+gzip", **_describe(_LAYER)}],
            }
        )

    @property
    def digest(self) -> str:
        """The manifest's digest."""
        return str(_describe(self.manifest)["digest"])


async def upload(image: TinyImage, destination: str, auth_file: Path | None) -> None:
    """Put the image into a registry; raises `RegistryUnreachableError`, `EngineError`."""
    reference = parse_reference(destination)
    headers = await _authorization(reference.registry, auth_file)
    scheme = "http" if is_loopback(reference.registry) else "https"
    base = f"{scheme}://{reference.registry}/v2/{reference.repository}"
    attempted = f"push {destination}"
    try:
        async with httpx2.AsyncClient(headers=headers, timeout=30) as client:
            for blob in (image.config, _LAYER):
                digest = _describe(blob)["digest"]
                _expect(
                    await client.post(f"{base}/blobs/uploads/", params={"digest": digest}, content=blob),
                    attempted,
                )
            address = f"{base}/manifests/{reference.tag or reference.digest}"
            _expect(
                await client.put(address, content=image.manifest, headers={"content-type": MANIFEST}),
                attempted,
            )
    except httpx2.HTTPError as error:
        raise RegistryUnreachableError(
            attempted, stderr=str(error), remedy="see that the registry runs"
        ) from error


def content_hash(request: BuildRequest) -> str:
    """Hash what a build reads: the context's files (the first ten thousand by name), target and arguments."""
    seed = hashlib.sha256(_json([request.target, dict(request.build_args), dict(request.labels)]))
    for file in sorted(path for path in request.context.rglob("*") if path.is_file())[:_MAX_FILES]:
        if ".git" not in file.relative_to(request.context).parts:
            seed.update(str(file.relative_to(request.context)).encode() + b"\0" + file.read_bytes() + b"\0")
    return seed.hexdigest()


def _json(data: object) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def _describe(blob: bytes) -> dict[str, Any]:
    return {"digest": f"sha256:{hashlib.sha256(blob).hexdigest()}", "size": len(blob)}


def _expect(answer: httpx2.Response, attempted: str) -> None:
    if answer.status_code != 201:
        raise EngineError(
            attempted,
            stderr=f"the registry answered {answer.status_code}: {answer.text[:500]}",
            remedy="see that the credentials may write this repository",
        )


async def _authorization(registry: str, auth_file: Path | None) -> dict[str, str]:
    if auth_file is None:
        return {}
    known = json.loads(await anyio.Path(auth_file).read_text(encoding="utf-8"))
    token = known.get("auths", {}).get(registry, {}).get("auth", "")
    return {"authorization": f"Basic {token}"} if token else {}
