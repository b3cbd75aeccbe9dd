# SPDX-License-Identifier: Apache-2.0
"""The steps of a boot, each with its undo.

::

    image → folder → create → prepare → addresses → plug → connect → (wait) → start

Nova allocates the ports while the guest is made, so their addresses are asked for late,
and Nova's own network information, which takes longer, in the end.

A step that fails is undone together with those before it, in reverse order; an undo
that fails is logged and does not keep the others from running. The error that comes out
names the step, the host and what the engine said, for it is what the user sees as the
server's fault.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from nova import exception as nova_exception
from oslo_concurrency import lockutils
from oslo_log import log as logging

from nova_multi import exception
from nova_multi.virt import configdrive, events, spec, userdata, vif
from nova_multi.virt import image as image_module
from nova_multi.virt.engine import Engine, GuestState, Interface

LOG = logging.getLogger(__name__)

#: Name of the step in which Nova's own network errors come up.
ADDRESSES = "addresses"
GUEST_FOLDER = "guest"
CONFIG_DRIVE_FOLDER = "config-drive"
NAMES_FILE = "interfaces.json"


class BootFailed(exception.NovaMultiError):
    """A step of a boot failed and all before it was undone.

    :ivar step: its name.
    """

    def __init__(self, step: str, host: str, cause: BaseException) -> None:
        super().__init__(f"boot step '{step}' failed on host {host}: {cause}")
        self.step = step


class Steps:
    """Runs steps and remembers how to undo them.

    :param host: for messages.
    :param instance: for logs.
    """

    def __init__(self, host: str, instance: Any) -> None:
        self._host = host
        self._instance = instance
        self._undo: list[tuple[str, Callable[[], Any]]] = []

    @contextlib.contextmanager
    def step(self, name: str, undo: Callable[[], Any] | None = None) -> Iterator[None]:
        """One step. Its undo runs also when the step itself fails half-way.

        :param undo: must bear with nothing, half or all of the step being done.
        :raises BootFailed: after everything was undone.
        """
        if undo is not None:
            self._undo.append((name, undo))
        started = time.monotonic()
        try:
            yield
        except BootFailed:
            raise
        except BaseException as error:
            self.undo()
            if not isinstance(error, Exception):
                raise
            raise BootFailed(name, self._host, error) from error
        LOG.debug(
            "Boot step %s took %.3f s",
            name,
            time.monotonic() - started,
            instance=self._instance,
        )

    def forget(self) -> None:
        """Undo nothing of what was done so far."""
        self._undo.clear()

    def undo(self) -> None:
        """Undo all steps so far, the last one first."""
        while self._undo:
            name, undo = self._undo.pop()
            try:
                undo()
            except Exception:
                LOG.exception(
                    "Undoing boot step %s failed", name, instance=self._instance
                )


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What Nova asks for with one spawn."""

    context: Any
    instance: Any
    image_meta: Any
    injected_files: Any
    admin_password: str | None
    network_info: Any
    power_on: bool


def none_known(instance: Any) -> None:
    """No ports are known before Nova knows them all."""


