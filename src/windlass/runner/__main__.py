"""`python -m windlass.runner JOBDIR`, with the payload on standard input."""

from __future__ import annotations

import sys
from pathlib import Path

from windlass.runner.main import read_payload, read_spec, run_job


def main() -> int:
    """Run one job; the exit code is 0 for a success."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m windlass.runner JOBDIR < PAYLOAD\n")
        return 2
    directory = Path(sys.argv[1])
    return 0 if run_job(directory, read_spec(directory), lambda: read_payload(0)) == "success" else 1


if __name__ == "__main__":
    sys.exit(main())
