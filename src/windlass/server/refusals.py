"""Which HTTP status answers which refusal of the rooms below; their message is what the client reads."""

from __future__ import annotations

from windlass.delivery import DeliveryError, UnknownApplicationError, UnknownDeliveryError, UnknownHoldError
from windlass.kube import KubeError
from windlass.kube import NotFoundError as ObjectNotFoundError
from windlass.pipelines import ConflictError as RunConflictError
from windlass.pipelines import ForbiddenError, PipelinesError, StateError
from windlass.pipelines import NotFoundError as RunNotFoundError
from windlass.repos import (
    BadNameError,
    ImportFailedError,
    ReposError,
    RepositoryExistsError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    StaleBranchError,
)
from windlass.repos.errors import (
    MergeBlockedError,
    NotAllowedError,
    PullNotFoundError,
    PullStateError,
    ReleaseNotFoundError,
)

REFUSALS: dict[type[Exception], int] = {
    RunNotFoundError: 404,
    RunConflictError: 409,
    StateError: 409,
    ForbiddenError: 403,
    PipelinesError: 422,
    UnknownApplicationError: 404,
    UnknownDeliveryError: 404,
    UnknownHoldError: 404,
    DeliveryError: 422,
    ObjectNotFoundError: 404,
    KubeError: 422,
    RepositoryNotFoundError: 404,
    RepositoryExistsError: 409,
    BadNameError: 422,
    ImportFailedError: 422,
    PullNotFoundError: 404,
    ReleaseNotFoundError: 404,
    PullStateError: 409,
    MergeBlockedError: 409,
    NotAllowedError: 403,
    StaleBranchError: 409,
    RevisionNotFoundError: 422,
    ReposError: 422,
}
