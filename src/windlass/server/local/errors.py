"""What keeps a workflow from being run here."""

from __future__ import annotations


class LocalError(Exception):
    """A workflow cannot be run in this checkout."""


class NoCheckoutError(LocalError):
    """There is no checkout here."""


class GitFailedError(LocalError):
    """Git did not do what was asked."""


class NothingChosenError(LocalError):
    """No workflow, job or event is meant by what was asked for."""


class InvalidFilesError(LocalError):
    """Workflow files have errors. The message draws each one on its line."""


class BadSecretError(LocalError):
    """A secret cannot be taken from where it was said to be."""
