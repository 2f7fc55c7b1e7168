"""Reads and judges manifests and indexes. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from windlass.registry.errors import ManifestInvalidError
from windlass.registry.reference import DIGEST

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
IMAGES = frozenset({DOCKER_MANIFEST, OCI_MANIFEST})
INDEXES = frozenset({DOCKER_LIST, OCI_INDEX})
MAX_MANIFEST = 4 << 20
MAX_DESCRIPTORS = 10_000


@dataclass(frozen=True, slots=True)
class Descriptors:
    """What a manifest says of itself and what it needs."""

    media_type: str
    blobs: tuple[str, ...] = ()
    manifests: tuple[str, ...] = ()
    subject: str | None = None
    artifact_type: str | None = None
    annotations: dict[str, str] = field(default_factory=dict)


def read_manifest(body: bytes, content_type: str) -> Descriptors:
    """Parse a manifest as pushed; `ManifestInvalidError` says what is wrong with it."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ManifestInvalidError(f"The manifest is not JSON: {error}.") from None
    if not isinstance(document, dict):
        raise ManifestInvalidError("The manifest is not a JSON object.")
    media_type = _media_type(document, content_type.partition(";")[0].strip())
    if document.get("schemaVersion") != 2:
        raise ManifestInvalidError("schemaVersion must be 2.")
    subject = document.get("subject")
    return Descriptors(
        media_type,
        blobs=_blobs(document) if media_type in IMAGES else (),
        manifests=_digests(document, "manifests") if media_type in INDEXES else (),
        subject=None if subject is None else _digest(subject, "subject"),
        artifact_type=_artifact_type(document),
        annotations=_annotations(document),
    )


def _media_type(document: dict[str, Any], announced: str) -> str:
    written = document.get("mediaType")
    media_type = written or announced
    if written and announced and written != announced:
        raise ManifestInvalidError(f"Content-Type is {announced}, but the manifest says {written!r}.")
    if not isinstance(media_type, str) or media_type not in IMAGES | INDEXES:
        raise ManifestInvalidError(
            f"The media type {media_type!r} is not supported. Push OCI or Docker schema 2 manifests and indexes."
        )
    if "layers" in document and "manifests" in document:
        # One document that two readers may take for different things (CVE-2021-41190).
        raise ManifestInvalidError("A manifest may not have both layers and manifests.")
    return media_type


def _digest(descriptor: object, where: str) -> str:
    if not isinstance(descriptor, dict):
        raise ManifestInvalidError(f"{where} is not a descriptor.")
    digest, size = descriptor.get("digest"), descriptor.get("size")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise ManifestInvalidError(f"{where} has no valid digest.")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ManifestInvalidError(f"{where} has no valid size.")
    return digest


def _list(document: dict[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list) or len(value) > MAX_DESCRIPTORS:
        raise ManifestInvalidError(f"{key} must be a list of at most {MAX_DESCRIPTORS} descriptors.")
    return value


def _digests(document: dict[str, Any], key: str) -> tuple[str, ...]:
    return tuple(_digest(entry, f"{key}[{number}]") for number, entry in enumerate(_list(document, key)))


def _blobs(document: dict[str, Any]) -> tuple[str, ...]:
    """Return config and layers, without those that lie elsewhere by their own statement (foreign layers)."""
    layers = zip(_digests(document, "layers"), _list(document, "layers"), strict=True)
    here = [digest for digest, layer in layers if not layer.get("urls")]
    return (_digest(document.get("config"), "config"), *here)


def _artifact_type(document: dict[str, Any]) -> str | None:
    config = document.get("config")
    fallback = config.get("mediaType") if isinstance(config, dict) else None
    found = document.get("artifactType") or fallback
    if isinstance(found, str) and not found.isprintable():
        raise ManifestInvalidError("artifactType holds characters that no media type has.")
    return found if isinstance(found, str) else None


def _annotations(document: dict[str, Any]) -> dict[str, str]:
    found = document.get("annotations") or {}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ManifestInvalidError("annotations must map names to text.")
    return found