@dataclasses.dataclass(frozen=True, slots=True)
class Guests:
    """Where guests are made: collaborators and settings of one compute service.

    :ivar folder_of: folder of an instance on this host.
    :ivar remove_folder: deletes it, whoever owns what is in it.
    :ivar wait_for_ports: context manager for (instance, network_info) that at its end
        waits until Neutron has connected the ports.
    :ivar bound_ports: an instance's ports with their addresses as soon as they are
        bound; None if only Nova's network information can tell.
    """

    engine: Engine
    images: image_module.ImageStore
    host: str
    pids_limit: int
    folder_of: Callable[[Any], str]
    remove_folder: Callable[[Any], None]
    wait_for_ports: Callable[..., contextlib.AbstractContextManager[None]]
    bound_ports: Callable[[Any], Sequence[Any] | None] = none_known

    # -- boot -----------------------------------------------------------------

    def boot(self, request: Request) -> None:
        """Make and start a guest, or leave nothing behind.

        :raises BootFailed: another host may do better.
        :raises nova.exception.BuildAbortException: no other host would either.
        """
        steps = Steps(self.host, request.instance)
        try:
            self._boot(request, steps)
        except BootFailed as error:
            raise _for_nova(error, request.instance) from error

    def _boot(self, request: Request, steps: Steps) -> None:
        instance, uuid = request.instance, request.instance.uuid
        with steps.step("image"):
            key, facts = self.images.ensure(request.context, instance.image_ref)
        drive = configdrive.required(instance)
        if drive:
            # It tells the guest all that Nova knows of its network.
            self._network_info(request, steps)
        with steps.step("folder", undo=lambda: self.remove_folder(instance)):
            self._make_folder(instance)
            bootstrap = userdata.plan(instance.user_data, instance.key_data, facts)
            container = spec.container_spec(
                instance,
                request.image_meta,
                key,
                host=self.host,
                pids_limit=self.pids_limit,
                **self._folders(request, bootstrap, drive),
            )
        with steps.step("create", undo=lambda: self.engine.remove(uuid)):
            try:
                self.engine.create(container)
            except exception.GuestExists:
                # Not made by this boot: nothing of it may be taken back.
                steps.forget()
                raise
        if request.power_on:
            with steps.step("prepare"):
                self.engine.prepare(uuid)
        connected = self._connect(request, steps)
        if request.power_on:
            # It ends before its wires are taken away.
            with steps.step("start", undo=lambda: self.engine.stop(uuid, 0)):
                self.engine.start(uuid)
        # What Nova could not find out fails the boot, too.
        known = {port["id"] for port in self._network_info(request, steps)}
        with steps.step("same ports"):
            if known != connected:
                raise exception.NetworkSetupError(
                    f"the guest has the ports {_listed(connected)}, and the server"
                    f" {_listed(known)}: Nova has allocated them a second time"
                )

    def _connect(self, request: Request, steps: Steps) -> set[str]:
        """Give the guest its network; the ids of its ports."""
        instance = request.instance
        with steps.step(ADDRESSES):
            ports = self.bound_ports(instance)
        if ports is None:
            ports = self._network_info(request, steps)
        with steps.step("names"):
            interfaces = self.interfaces(instance, ports)
        with steps.step("network"), self.wait_for_ports(instance, ports):
            with steps.step("plug", undo=lambda: self.unplug(instance, ports)):
                self.plug(instance, ports, interfaces)
            if request.power_on:
                with steps.step("connect"):
                    self.engine.connect(instance.uuid, interfaces)
        return {port["id"] for port in ports}

    @staticmethod
    def _network_info(request: Request, steps: Steps) -> list[Any]:
        """The server's ports, as soon as Nova knows all of them."""
        with steps.step(ADDRESSES):
            return list(request.network_info or ())

    def _folders(
        self, request: Request, bootstrap: userdata.Bootstrap, drive: bool
    ) -> dict[str, Any]:
        instance = request.instance
        folder = self.folder_of(instance)
        made: dict[str, Any] = {}
        if bootstrap:
            made["guest_folder"] = os.path.join(folder, GUEST_FOLDER)
            made["bootstrap"] = userdata.write(
                made["guest_folder"], instance.uuid, bootstrap
            )
        if drive:
            made["config_drive"] = os.path.join(folder, CONFIG_DRIVE_FOLDER)
            configdrive.write(
                made["config_drive"],
                instance,
                request.injected_files,
                request.admin_password,
                request.network_info,
            )
        return made

    # -- network --------------------------------------------------------------

    def interfaces(self, instance: Any, network_info: Any) -> tuple[Interface, ...]:
        """Interfaces of a server under their lasting names; makes its folder."""
        ports = [nova_vif["id"] for nova_vif in network_info or ()]
        return vif.interfaces(network_info or (), self._names(instance, ports))

    def _names(
        self, instance: Any, ports: Sequence[str], *, keep: bool = False
    ) -> dict[str, str]:
        """Names of the interfaces for these ports, kept in the server's folder.

        :param keep: whether other ports keep theirs (one is added to those there).
        """
        path = self._names_file(instance)
        known = vif.load_names(path)
        others = [port for port in known if keep and port not in ports]
        names = vif.assign_names([*others, *ports], known)
        if names != known:
            vif.save_names(path, names)
        return names

    def _names_file(self, instance: Any) -> str:
        return os.path.join(self._make_folder(instance), NAMES_FILE)

    def _make_folder(self, instance: Any) -> str:
        folder = self.folder_of(instance)
        os.makedirs(folder, mode=0o711, exist_ok=True)
        return folder

    def _save_names(self, instance: Any, *, without: str) -> None:
        path = self._names_file(instance)
        names = vif.load_names(path)
        if names.pop(without, None):
            vif.save_names(path, names)

    def plug(
        self,
        instance: Any,
        network_info: Any,
        interfaces: Sequence[Interface],
        *,
        alive: bool = False,
    ) -> None:
        """Connect the host's ends of all interfaces.

        :param alive: whether the guest has processes, and so may hold its ends.
        """
        for nova_vif, interface in zip(network_info or (), interfaces, strict=True):
            vif.plug(instance, nova_vif, interface, alive=alive)

    def unplug(self, instance: Any, network_info: Any) -> None:
        """Disconnect all ports; one that fails does not keep the others connected.

        :raises NetworkSetupError: at least one is still connected.
        """
        errors = []
        for nova_vif in network_info or ():
            try:
                vif.unplug(instance, nova_vif)
            except exception.NetworkSetupError as error:
                errors.append(str(error))
        if errors:
            raise exception.NetworkSetupError("; ".join(errors))

    def heal_network(self, instance: Any, network_info: Any) -> None:
        """Connect what should be connected, after a restart of anything.

        A running guest that lost an interface (its inner end waits outside) gets it
        back; one that does not run gets it when it starts.
        """
        interfaces = self.interfaces(instance, network_info)
        try:
            state = self.engine.guest(instance.uuid).state
        except exception.GuestNotFound:
            state = None  # Nova finds that out by itself, and says so
        alive = state is not None and state not in _ENDED
        self.plug(instance, network_info, interfaces, alive=alive)
        if state is GuestState.PAUSED:
            vif.set_carrier((i.port_id for i in interfaces), up=False)
        elif state is GuestState.RUNNING:
            for interface in filter(vif.is_outside, interfaces):
                LOG.warning(
                    "Giving %s back to the guest", interface.name, instance=instance
                )
                self.engine.attach(instance.uuid, interface)

    def pause(self, instance: Any) -> None:
        """Freeze a guest, and what its kernel would answer in its place.

        That kernel is the machine's own, which goes on: without its wires the guest is
        as silent as a paused virtual machine.
        """
        self.engine.pause(instance.uuid)
        vif.set_carrier(vif.load_names(self._names_file(instance)), up=False)

    def unpause(self, instance: Any) -> None:
        """Undo ``pause``."""
        vif.set_carrier(vif.load_names(self._names_file(instance)), up=True)
        self.engine.unpause(instance.uuid)

    def attach(self, instance: Any, nova_vif: Any) -> None:
        """Add an interface to a guest, or leave it as it was.

        :raises NovaMultiError: from the port or the engine.
        """
        with _alone(instance):
            interface = self._one_interface(instance, nova_vif)
            steps = Steps(self.host, instance)
            with steps.step("plug", undo=lambda: vif.unplug(instance, nova_vif)):
                vif.plug(instance, nova_vif, interface, alive=True)
            with steps.step("attach", undo=lambda: self._detach(instance, interface)):
                self.engine.attach(instance.uuid, interface)

    def detach(self, instance: Any, nova_vif: Any) -> None:
        """Take an interface away from a guest and disconnect its port.

        :raises NovaMultiError: it is still there, or its port is still connected.
        """
        with _alone(instance):
            if not os.path.isdir(self.folder_of(instance)):
                # Neutron tells late that the port of a deleted server is gone. The
                # folder, which would be made for the names, must not come back.
                vif.unplug(instance, nova_vif)
                return
            self._detach(instance, self._one_interface(instance, nova_vif))
            vif.unplug(instance, nova_vif)
            self._save_names(instance, without=nova_vif["id"])

    def _detach(self, instance: Any, interface: Interface) -> None:
        try:
            self.engine.detach(instance.uuid, interface)
        except exception.GuestNotFound:
            LOG.warning("Nothing to detach from: no such guest", instance=instance)

    def _one_interface(self, instance: Any, nova_vif: Any) -> Interface:
        names = self._names(instance, [nova_vif["id"]], keep=True)
        (interface,) = vif.interfaces([nova_vif], names)
        # Its routes beside those of the first interface: the default stays where it is.
        first = names[nova_vif["id"]] == "eth0"
        if first:
            return interface
        return vif.beside_others(dataclasses.replace(interface, gateways=()))

    def start(self, instance: Any, network_info: Any) -> None:
        """Start a guest that is there, with its network made whole first.

        One that runs already runs on; what it lost of its network it gets back.
        Whatever fails, the guest stays: a power or network path never removes one.
        """
        with _alone(instance):
            state = self.engine.guest(instance.uuid).state
            if state in _RUNS:
                self.heal_network(instance, network_info)
                return
            interfaces = self.interfaces(instance, network_info)
            alive = state not in _ENDED
            self.plug(instance, network_info, interfaces, alive=alive)
            self.engine.connect(instance.uuid, interfaces)
            if interfaces:
                # As in a boot: what the guest sends first must not be lost. A machine
                # whose OVN says nothing is no reason to keep the guest down.
                ports = [interface.port_id for interface in interfaces]
                vif.flows_installed(ports, events.OVN_TIMEOUT)
            self.engine.start(instance.uuid)


