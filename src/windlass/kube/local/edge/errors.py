"""Failures of the edge."""

from __future__ import annotations


class EdgeError(Exception):
    """The edge could not do what was asked."""


class HaproxyMissingError(EdgeError):
    """HAProxy is not installed: install the package `haproxy` (`windlass doctor` shows how)."""


class ReloadError(EdgeError):
    """HAProxy did not take the new configuration; it goes on with the one before."""


class RuntimeSocketError(EdgeError):
    """HAProxy's runtime socket refused a command or does not answer."""
