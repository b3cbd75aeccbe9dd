# SPDX-License-Identifier: Apache-2.0
"""A guest's network: a sandbox container that owns the namespace, and what is in it.

The guest joins the sandbox's namespace when it starts and can't start without it. A
sandbox lives from ``connect`` to ``stop``; we never start it twice, for a second start
would be an empty namespace. So one that runs has the interfaces that its label names,
or they were taken away.
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
from nova_multi.privsep import network as privsep
from nova_multi.virt.docker import mapping, tarball
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


def move_in(pid: int, interface: Interface) -> None:
    """Bring an interface into a network and configure it. Repeatable.

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
    )


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
        """Process of a guest's sandbox that runs and has all its interfaces, else 0."""
        name = mapping.sandbox_name(uuid)
        with translated(f"look at sandbox {name}"):
            try:
                found = self._client.api().inspect_container(name)
            except docker_errors.NotFound:
                return 0
        pid = int(found["State"]["Pid"]) if found["State"]["Running"] else 0
        label = found["Config"]["Labels"].get(mapping.LABEL_INTERFACES, "")
        wanted = {each for each in label.split(",") if each}
        return pid if pid and wanted <= interfaces_in(pid) else 0

    def make(
        self, uuid: str, guest: Mapping[str, str], interfaces: Sequence[Interface]
    ) -> None:
        """Make and start the sandbox of a guest with its interfaces inside.

        :param guest: labels of the guest.
        :raises NetworkSetupError: nothing is left of it.
        """
        name = mapping.sandbox_name(uuid)
        config = mapping.sandbox_config(
            uuid,
            guest,
            interfaces,
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
            for interface in interfaces:
                move_in(pid, interface)
        except BaseException:
            self.end(uuid)
            raise

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
