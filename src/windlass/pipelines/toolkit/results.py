"""The services behind `@actions/artifact` and `@actions/cache`: `github.actions.results.api.v1`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windlass.pipelines.errors import ConflictError, NotFoundError, PipelinesError
from windlass.pipelines.toolkit.messages import field, moment, texts, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from windlass.pipelines.pipelines import Pipelines
    from windlass.pipelines.toolkit.signing import Signer
    from windlass.pipelines.toolkit.uploads import Upload, Uploads

    Message = dict[str, Any]
    Method = Callable[[str, Message], Awaitable[Message]]

PACKAGE = "github.actions.results.api.v1"
BLOBS = "/_jobs/blobs"
DOWNLOADS = "/_jobs/downloads"


class Results:
    """The methods by service and name. Each is given the job that asks, which only its token says."""

    def __init__(self, pipelines: Pipelines, uploads: Uploads, signer: Signer, server_url: str) -> None:
        self._pipelines = pipelines
        self._uploads = uploads
        self._signer = signer
        self._server_url = server_url
        self.methods: dict[tuple[str, str], Method] = {
            ("ArtifactService", "CreateArtifact"): self.create_artifact,
            ("ArtifactService", "FinalizeArtifact"): self.finalize_artifact,
            ("ArtifactService", "ListArtifacts"): self.list_artifacts,
            ("ArtifactService", "GetSignedArtifactURL"): self.artifact_address,
            ("ArtifactService", "DeleteArtifact"): self.delete_artifact,
            ("CacheService", "CreateCacheEntry"): self.create_cache,
            ("CacheService", "FinalizeCacheEntryUpload"): self.finalize_cache,
            ("CacheService", "GetCacheEntryDownloadURL"): self.cache_address,
        }

    def upload_address(self, upload: Upload) -> str:
        """Return where the upload's bytes go, for an hour."""
        path = f"{BLOBS}/{upload.id}"
        return f"{self._server_url}{path}?{self._signer.query(path, 'w')}"

    def download_address(self, kind: str, number: int) -> str:
        """Return where an artifact or a cache entry can be had, for an hour."""
        path = f"{DOWNLOADS}/{kind}/{number}"
        return f"{self._server_url}{path}?{self._signer.query(path, 'r')}"

    # Artifacts

    async def create_artifact(self, job: str, message: Message) -> Message:
        """Make room for an artifact of the job's run."""
        name = await self._pipelines.artifacts.check_new(job, field(_own(job, message), "name"))
        upload = await self._uploads.begin(
            job, "artifact", name, retention=until(field(message, "expires_at"))
        )
        return {"ok": True, "signed_upload_url": self.upload_address(upload)}

    async def finalize_artifact(self, job: str, message: Message) -> Message:
        """Make an artifact of what was uploaded, when size and digest are what was sent."""
        upload = await self._uploads.finished(job, "artifact", field(_own(job, message), "name"))
        _check_size(upload, field(message, "size"))
        artifact = await self._pipelines.artifacts.put(
            job,
            upload.name,
            self._uploads.chunks(upload),
            retention=upload.retention,
            digest=field(message, "hash"),
        )
        await self._uploads.end(upload.id)
        return {"ok": True, "artifact_id": str(artifact.id)}

    async def list_artifacts(self, job: str, message: Message) -> Message:
        """Return the artifacts of the job's run, all or those of a name or number."""
        name, number = field(_own(job, message), "name_filter"), field(message, "id_filter")
        found = await self._pipelines.artifacts.list(_run(job))
        return {
            "artifacts": [
                {
                    "workflow_run_backend_id": str(artifact.run),
                    "workflow_job_run_backend_id": artifact.job,
                    "database_id": str(artifact.id),
                    "name": artifact.name,
                    "size": str(artifact.size),
                    "created_at": moment(artifact.created_at),
                    "digest": artifact.digest,
                }
                for artifact in found
                if name in {"", artifact.name} and number in {"", str(artifact.id)}
            ]
        }

    async def artifact_address(self, job: str, message: Message) -> Message:
        """Return where an artifact of the job's run can be had."""
        artifact, _ = await self._pipelines.artifacts.get(_run(job), field(_own(job, message), "name"))
        return {"signed_url": self.download_address("artifact", artifact.id)}

    async def delete_artifact(self, job: str, message: Message) -> Message:
        """Delete an artifact of the job's run."""
        artifact = await self._pipelines.artifacts.delete(job, field(_own(job, message), "name"))
        return {"ok": True, "artifact_id": str(artifact.id)}

    # Caches

    async def create_cache(self, job: str, message: Message) -> Message:
        """Make room for an entry of the job's own ref."""
        key, version = field(message, "key"), field(message, "version")
        try:
            await self._pipelines.caches.check_new(await self._pipelines.scope_of(job), key, version)
        except ConflictError as error:
            return {"ok": False, "signed_upload_url": "", "message": str(error)}
        upload = await self._uploads.begin(job, "cache", key, version=version)
        return {"ok": True, "signed_upload_url": self.upload_address(upload), "message": ""}

    async def finalize_cache(self, job: str, message: Message) -> Message:
        """Make an entry of what was uploaded."""
        key, version = field(message, "key"), field(message, "version")
        upload = await self._uploads.finished(job, "cache", key, version)
        _check_size(upload, field(message, "size_bytes"))
        scope = await self._pipelines.scope_of(job)
        cache = await self._pipelines.caches.put(scope, key, version, self._uploads.chunks(upload))
        await self._uploads.end(upload.id)
        return {"ok": True, "entry_id": str(cache.id), "message": ""}

    async def cache_address(self, job: str, message: Message) -> Message:
        """Return where the entry for the first of these keys can be had, of those that the job may read."""
        keys = [field(message, "key"), *texts(message, "restore_keys")]
        scope = await self._pipelines.scope_of(job)
        found = await self._pipelines.caches.find(scope, keys, field(message, "version"))
        if found is None:
            return {"ok": False, "signed_download_url": "", "matched_key": ""}
        await self._pipelines.caches.get(scope, found.id)  # which counts as a use
        address = self.download_address("cache", found.id)
        return {"ok": True, "signed_download_url": address, "matched_key": found.key}


def _run(job: str) -> int:
    return int(job.partition(".")[0])


def _own(job: str, message: Message) -> Message:
    """Return the message if it is about the job's own run. Raises `NotFoundError`."""
    run = field(message, "workflow_run_backend_id")
    if run not in {"", str(_run(job))}:
        raise NotFoundError(f"run {run[:20]} is not the run of this job")
    return message


def _check_size(upload: Upload, said: str) -> None:
    if said and said != str(upload.size):
        raise PipelinesError(f"{said[:20]} bytes were to come, {upload.size} came: upload it again")
