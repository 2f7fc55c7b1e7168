from __future__ import annotations

import sys
from pathlib import Path

# The benchmark is a package at the repository's root; `python -m pytest` would find it, `pytest` alone does not.
sys.path.insert(0, str(Path(__file__).parents[2]))
