"""Failures of the Kubernetes API, the same classes for the client and for the embedded server."""

from __future__ import annotations

from typing import Any, ClassVar, Self

Object = dict[str, Any]


class KubeError(Exception):
    """The Kubernetes API did not do what was asked.

    `message` is what the API says, `details` its `Status.details` (name, kind, causes, retryAfterSeconds).
    """

    code: ClassVar[int] = 500
    reason: ClassVar[str] = "InternalError"

    def __init__(self, message: str, *, details: Object | None = None, status: Object | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details or {}
        self._status = status

    def to_status(self) -> Object:
        """Return it as a `Status` object, as it goes over the wire."""
        if self._status is not None:
            return self._status
        status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        return {**status, "details": self.details} if self.details else status


class BadRequestError(KubeError):
    """The request cannot be understood."""

    code = 400
    reason = "BadRequest"


class UnauthorizedError(KubeError):
    """Nobody is there: the token is missing, wrong or has expired."""

    code = 401
    reason = "Unauthorized"


class ForbiddenError(KubeError):
    """Whoever asks is not allowed to."""

    code = 403
    reason = "Forbidden"


class NotFoundError(KubeError):
    """There is no such object, or no such resource."""

    code = 404
    reason = "NotFound"

    @classmethod
    def of(cls, resource: str, name: str) -> Self:
        """Build the error for an object, worded as Kubernetes words it."""
        plural, _, group = resource.partition(".")
        details = {"name": name, "kind": plural, **({"group": group} if group else {})}
        return cls(f'{resource} "{name}" not found', details=details)


class MethodNotAllowedError(KubeError):
    """The resource exists and does not support this verb."""

    code = 405
    reason = "MethodNotAllowed"


class NotAcceptableError(KubeError):
    """None of the representations that the client accepts can be served."""

    code = 406
    reason = "NotAcceptable"


class ConflictError(KubeError):
    """The object has changed since it was read, or another field manager owns what is applied."""

    code = 409
    reason = "Conflict"

    @classmethod
    def stale(cls, resource: str, name: str) -> Self:
        """Build the error of an optimistic lock that failed, worded as Kubernetes words it."""
        plural, _, group = resource.partition(".")
        details = {"name": name, "kind": plural, **({"group": group} if group else {})}
        changed = (
            "the object has been modified; please apply your changes to the latest version and try again"
        )
        return cls(f'Operation cannot be fulfilled on {resource} "{name}": {changed}', details=details)


class AlreadyExistsError(KubeError):
    """An object of this name is there already."""

    code = 409
    reason = "AlreadyExists"

    @classmethod
    def of(cls, resource: str, name: str) -> Self:
        """Build the error for an object, worded as Kubernetes words it."""
        plural, _, group = resource.partition(".")
        details = {"name": name, "kind": plural, **({"group": group} if group else {})}
        return cls(f'{resource} "{name}" already exists', details=details)


class GoneError(KubeError):
    """The resourceVersion is too old to watch or to continue from: list again."""

    code = 410
    reason = "Expired"


class TooLargeError(KubeError):
    """The request's body is larger than the server takes."""

    code = 413
    reason = "RequestEntityTooLarge"


class UnsupportedMediaTypeError(KubeError):
    """The body's content type is not understood."""

    code = 415
    reason = "UnsupportedMediaType"


class InvalidError(KubeError):
    """The object breaks the rules of its kind; `details.causes` names each field."""

    code = 422
    reason = "Invalid"


class TooManyRequestsError(KubeError):
    """The server asks to come back later; `details.retryAfterSeconds` says when."""

    code = 429
    reason = "TooManyRequests"


class NotImplementedInServerError(KubeError):
    """The server knows what is meant and does not do it."""

    code = 501
    reason = "NotImplemented"


class UnavailableError(KubeError):
    """What is needed for the answer cannot be reached at the moment."""

    code = 503
    reason = "ServiceUnavailable"


class TimedOutError(KubeError):
    """The answer did not come in time."""

    code = 504
    reason = "Timeout"


class UnreachableError(KubeError):
    """The API server itself cannot be reached: address, certificate or connection."""

    reason = "Unreachable"


class ConfigError(KubeError):
    """The kubeconfig cannot be used."""

    reason = "Config"


_BY_REASON: dict[str, type[KubeError]] = {
    cls.reason: cls for cls in KubeError.__subclasses__() if cls not in (UnreachableError, ConfigError)
}
_BY_CODE: dict[int, type[KubeError]] = {
    cls.code: cls for cls in _BY_REASON.values() if cls is not AlreadyExistsError
}


def error_from_status(status: Object, code: int) -> KubeError:
    """Turn a `Status` (or whatever came with HTTP status `code`) into its exception."""
    kind = _BY_REASON.get(str(status.get("reason", ""))) or _BY_CODE.get(code) or KubeError
    message = str(status.get("message") or f"the API server answered with HTTP status {code}")
    return kind(message, details=status.get("details") or {}, status=status or None)
