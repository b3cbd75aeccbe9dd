# SPDX-License-Identifier: Apache-2.0
"""A guest's network: a sandbox container that owns the namespace, and what is in it.

The guest joins the sandbox's namespace when it starts and can't start without it. A
sandbox lives from ``prepare`` or ``connect`` to ``stop``; we never start it twice, for
a second start would be an empty namespace. A namespace that was connected says so
itself, by a mark that names its interfaces: it is whole as long as it has them.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from docker import errors as docker_errors
from oslo_log import log as logging

from nova_multi import exception
from nova_multi.inspection import tarball
from nova_multi.privsep import network as privsep
from nova_multi.virt import etc
from nova_multi.virt.docker import mapping
from nova_multi.virt.docker.client import Client, translated
from nova_multi.virt.engine import Interface

LOG = logging.getLogger(__name__)

_BINARY = "nova-multi-pause"
#: Made and removed to see what the daemon takes.
_PROBE = "nova-multi-probe"


def namespace(pid: int) -> str:
    """Path of a process's network namespace."""
    return f"/proc/{pid}/ns/net"


def interfaces_in(pid: int) -> set[str]:
    """Names of the interfaces in a process's network; none if it is gone."""
    try:
        with open(f"/proc/{pid}/net/dev", encoding="utf-8") as table:
            lines = table.readlines()[2:]
    except OSError:
        return set()
    return {line.partition(":")[0].strip() for line in lines} - {"lo"}


def move_in(pid: int, interface: Interface, mark: str = "") -> None:
    """Bring an interface into a network and configure it. Repeatable.

    :param mark: what the network is to say of itself from then on.
    :raises NetworkSetupError:
    """
    privsep.move_to_namespace(
        interface.inner,
        namespace(pid),
        interface.name,
        interface.mtu,
        interface.addresses,
        interface.gateways,
        [(route.destination, route.gateway) for route in interface.routes],
        mark,
    )


def _marked(pid: int) -> set[str] | None:
    """Names of the interfaces that a network was connected with; None: it was not."""
    mark = privsep.mark(namespace(pid))
    if not mark.startswith(mapping.MARK):
        return None
    return {each for each in mark.removeprefix(mapping.MARK).split(",") if each}


def _mark_of(names: set[str]) -> str:
    return mapping.MARK + ",".join(sorted(names))


def _mark(pid: int, names: set[str]) -> None:
    privsep.set_mark(namespace(pid), _mark_of(names))


