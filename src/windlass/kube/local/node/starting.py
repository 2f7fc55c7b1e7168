"""Starting one container of a pod: image, environment, volumes, network, then the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from windlass.engine.errors import EngineError, ImageNotFoundError, NameInUseError
from windlass.kube.local.controllers.effects import EVENT_NORMAL, EVENT_WARNING
from windlass.kube.local.controllers.meta import namespace_of
from windlass.kube.local.node.environment import environment
from windlass.kube.local.node.errors import ContainerConfigError, MountError
from windlass.kube.local.node.images import default_policy
from windlass.kube.local.node.names import container_name
from windlass.kube.local.node.pod_status import Waiting
from windlass.kube.local.node.spec import Surroundings, check, engine_spec, published_ports

if TYPE_CHECKING:
    from pathlib import Path

    from windlass.engine.port import Container, Engine, ImageInfo, Network
    from windlass.kube.local.controllers.meta import Object
    from windlass.kube.local.node.decide import Start
    from windlass.kube.local.node.environment import Sources
    from windlass.kube.local.node.images import Images
    from windlass.kube.local.node.settings import NodeSettings
    from windlass.kube.local.node.volumes import Volumes


class House(Protocol):
    """What a pod's worker needs of the node around it."""

    engine: Engine
    images: Images
    settings: NodeSettings

    async def sources(self, pod: Object) -> Sources:
        """Return what its environment and volumes refer to."""
        ...

    async def network(self, namespace: str) -> Network:
        """Return the network of a namespace, made when it is not there."""
        ...

    async def wanted_ports(self, pod: Object) -> list[int]:
        """Return the ports of the pod that Services ask for."""
        ...

    def tell(self, pod: Object, kind: str, reason: str, message: str) -> None:
        """Record an Event, soon."""
        ...


class NotYetError(Exception):
    """The container cannot be started now. `waiting` says why; `retry` False: something will wake the worker."""

    def __init__(self, waiting: Waiting, *, retry: bool = True) -> None:
        super().__init__(waiting.reason)
        self.waiting = waiting
        self.retry = retry


async def image_of(house: House, pod: Object, container: Object) -> ImageInfo:
    """Return the container's image, or raise NotYetError while it is pulled or cannot be."""
    image = container["image"]
    policy = container.get("imagePullPolicy") or default_policy(image)
    if policy != "Always":
        info = await house.images.local(image)
        if info is not None:
            if not (pulled := house.images.state(image)) or not pulled.fetched:
                text = f'Container image "{image}" already present on machine'
                house.tell(pod, EVENT_NORMAL, "Pulled", text)
            return info
        if policy == "Never":
            text = f'Container image "{image}" is not present with pull policy of Never'
            raise NotYetError(Waiting("ErrImageNeverPull", text))
    state = house.images.state(image)
    if state is not None and state.info is not None and not house.images.pulling(image):
        house.images.forget(image)
        text = f'Successfully pulled image "{image}" in {state.seconds:.3g}s'
        house.tell(pod, EVENT_NORMAL, "Pulled", text)
        return state.info
    raise _pull(house, pod, image)


def _pull(house: House, pod: Object, image: str) -> NotYetError:
    begun = house.images.request(image)
    state = house.images.state(image)
    failed = state is not None and bool(state.error)
    if begun:
        house.tell(pod, EVENT_NORMAL, "Pulling", f'Pulling image "{image}"')
    if not failed or state is None:
        return NotYetError(Waiting("ContainerCreating", f'pulling image "{image}"'), retry=False)
    if begun or house.images.pulling(image):
        return NotYetError(Waiting("ErrImagePull", state.error), retry=False)
    text = f'Failed to pull image "{image}" (as {state.name}): {state.error}'
    house.tell(pod, EVENT_WARNING, "Failed", text)
    reason = "ErrImagePull" if state.failures == 1 else "ImagePullBackOff"
    return NotYetError(Waiting(reason, f'Back-off pulling image "{image}" (as {state.name}): {state.error}'))


async def start(  # noqa: PLR0917 the parts of a pod
    house: House, pod: Object, container: Object, step: Start, volumes: Volumes, hosts: Path
) -> Container:
    """Start the container and return it as it runs, or raise NotYetError with the reason."""
    try:
        check(pod, container, privileged=house.settings.privileged)
        info = await image_of(house, pod, container)
        sources = await house.sources(pod)
        env = environment(container, sources)
        volumes.prepare(pod, sources)
        network = await house.network(namespace_of(pod))
        around = Surroundings(
            instance=house.settings.instance,
            image=house.images.name(container["image"]),
            info=info,
            env=env,
            mounts=volumes.mounts(pod, container),
            network=network.name,
            hosts_file=str(hosts),
            ports=published_ports(pod, await house.wanted_ports(pod)),
            attempt=step.attempt,
            crashes=step.crashes,
            joined=step.joined,
            privileged=house.settings.privileged,
        )
        spec = engine_spec(pod, container, around)
    except (ContainerConfigError, ValueError) as error:
        house.tell(pod, EVENT_WARNING, "Failed", f"Error: {error}")
        raise NotYetError(Waiting("CreateContainerConfigError", str(error))) from error
    except MountError as error:
        house.tell(pod, EVENT_WARNING, "FailedMount", str(error))
        raise NotYetError(Waiting("ContainerCreating", str(error))) from error
    except EngineError as error:
        house.tell(pod, EVENT_WARNING, "Failed", str(error))
        raise NotYetError(Waiting("CreateContainerError", str(error))) from error
    try:
        identity = await house.engine.run(spec)
    except NameInUseError:  # we were interrupted just here before: it is ours
        identity = container_name(house.settings.instance, pod, container["name"], step.attempt)
    except ImageNotFoundError as error:
        house.images.lost(container["image"])
        raise NotYetError(Waiting("ContainerCreating", str(error))) from error
    except EngineError as error:
        house.tell(pod, EVENT_WARNING, "Failed", f"Error: {error}")
        raise NotYetError(Waiting("RunContainerError", str(error))) from error
    running = await house.engine.inspect(identity)
    if running is None:
        raise NotYetError(Waiting("RunContainerError", "the container was removed by somebody else"))
    house.tell(pod, EVENT_NORMAL, "Created", f"Created container: {container['name']}")
    house.tell(pod, EVENT_NORMAL, "Started", f"Started container {container['name']}")
    return running
