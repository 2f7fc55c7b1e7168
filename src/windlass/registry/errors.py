"""What can go wrong with images in a registry."""

from __future__ import annotations


class RegistryError(Exception):
    """The registry could not do what was asked."""


class ResolveError(RegistryError):
    """A reference could not be resolved to a digest; the message names it, and why."""


class ImageNotFoundError(ResolveError):
    """The registry has no such image, tag or digest (or does not show it to us)."""


class RefusedError(RegistryError):
    """A request of the distribution API is refused: status, the specification's code, and a text."""

    status = 400
    code = "UNSUPPORTED"

    def __init__(self, message: str, *, status: int | None = None, **headers: str) -> None:
        super().__init__(message)
        self.status = status or self.status
        self.headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]


class UnauthorizedError(RefusedError):
    """Nobody is there."""

    status, code = 401, "UNAUTHORIZED"


class DeniedError(RefusedError):
    """Not allowed."""

    status, code = 403, "DENIED"


class ImmutableTagError(RefusedError):
    """The tag holds a commit's id and stands for another digest already."""

    status, code = 409, "DENIED"


class NameInvalidError(RefusedError):
    """Not a repository's name."""

    code = "NAME_INVALID"


class NameUnknownError(RefusedError):
    """No such repository, or none that may be seen."""

    status, code = 404, "NAME_UNKNOWN"


class BlobUnknownError(RefusedError):
    """No such blob in this repository."""

    status, code = 404, "BLOB_UNKNOWN"


class UploadUnknownError(RefusedError):
    """No such upload under way."""

    status, code = 404, "BLOB_UPLOAD_UNKNOWN"


class UploadInvalidError(RefusedError):
    """The upload cannot go on like this."""

    code = "BLOB_UPLOAD_INVALID"


class DigestInvalidError(RefusedError):
    """The digest is none, or not that of the content."""

    code = "DIGEST_INVALID"


class ManifestUnknownError(RefusedError):
    """No such manifest in this repository."""

    status, code = 404, "MANIFEST_UNKNOWN"


class ManifestInvalidError(RefusedError):
    """The manifest is not one."""

    code = "MANIFEST_INVALID"


class ManifestBlobUnknownError(RefusedError):
    """The manifest needs a blob or manifest that is not in this repository."""

    status, code = 404, "MANIFEST_BLOB_UNKNOWN"


class SizeInvalidError(RefusedError):
    """Longer than allowed, or not as long as announced."""

    code = "SIZE_INVALID"


class UnsupportedError(RefusedError):
    """The operation is not served."""

    status, code = 405, "UNSUPPORTED"
