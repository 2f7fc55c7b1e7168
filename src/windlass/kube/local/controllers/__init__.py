"""The controllers of the embedded cluster."""

from windlass.kube.local.controllers.controllers import Controllers

__all__ = ["Controllers"]