class Sandboxes:
    """Makes and ends the sandboxes of one daemon.

    :param binary: static program that sleeps when it is given ``-P``.
    """

    def __init__(self, client: Client, binary: str) -> None:
        self._client = client
        self._binary = binary
        self._image: str | None = None
        self._lock = threading.Lock()

    def pid(self, sandbox: str) -> int:
        """Process of a running sandbox, 0 if it doesn't run.

        :param sandbox: its name or id.
        """
        with translated(f"look at sandbox {sandbox}"):
            try:
                state = self._client.api().inspect_container(sandbox)["State"]
            except docker_errors.NotFound:
                return 0
        return int(state["Pid"]) if state["Running"] else 0

    def intact(self, uuid: str) -> int:
        """Process of a guest's sandbox that is connected and lost nothing, else 0."""
        pid = self.pid(mapping.sandbox_name(uuid))
        names = _marked(pid) if pid else None
        return pid if names is not None and names <= interfaces_in(pid) else 0

    def make(self, uuid: str, guest: Mapping[str, str]) -> int:
        """Make and start the sandbox of a guest, which has no interfaces yet.

        :param guest: labels of the guest.
        :returns: its process.
        :raises NetworkSetupError: nothing is left of it.
        """
        name = mapping.sandbox_name(uuid)
        config = mapping.sandbox_config(
            uuid,
            guest,
            image=self._ensure_image(),
            ipv6=os.path.exists("/proc/sys/net/ipv6"),
        )
        try:
            with translated(f"make sandbox {name}"):
                api = self._client.api()
                try:
                    api.create_container_from_config(config, name)
                except docker_errors.ImageNotFound:
                    # Somebody pruned the daemon's images.
                    config["Image"] = self._ensure_image(again=True)
                    api.create_container_from_config(config, name)
                api.start(name)
            pid = self.pid(name)
            if not pid:
                raise exception.NetworkSetupError(f"sandbox {name} ended at once")
        except BaseException:
            self.end(uuid)
            raise
        return pid

    def connect(
        self, uuid: str, guest: Mapping[str, str], interfaces: Sequence[Interface]
    ) -> None:
        """Give the guest's sandbox these interfaces and no others; make it if need be.

        :param guest: labels of the guest.
        :raises NetworkSetupError: no sandbox is left.
        """
        pid = self.pid(mapping.sandbox_name(uuid))
        names = [each.name for each in interfaces]
        # Kernels with tunnel modules put their devices into every new namespace.
        ours = {name for name in interfaces_in(pid) if name.startswith("eth")}
        if not pid or ours - set(names):
            self.end(uuid)
            pid = self.make(uuid, guest)
        hostname = guest.get(mapping.LABEL_HOSTNAME, "")
        try:
            # The guest's files of these names are the sandbox's.
            privsep.write_etc(pid, "hosts", etc.hosts(hostname, interfaces))
            privsep.write_etc(pid, "resolv.conf", etc.resolver(interfaces))
            mark = _mark_of(set(names))
            for number, interface in enumerate(interfaces, start=1):
                move_in(pid, interface, mark if number == len(interfaces) else "")
            if not interfaces:
                privsep.set_mark(namespace(pid), mark)
        except BaseException:
            self.end(uuid)
            raise

    def add(self, uuid: str, interface: Interface) -> None:
        """Give an interface to a guest's network, where there is one.

        Without a sandbox the guest doesn't run: connect comes before its start.

        :raises NetworkSetupError:
        """
        if pid := self.pid(mapping.sandbox_name(uuid)):
            move_in(pid, interface)
            if (names := _marked(pid)) is not None:
                _mark(pid, names | {interface.name})

    def take(self, uuid: str, interface: Interface) -> None:
        """Undo ``add``.

        :raises NetworkSetupError:
        """
        if pid := self.pid(mapping.sandbox_name(uuid)):
            privsep.delete_in_namespace(namespace(pid), interface.name)
            if (names := _marked(pid)) is not None:
                _mark(pid, names - {interface.name})

    def end(self, uuid: str) -> None:
        """Take a guest's network away; absent is fine.

        The interfaces are deleted first: with the namespace alone, the kernel would
        take the host's ends away some time later, under a new start's feet.
        """
        name = mapping.sandbox_name(uuid)
        pid = self.pid(name)
        for interface in interfaces_in(pid) if pid else ():
            try:
                privsep.delete_in_namespace(namespace(pid), interface)
            except exception.NetworkSetupError as error:
                LOG.debug("Interface %s of %s: %s", interface, name, error)
        with translated(f"remove sandbox {name}"):
            self._remove(name)

    def takes_size(self) -> bool:
        """Whether the daemon makes a container with a limit of its disk."""
        config = {
            "Image": self._ensure_image(),
            "HostConfig": {"NetworkMode": "none", "StorageOpt": {"size": "1G"}},
        }
        with translated("try whether guests' disks can be limited"):
            api = self._client.api()
            self._remove(_PROBE)  # a killed service may have left it
            try:
                api.create_container_from_config(config, _PROBE)
            except docker_errors.APIError as error:
                LOG.info("Guests' disks can't be limited: %s", error.explanation)
                return False
            self._remove(_PROBE)
        return True

    def _remove(self, name: str) -> None:
        try:
            self._client.api().remove_container(name, force=True)
        except docker_errors.NotFound:
            LOG.debug("Container %s is gone already", name)

    def _ensure_image(self, *, again: bool = False) -> str:
        """Name of the sandbox's image, imported on first use."""
        with self._lock:
            if self._image is None or again:
                self._image = self._import_image()
            return self._image

    def _import_image(self) -> str:
        try:
            with open(self._binary, "rb") as source:
                content = source.read()
        except OSError as error:
            raise exception.ConfigurationError(
                f"[docker] pause_binary: {error}"
            ) from error
        name = (
            f"{mapping.SANDBOX_REPOSITORY}:{hashlib.sha256(content).hexdigest()[:16]}"
        )
        with translated("import the image of sandboxes"):
            try:
                self._client.api().inspect_image(name)
            except docker_errors.NotFound:
                self._client.load(
                    tarball.single_program(name, _BINARY, content, ("-P",))
                )
        return name


def sandbox_runs(listed: Mapping[str, Any] | None) -> bool:
    """Whether a sandbox, as ``GET /containers/json`` lists it, runs."""
    return listed is not None and listed["State"] == "running"
