"""What can go wrong with hosted repositories. The message says what, where, why and what to do."""

from __future__ import annotations


class ReposError(Exception):
    """A hosted repository could not do what was asked."""


class BadNameError(ReposError):
    """A repository's name, a ref or a path is not of the form that is allowed."""


class RepositoryNotFoundError(ReposError):
    """No repository of this name is hosted here."""


class RepositoryExistsError(ReposError):
    """A repository of this name (or one that differs only in case) is hosted here already."""


class RevisionNotFoundError(ReposError):
    """The revision names no commit of this repository."""


class GitError(ReposError):
    """The git command failed; the message holds what it wrote."""


class ImportFailedError(ReposError):
    """A repository could not be copied from elsewhere."""


class StaleBranchError(ReposError):
    """The branch moved between reading and writing; read again, then try again."""


class TooLargeError(ReposError):
    """A file or tree is larger than its limit."""


class UnsafeTreeError(ReposError):
    """A tree holds what would escape the folder into which it is written."""


class NotAllowedError(ReposError):
    """The principal may not do this."""


class PullNotFoundError(ReposError):
    """The repository has no pull request of this number."""


class PullStateError(ReposError):
    """The pull request, or what it is made of, is not in a state that allows this."""


class MergeBlockedError(ReposError):
    """The pull request may not be merged now; the message holds every reason."""


class ReleaseNotFoundError(ReposError):
    """The repository has no release of this tag."""
