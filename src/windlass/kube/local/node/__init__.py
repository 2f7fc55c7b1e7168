"""The node: pods as containers of the local engine."""

from windlass.kube.local.node.errors import ContainerConfigError, MountError, NodeError
from windlass.kube.local.node.node import Node
from windlass.kube.local.node.settings import NodeSettings

__all__ = ["ContainerConfigError", "MountError", "Node", "NodeError", "NodeSettings"]
