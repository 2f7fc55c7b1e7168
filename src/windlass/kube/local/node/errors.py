"""Failures of the node. What concerns one container ends as its waiting reason, with the same words."""

from __future__ import annotations


class NodeError(Exception):
    """The node could not do what was asked."""


class ContainerConfigError(NodeError):
    """The container cannot be made as its pod says (`CreateContainerConfigError`)."""


class MountError(NodeError):
    """A volume cannot be provided (`FailedMount`)."""
