"""Windlass: from a git push to a verified, running service, and back by itself."""

__version__ = "0.1.0"
