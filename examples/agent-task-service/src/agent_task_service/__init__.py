"""An agent behind FastAPI: takes tasks, streams what it thinks."""

VERSION = "1.0.0"