def _listed(ids: Iterable[str]) -> str:
    return ", ".join(sorted(ids)) or "none"


def _alone(instance: Any) -> contextlib.AbstractContextManager[Any]:
    """No other change of a server's interfaces meanwhile.

    Nova has two ports attached at the same time, each under a lock of its own: both
    would be given the same name.
    """
    return lockutils.lock(f"nova-multi-interfaces-{instance.uuid}")


#: An engine connects no guest that has processes.
_RUNS = (GuestState.RUNNING, GuestState.PAUSED)
#: Only these hold no interface for sure. In doubt a guest lives, and keeps what it has.
_ENDED = (GuestState.STOPPED, GuestState.CRASHED)

#: No other host would do better with these.
_HOPELESS = (
    exception.ImageRejected,
    exception.UserDataRejected,
    exception.ConfigurationError,
    nova_exception.ImageNotFound,
    nova_exception.ImageNotAuthorized,
)
#: Nova has ways of its own with these.
_NOVAS_OWN = (
    nova_exception.InstanceNotFound,
    nova_exception.UnexpectedDeletingTaskStateError,
    nova_exception.BuildAbortException,
)


def _for_nova(error: BootFailed, instance: Any) -> Exception:
    cause = error.__cause__
    if isinstance(cause, _NOVAS_OWN):
        return cause
    if error.step == ADDRESSES and isinstance(cause, nova_exception.NovaException):
        return cause
    if isinstance(cause, _HOPELESS):
        return nova_exception.BuildAbortException(
            instance_uuid=instance.uuid, reason=str(error)
        )
    return nova_exception.InstanceDeployFailure(reason=str(error))
