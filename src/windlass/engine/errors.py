"""What can go wrong with a container engine; every error carries the engine's own words and a remedy."""

from __future__ import annotations


class EngineError(Exception):
    """The container engine could not do what was asked."""

    def __init__(self, attempted: str, *, stderr: str = "", remedy: str = "") -> None:
        """Say what was `attempted`, what the engine answered (`stderr`) and what a person can do (`remedy`)."""
        self.attempted = attempted
        self.stderr = stderr.strip()
        self.remedy = remedy
        super().__init__(self._message())

    def _message(self) -> str:
        what = (self.__doc__ or "The container engine failed.").splitlines()[0]
        parts = [f"{what} While trying to {self.attempted}."]
        if self.stderr:
            parts.append(f"The engine said: {self.stderr[-2000:]}")
        if self.remedy:
            parts.append(f"What helps: {self.remedy}")
        return " ".join(parts)


class EngineUnavailableError(EngineError):
    """No container engine answers on this machine."""


class EngineTimeoutError(EngineError):
    """The container engine did not answer in time."""


class ContainerNotFoundError(EngineError):
    """There is no such container."""


class ImageNotFoundError(EngineError):
    """There is no such image."""


class ImageAccessError(EngineError):
    """The registry refused access to the image."""


class RegistryUnreachableError(EngineError):
    """The image's registry does not answer."""


class NameInUseError(EngineError):
    """A container of that name exists already."""


class StartError(EngineError):
    """The container was created but could not be started."""
