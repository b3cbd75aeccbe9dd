# SPDX-License-Identifier: Apache-2.0
"""LXD as a container engine: see :mod:`nova_multi.virt.engine` for the contract."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator, Mapping, Sequence

from nova_multi import exception
from nova_multi.inspection import roottree
from nova_multi.privsep import files as privsep_files
from nova_multi.virt import etc
from nova_multi.virt.engine import (
    LABEL_HOST,
    LABEL_IMAGE,
    LABEL_UUID,
    ContainerSpec,
    ContainerState,
    EngineInfo,
    GuestState,
    ImageFacts,
    ImageKey,
    Interface,
)
from nova_multi.virt.lxd import host, image, mapping, network, power
from nova_multi.virt.lxd.client import (
    ENGINE,
    NOT_FOUND,
    LXDClient,
    absent_is_fine,
    logged,
)
from nova_multi.virt.lxd.images import Images
from nova_multi.virt.lxd.records import Record, Records

RESOLV = "/etc/resolv.conf"


class LXDEngine:
    """The guests of one Nova host in one project of an LXD daemon.

    :param client: for everything that takes seconds.
    :param transfer: for images, which take minutes.
    :param nova_host: host name of the compute service; marks guests as its own.
    :param pool: storage pool for root file systems.
    :param isolated: an own range of ids for each guest.
    :param console_folder: holds the files to which consoles are written; below Nova's
        instances path.
    :param limits: of images that are imported.
    """

    name = ENGINE

    def __init__(
        self,
        client: LXDClient,
        transfer: LXDClient,
        *,
        nova_host: str,
        project: str,
        pool: str,
        isolated: bool,
        console_folder: str,
        limits: roottree.Limits,
    ) -> None:
        self._client = client
        self._records = Records(client, nova_host)
        self._images = Images(client, transfer, limits)
        self._host = nova_host
        self._project = project
        self._pool = pool
        self._isolated = isolated
        self._console_folder = console_folder
        self._creating = threading.Lock()
        #: What connect wrote last: most networks of a cloud have the same resolvers.
        self._usual_resolver = ""
        #: What it took the place of in guests that are not connected yet.
        self._replaced: dict[str, tuple[str, bytes] | None] = {}
        self._power = power.Power(client, self._records, self.console)

    def info(self) -> EngineInfo:
        """See Engine.

        :raises ConfigurationError: the pool or the project is not there.
        :raises EngineUnavailable: also while the pool is not mounted.
        """
        server = self._client.get()
        pool = self._configured("storage-pools", self._pool)
        if pool.get("status") == mapping.POOL_UNAVAILABLE:
            # After a boot LXD tries again to mount it, each minute.
            raise exception.EngineUnavailable(
                f"LXD has not mounted its storage pool {self._pool!r} yet",
                engine=ENGINE,
            )
        self._configured("projects", self._project)
        resources = self._client.get("storage-pools", self._pool, "resources")
        return host.engine_info(
            self.name,
            server,
            pool,
            resources["space"],
            project=self._project,
            isolated=self._isolated,
        )

    def _configured(self, kind: str, name: str) -> Record:
        try:
            return dict(self._client.get(kind, name))
        except exception.EngineError as error:
            if error.status != NOT_FOUND:
                raise
            raise exception.ConfigurationError(
                f"LXD has no {name!r} among its {kind} (options project and pool in"
                " [lxd])"
            ) from error

    @functools.cached_property
    def _storage(self) -> str:
        """Driver of the storage pool, which stays what it is."""
        return str(self._configured("storage-pools", self._pool)["driver"])

    # -- images ---------------------------------------------------------------

    def image(self, key: ImageKey) -> ImageFacts:
        """See Engine."""
        return image.facts_of(self._images.record(key))

    def import_image(self, key: ImageKey, path: str) -> ImageFacts:
        """See Engine."""
        return self._images.add(key, path)

    def images(self) -> Sequence[ImageKey]:
        """See Engine."""
        return self._images.keys()

    def remove_image(self, key: ImageKey) -> None:
        """See Engine."""
        for record in self._records.all():
            if mapping.label(record, LABEL_IMAGE) == key.image_id:
                raise exception.EngineConflict(
                    f"image {key} is used by {record['name']}", engine=ENGINE
                )
        self._images.remove(key)

    def export(self, uuid: str, path: str) -> Mapping[str, str]:
        """See Engine: a unified tarball, made of a snapshot of the root."""
        record = self._records.get(uuid)
        name = record["name"]
        runs = mapping.container_state(record).state is GuestState.RUNNING
        freeze = runs and self._storage not in host.ATOMIC_POOLS
        around = self._power.frozen(name) if freeze else contextlib.nullcontext()
        self._images.export(name, path, around)
        return image.EXPORT_FIELDS

    # -- guests ---------------------------------------------------------------

    def guests(self) -> Sequence[ContainerState]:
        """See Engine: one request."""
        return [mapping.container_state(record) for record in self._records.all()]

    def owners(self) -> frozenset[str]:
        """See Engine: guests, and folders of consoles."""
        consoles: list[str] = []
        with contextlib.suppress(FileNotFoundError):
            consoles = os.listdir(self._console_folder)
        guests = {mapping.label(each, LABEL_UUID) for each in self._records.all()}
        return frozenset(guests | set(consoles))

    def guest(self, uuid: str) -> ContainerState:
        """See Engine."""
        return mapping.container_state(self._records.get(uuid))

    def create(self, spec: ContainerSpec) -> None:
        """See Engine."""
        if spec.labels.get(LABEL_HOST, self._host) != self._host:
            raise exception.EngineError(
                f"guest {spec.uuid} is marked for {spec.labels[LABEL_HOST]}, not for"
                f" {self._host}",
                engine=ENGINE,
            )
        source = self._images.seen(spec.image)
        _check_command(spec, image.facts_of(source))
        request = mapping.instance_request(
            spec,
            fingerprint=source["fingerprint"],
            pool=self._pool,
            console_log=self._console_log(spec.uuid),
            disk_limits=self._storage in host.LIMITING_POOLS,
            isolated=self._isolated,
        )
        request["config"] |= {
            mapping.USER + LABEL_UUID: spec.uuid,
            mapping.USER + LABEL_HOST: self._host,
        }
        resolver = self._usual_resolver
        if resolver:
            request["config"][mapping.RESOLVER] = resolver
        # Two at a time make LXD 5.0 choose an id range outside of what /etc/subuid
        # allows: it takes the one whose range is not yet noted for one at 0.
        with self._creating:
            if self._records.is_taken(spec.name):
                raise exception.GuestExists(
                    f"LXD has an instance {spec.name} already", engine=ENGINE
                )
            with self._undone(spec):
                self._make_console_folder(spec.uuid)
                self._client.change("post", "instances", json=request)
        with self._undone(spec):
            self._write_identity(spec)
            if resolver:
                # Files in a guest take long; here they do while Neutron makes ports.
                self._replaced[spec.uuid] = self._client.read_file(spec.name, RESOLV)
                self._replace_resolver(spec.name, resolver)

    @contextlib.contextmanager
    def _undone(self, spec: ContainerSpec) -> Iterator[None]:
        """Leave nothing of a guest that can't be made."""
        self._records.note(spec.uuid, spec.name)
        try:
            yield
        except exception.NovaMultiError:
            with logged("remove a half-made guest"):
                self.remove(spec.uuid)
            raise

    def _write_identity(self, spec: ContainerSpec) -> None:
        """Files that images expect from their host, and which LXD's templates made."""
        write = functools.partial(self._client.write_file, spec.name)
        write("/etc/hostname", f"{spec.hostname}\n", 0o644)
        write("/etc/hosts", etc.hosts(spec.hostname), 0o644)
        words = mapping.command(spec)
        if mapping.needs_command_file(words):
            with contextlib.suppress(exception.EngineConflict):
                self._client.make_folder(spec.name, mapping.COMMAND_FOLDER)
            write(mapping.COMMAND_FILE, mapping.command_file(words), 0o755)

    def remove(self, uuid: str) -> None:
        """See Engine."""
        with contextlib.suppress(exception.GuestNotFound):
            name = self._records.get(uuid)["name"]
            self._power.kill(uuid)
            with absent_is_fine():
                self._power.after_its_end(
                    uuid, lambda: self._client.change("delete", "instances", name)
                )
        self._records.forget(uuid)
        self._replaced.pop(uuid, None)
        privsep_files.remove_tree(os.path.dirname(self._console_log(uuid)))

    # -- network --------------------------------------------------------------

    def prepare(self, uuid: str) -> None:
        """See Engine: there is nothing that LXD could do before its start."""
        self._records.get(uuid)

    def connect(self, uuid: str, interfaces: Sequence[Interface]) -> None:
        """See Engine."""
        network.check_present(interfaces)
        content = etc.resolver(interfaces)

        def give(record: Record) -> Record:
            same = mapping.interfaces_of(record) == tuple(interfaces)
            if mapping.container_state(record).state in power.ALIVE and not same:
                raise exception.EngineConflict(
                    f"{record['name']} runs: its network can't be replaced",
                    engine=ENGINE,
                )
            noted = self._write_resolver(uuid, record, content)
            given = network.with_interfaces(record, interfaces)
            kept = {k: v for k, v in given["config"].items() if k != mapping.RESOLVER}
            return given | {"config": kept | noted}

        self._records.update(uuid, give)
        self._usual_resolver = content
        self._replaced.pop(uuid, None)

    def _write_resolver(
        self, uuid: str, record: Record, content: str
    ) -> dict[str, str]:
        """Write ``/etc/resolv.conf`` when it should change: the guest may edit it.

        :returns: what is to be noted of it in the guest's configuration.
        """
        noted = record["config"].get(mapping.RESOLVER, "")
        if not content and mapping.INTERFACES in record["config"]:
            content = noted
        if content != noted:
            self._replace_resolver(record["name"], content)
            if not content:
                self._put_back(record["name"], self._replaced.get(uuid))
        return {mapping.RESOLVER: content} if content else {}

    def _replace_resolver(self, name: str, content: str) -> None:
        # Often a link into /run, which is empty while the guest does not run.
        self._client.delete_file(name, RESOLV)
        if content:
            self._client.write_file(name, RESOLV, content, 0o644)

    def _put_back(self, name: str, own: tuple[str, bytes] | None) -> None:
        """Give a guest whose networks have no resolver the one of its image."""
        if own is None:
            return
        kind, content = own
        if kind == "symlink":
            self._client.make_link(name, RESOLV, content.decode())
        elif kind == "file":
            text = content.decode(errors="replace")
            self._client.write_file(name, RESOLV, text, 0o644)

    def attach(self, uuid: str, interface: Interface) -> None:
        """See Engine."""

        def add(record: Record) -> Record:
            return network.with_interface(record, interface)

        record = self._records.update(uuid, add)
        if mapping.container_state(record).state not in power.ALIVE:
            return
        try:
            pid = self._client.get("instances", record["name"], "state")["pid"]
            network.configure(f"/proc/{pid}/ns/net", interface)
        except exception.NovaMultiError:
            with logged("take a half-attached interface away"):
                self.detach(uuid, interface)
            raise

    def detach(self, uuid: str, interface: Interface) -> None:
        """See Engine."""

        def take(record: Record) -> Record:
            return network.without_interface(record, interface)

        record = self._records.get(uuid)
        if self._is_lost(record, interface):
            # LXD brings the interface back to the host, and fails from then on when
            # the guest itself has deleted it: give LXD one to bring back.
            network.replace(interface)
        self._records.update(uuid, take)

    def _is_lost(self, record: Record, interface: Interface) -> bool:
        """Whether a running guest should have an interface that is nowhere."""
        ports = [each.port_id for each in mapping.interfaces_of(record)]
        alive = mapping.container_state(record).state in power.ALIVE
        if not alive or interface.port_id not in ports:
            return False
        inside = self._client.get("instances", record["name"], "state")["network"]
        return interface.name not in inside and not network.is_present(interface)

    # -- power ----------------------------------------------------------------

    def start(self, uuid: str) -> None:
        """See Engine."""
        self._power.start(uuid)

    def stop(self, uuid: str, timeout: int) -> None:
        """See Engine."""
        self._power.stop(uuid, timeout)

    def restart(self, uuid: str, timeout: int) -> None:
        """See Engine."""
        self._power.restart(uuid, timeout)

    def pause(self, uuid: str) -> None:
        """See Engine."""
        self._power.pause(uuid)

    def unpause(self, uuid: str) -> None:
        """See Engine."""
        self._power.unpause(uuid)

    # -- console --------------------------------------------------------------

    def console(self, uuid: str, limit: int) -> bytes:
        """See Engine."""
        self._records.get(uuid)
        log = self._console_log(uuid)
        return bytes(privsep_files.read_end([log + mapping.ROTATED, log], limit))

    def _console_log(self, uuid: str) -> str:
        return os.path.join(self._console_folder, uuid, "console.log")

    def _make_console_folder(self, uuid: str) -> None:
        os.makedirs(self._console_folder, 0o700, exist_ok=True)
        os.makedirs(os.path.dirname(self._console_log(uuid)), 0o700, exist_ok=True)


def _check_command(spec: ContainerSpec, facts: ImageFacts) -> None:
    """Refuse early what could only fail at the start.

    :raises ImageRejected: the image can't run the command, or has none.
    """
    if mapping.needs_command_file(mapping.command(spec)) and not facts.shell:
        raise exception.ImageRejected(
            "the command has blanks or special characters in its words, which takes a"
            " /bin/sh in an LXD image, and this image has none"
        )
    if not facts.command and not spec.command:
        raise exception.ImageRejected(
            f"the image has no {mapping.INIT} and names no other command (property"
            " os_command_line)"
        )
