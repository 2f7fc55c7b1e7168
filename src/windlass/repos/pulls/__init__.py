"""Pull requests of hosted branches, and the protection of branches."""

from windlass.repos.pulls.protections import Protections
from windlass.repos.pulls.pulls import Checks, Pulls
from windlass.repos.pulls.records import Blocker, Check, Protection, Pull, PullView, public

__all__ = ["Blocker", "Check", "Checks", "Protection", "Protections", "Pull", "PullView", "Pulls", "public"]
