"""This machine as a Node object."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from windlass.kube.local.controllers.meta import stamp

VERSION = "v1.32.0+windlass"


def memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def capacity() -> dict[str, float]:
    """Cores and bytes of memory."""
    return {"cpu": float(os.cpu_count() or 1), "memory": float(memory())}


def node(name: str, runtime: str) -> dict[str, Any]:
    """Return the Node; `runtime` is the engine and its version, `podman://4.3.1`."""
    amounts = {"cpu": str(os.cpu_count() or 1), "memory": f"{memory() // 1024}Ki", "pods": "200"}
    now, system = stamp(time.time()), os.uname()
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "the engine answers"}
    return {
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": sys.platform},
        },
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "addresses": [
                {"type": "InternalIP", "address": "127.0.0.1"},
                {"type": "Hostname", "address": name},
            ],
            "conditions": [{**ready, "lastHeartbeatTime": now, "lastTransitionTime": now}],
            "nodeInfo": {
                "architecture": system.machine,
                "bootID": "",
                "containerRuntimeVersion": runtime,
                "kernelVersion": system.release,
                "kubeProxyVersion": VERSION,
                "kubeletVersion": VERSION,
                "machineID": "",
                "operatingSystem": sys.platform,
                "osImage": system.sysname,
                "systemUUID": "",
            },
        },
    }
