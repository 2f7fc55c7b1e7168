"""An engine without containers: images are scripts of behaviour, ports answer for real."""

from windlass.engine.fake.driver import FakeEngine
from windlass.engine.fake.script import Answer, Behaviour, Output, Script

__all__ = ["Answer", "Behaviour", "FakeEngine", "Output", "Script"]
