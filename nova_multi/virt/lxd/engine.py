# SPDX-License-Identifier: Apache-2.0
"""LXD as a container engine: see :mod:`nova_multi.virt.engine` for the contract."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid as uuid_module
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oslo_log import log as logging

from nova_multi import exception
from nova_multi.privsep import files as privsep_files
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
from nova_multi.virt.lxd import archive, host, image, mapping, network
from nova_multi.virt.lxd.client import ENGINE, LXDClient

LOG = logging.getLogger(__name__)

NOT_FOUND = 404
PRECONDITION_FAILED = 412
#: Seconds after which a guest that was started is looked at: does it still run?
SETTLE = 0.2
#: Seconds that LXD may take to clean up behind a guest that ended by itself.
CLEANUP_TIME = 10
#: Errors of liblxc that go into the message about a guest that did not start.
LOG_LINES = 4
#: Bytes of the console that go into the message about a guest that ended at once.
LAST_WORDS = 1000
#: How often a change is repeated that lost against another change of the same guest.
ATTEMPTS = 5

_WRITABLE = ("architecture", "config", "devices", "ephemeral", "profiles", "description")

Record = dict[str, Any]


class LXDEngine:
    """The guests of one Nova host in one project of an LXD daemon.

    :param client: for everything that takes seconds.
    :param transfer_client: for images, which take minutes.
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
        transfer_client: LXDClient,
        *,
        nova_host: str,
        project: str,
        pool: str,
        isolated: bool,
        console_folder: str,
        limits: archive.Limits,
    ) -> None:
        self._client = client
        self._transfer = transfer_client
        self._host = nova_host
        self._project = project
        self._pool = pool
        self._isolated = isolated
        self._console_folder = console_folder
        self._limits = limits
        self._creating = threading.Lock()
        #: Where a guest was last found; verified at each use.
        self._names: dict[str, str] = {}

    def info(self) -> EngineInfo:
        """See Engine.

        :raises ConfigurationError: the pool or the project is not there.
        """
        server = self._client.get()
        pool = self._configured("storage-pools", self._pool)
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

    # -- images ---------------------------------------------------------------

    def image(self, key: ImageKey) -> ImageFacts:
        """See Engine."""
        return image.facts_of(self._image(key))

    def _image(self, key: ImageKey) -> Record:
        try:
            target = self._client.get("images", "aliases", mapping.alias(key))["target"]
            record = dict(self._client.get("images", target))
        except exception.EngineError as error:
            if error.status != NOT_FOUND:
                raise
            raise exception.EngineImageNotFound(
                f"LXD does not hold image {key}", engine=ENGINE, status=NOT_FOUND
            ) from error
        if image.key_of(record) != key:
            raise exception.EngineImageNotFound(
                f"LXD's image {mapping.alias(key)} is not ours", engine=ENGINE
            )
        return record

    def import_image(self, key: ImageKey, path: str) -> ImageFacts:
        """See Engine."""
        with contextlib.suppress(exception.EngineImageNotFound):
            return self.image(key)
        with image.prepared(path, key, self._limits) as (metadata, rootfs, facts):
            fingerprint = self._transfer.upload_image(metadata, rootfs)
        try:
            self._client.change(
                "post",
                "images",
                "aliases",
                json={"name": mapping.alias(key), "target": fingerprint},
            )
        except exception.EngineConflict:
            # Somebody else was faster with the same image: theirs is as good.
            self._transfer.change("delete", "images", fingerprint)
            return self.image(key)
        except exception.EngineError:
            with contextlib.suppress(exception.EngineError):
                self._transfer.change("delete", "images", fingerprint)
            raise
        return facts

    def images(self) -> Sequence[ImageKey]:
        """See Engine."""
        records = self._client.get("images", params={"recursion": "1"})
        keys = (image.key_of(record) for record in records)
        return list(dict.fromkeys(key for key in keys if key))

    def remove_image(self, key: ImageKey) -> None:
        """See Engine."""
        for record in self._ours():
            if mapping.label(record, LABEL_IMAGE) == key.image_id:
                raise exception.EngineConflict(
                    f"image {key} is used by {record['name']}", engine=ENGINE
                )
        for record in self._client.get("images", params={"recursion": "1"}):
            if image.key_of(record) == key:
                with _absent_is_fine():
                    self._transfer.change("delete", "images", record["fingerprint"])

    def export(self, uuid: str, path: str) -> Mapping[str, str]:
        """See Engine: a unified tarball, made of a snapshot of the root."""
        record = self._record(uuid)
        name = record["name"]
        snapshot = f"nova-multi-{uuid_module.uuid4()}"
        storage = self._client.get("storage-pools", self._pool)["driver"]
        running = mapping.container_state(record).state is GuestState.RUNNING
        freeze = running and storage not in host.ATOMIC_POOLS
        try:
            with self._frozen(name) if freeze else contextlib.nullcontext():
                self._transfer.change(
                    "post", "instances", name, "snapshots", json={"name": snapshot}
                )
            self._publish(f"{name}/{snapshot}", path)
        finally:
            with _logged("remove the snapshot of an export"), _absent_is_fine():
                self._transfer.change(
                    "delete", "instances", name, "snapshots", snapshot
                )
        return image.EXPORT_FIELDS

    @contextlib.contextmanager
    def _frozen(self, name: str) -> Any:
        self._set_state(name, "freeze")
        try:
            yield
        finally:
            self._set_state(name, "unfreeze")

    def _publish(self, source: str, path: str) -> None:
        published = self._transfer.change(
            "post",
            "images",
            json={
                "source": {"type": "snapshot", "name": source},
                "compression_algorithm": image.EXPORT_COMPRESSION,
            },
        )
        fingerprint = published["fingerprint"]
        try:
            self._transfer.download_image(fingerprint, path)
        finally:
            with _logged("remove the image of an export"), _absent_is_fine():
                self._transfer.change("delete", "images", fingerprint)

    # -- guests ---------------------------------------------------------------

    def guests(self) -> Sequence[ContainerState]:
        """See Engine: one request."""
        return [mapping.container_state(record) for record in self._ours()]

    def guest(self, uuid: str) -> ContainerState:
        """See Engine."""
        return mapping.container_state(self._record(uuid))

    def _ours(self) -> list[Record]:
        records = self._client.get("instances", params={"recursion": "1"})
        ours = [record for record in records if mapping.is_ours(record, self._host)]
        for record in ours:
            self._names[mapping.label(record, LABEL_UUID)] = record["name"]
        return ours

    def _record(self, uuid: str) -> Record:
        return self._tagged_record(uuid)[0]

    def _tagged_record(self, uuid: str) -> tuple[Record, str]:
        if uuid not in self._names:
            self._ours()
        # A name that is no longer right means that the guest was renamed or remade.
        for _ in range(2):
            name = self._names.get(uuid)
            if name is None:
                break
            try:
                record, etag = self._client.get_tagged("instances", name)
                if self._is(record, uuid):
                    return record, etag
            except exception.EngineError as error:
                if error.status != NOT_FOUND:
                    raise
            self._names.pop(uuid, None)
            self._ours()
        raise exception.GuestNotFound(
            f"LXD has no guest {uuid} of {self._host}", engine=ENGINE, status=NOT_FOUND
        )

    def _is(self, record: Record, uuid: str) -> bool:
        ours = mapping.is_ours(record, self._host)
        return ours and mapping.label(record, LABEL_UUID) == uuid

    def create(self, spec: ContainerSpec) -> None:
        """See Engine."""
        if spec.labels.get(LABEL_HOST, self._host) != self._host:
            raise exception.EngineError(
                f"guest {spec.uuid} is marked for {spec.labels[LABEL_HOST]}, not for"
                f" {self._host}",
                engine=ENGINE,
            )
        with contextlib.suppress(exception.GuestNotFound):
            existing = self._record(spec.uuid)
            raise exception.GuestExists(
                f"LXD has guest {spec.uuid} already, as {existing['name']}",
                engine=ENGINE,
            )
        source = self._image(spec.image)
        request = mapping.instance_request(
            spec,
            fingerprint=source["fingerprint"],
            pool=self._pool,
            console_log=self._console_log(spec.uuid),
            disk_limits=self.info().disk_limits,
            isolated=self._isolated,
        )
        request["config"] |= {
            mapping.USER + LABEL_UUID: spec.uuid,
            mapping.USER + LABEL_HOST: self._host,
        }
        self._check_command(spec, image.facts_of(source))
        os.makedirs(os.path.dirname(self._console_log(spec.uuid)), 0o700, exist_ok=True)
        with self._conflict_is_existing(spec), self._creating:
            # Two at a time make LXD 5.0 choose an id range outside of what /etc/subuid
            # allows: it takes the one whose range is not yet noted for one at 0.
            self._client.change("post", "instances", json=request)
        self._names[spec.uuid] = spec.name
        try:
            self._write_identity(spec)
        except exception.EngineError:
            with _logged("remove a guest that could not be completed"):
                self.remove(spec.uuid)
            raise

    def _check_command(self, spec: ContainerSpec, facts: ImageFacts) -> None:
        if mapping.needs_command_file(mapping.command(spec)) and not facts.shell:
            raise exception.ImageRejected(
                "the command has blanks or special characters in its words, which takes"
                " a /bin/sh in an LXD image, and this image has none"
            )
        if not facts.command and not spec.command:
            raise exception.ImageRejected(
                f"the image has no {mapping.INIT} and names no other command"
                " (property os_command_line)"
            )

    @contextlib.contextmanager
    def _conflict_is_existing(self, spec: ContainerSpec) -> Any:
        try:
            yield
        except exception.EngineError as error:
            if self._instance_exists(spec.name, spec.uuid):
                # Ours half-made, after a time limit: nothing may stay behind.
                with _logged("remove a half-made guest"):
                    self.remove(spec.uuid)
            elif isinstance(error, exception.EngineConflict) or self._taken(spec.name):
                raise exception.GuestExists(
                    f"LXD has an instance {spec.name} already", engine=ENGINE
                ) from error
            raise

    def _instance_exists(self, name: str, uuid: str) -> bool:
        try:
            return self._is(self._client.get("instances", name), uuid)
        except exception.EngineError:
            return False

    def _taken(self, name: str) -> bool:
        with contextlib.suppress(exception.EngineError):
            return bool(self._client.get("instances", name))
        return False

    def _write_identity(self, spec: ContainerSpec) -> None:
        """Files that images expect from their host, and which LXD's templates made."""
        self._client.write_file(spec.name, "/etc/hostname", f"{spec.hostname}\n", 0o644)
        self._client.write_file(
            spec.name, "/etc/hosts", mapping.hosts(spec.hostname), 0o644
        )
        words = mapping.command(spec)
        if mapping.needs_command_file(words):
            with contextlib.suppress(exception.EngineConflict):
                self._client.make_folder(spec.name, mapping.COMMAND_FOLDER)
            self._client.write_file(
                spec.name, mapping.COMMAND_FILE, mapping.command_file(words), 0o755
            )

    def remove(self, uuid: str) -> None:
        """See Engine."""
        try:
            record = self._record(uuid)
        except exception.GuestNotFound:
            return
        if mapping.container_state(record).state is not GuestState.STOPPED:
            self._kill(uuid, record["name"])
        with _absent_is_fine(), contextlib.suppress(exception.GuestNotFound):
            self._after_its_end(
                uuid,
                lambda: self._client.change("delete", "instances", record["name"]),
            )
        self._names.pop(uuid, None)
        privsep_files.remove_tree(os.path.dirname(self._console_log(uuid)))

    # -- network --------------------------------------------------------------

    def connect(self, uuid: str, interfaces: Sequence[Interface]) -> None:
        """See Engine."""
        network.check_present(interfaces)

        def give(record: Record) -> Record:
            state = mapping.container_state(record).state
            same = mapping.interfaces_of(record) == tuple(interfaces)
            if state in (GuestState.RUNNING, GuestState.PAUSED) and not same:
                raise exception.EngineConflict(
                    f"{record['name']} runs: its network can't be replaced",
                    engine=ENGINE,
                )
            return network.with_interfaces(record, interfaces)

        record = self._update(uuid, give)
        self._write_resolver(uuid, record, interfaces)

    def _write_resolver(
        self, uuid: str, record: Record, interfaces: Sequence[Interface]
    ) -> None:
        """Write ``/etc/resolv.conf`` when it should change: the guest may edit it."""
        content = mapping.resolver(interfaces)
        if not content or record["config"].get(mapping.RESOLVER) == content:
            return
        # Often a link into /run, which is empty while the guest does not run.
        self._client.delete_file(record["name"], "/etc/resolv.conf")
        self._client.write_file(record["name"], "/etc/resolv.conf", content, 0o644)

        def note(fresh: Record) -> Record:
            return fresh | {"config": fresh["config"] | {mapping.RESOLVER: content}}

        self._update(uuid, note)

    def attach(self, uuid: str, interface: Interface) -> None:
        """See Engine."""

        def add(record: Record) -> Record:
            return network.with_interface(record, interface)

        record = self._update(uuid, add)
        if mapping.container_state(record).state in (
            GuestState.RUNNING,
            GuestState.PAUSED,
        ):
            try:
                network.configure(self._namespace(record["name"]), interface)
            except exception.NetworkSetupError:
                with _logged("take a half-attached interface away"):
                    self.detach(uuid, interface)
                raise

    def detach(self, uuid: str, interface: Interface) -> None:
        """See Engine."""

        def take(record: Record) -> Record:
            return network.without_interface(record, interface)

        try:
            self._update(uuid, take)
        except exception.EngineConflict:
            raise
        except exception.EngineError:
            # LXD brings the interface back to the host, and fails for ever when the
            # guest itself has deleted it: give LXD one to bring back.
            if network.is_present(interface):
                raise
            network.replace(interface)
            self._update(uuid, take)

    def _namespace(self, name: str) -> str:
        pid = self._client.get("instances", name, "state")["pid"]
        return f"/proc/{pid}/ns/net"

    def _update(self, uuid: str, change: Callable[[Record], Record]) -> Record:
        """Alter a guest's configuration; repeated if another change came in between.

        :returns: the record, as changed.
        """
        for attempt in range(ATTEMPTS):
            record, etag = self._tagged_record(uuid)
            wanted = change(record)
            if wanted == record:
                return record
            try:
                self._client.change(
                    "put",
                    "instances",
                    record["name"],
                    json={field: wanted[field] for field in _WRITABLE},
                    etag=etag,
                )
                return wanted
            except exception.EngineError as error:
                if error.status != PRECONDITION_FAILED or attempt + 1 == ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    # -- power ----------------------------------------------------------------

    def start(self, uuid: str) -> None:
        """See Engine."""
        record = self._record(uuid)
        name = record["name"]
        state = mapping.container_state(record).state
        if state is GuestState.RUNNING:
            return
        if state is GuestState.PAUSED:
            raise exception.EngineConflict(f"{name} is paused", engine=ENGINE)
        if mapping.INTERFACES not in record["config"]:
            raise exception.NetworkSetupError(
                f"{name} was not connected: it must not start without its network"
            )
        uid, gid = mapping.root_ids(record)
        for folder in mapping.mounted_folders(record):
            privsep_files.chown_tree(folder, uid, gid)
        try:
            self._after_its_end(uuid, lambda: self._set_state(name, "start"))
        except exception.EngineUnavailable:
            raise
        except exception.EngineError as error:
            raise exception.EngineError(
                f"{error}{self._liblxc_says(name)}", engine=ENGINE, status=error.status
            ) from error
        time.sleep(SETTLE)
        now = self.guest(uuid)
        if now.state not in (GuestState.RUNNING, GuestState.CHANGING):
            words = self.console(uuid, LAST_WORDS).decode(errors="replace").strip()
            raise exception.EngineError(
                f"{name} ended right after its start ({now.detail}); its console says:"
                f" {words or 'nothing'}",
                engine=ENGINE,
            )

    def _after_its_end(self, uuid: str, request: Callable[[], Any]) -> None:
        """Make a request to a guest that may just be ending by itself.

        Until LXD has cleaned up behind such a guest, it refuses everything. It tells that
        it has by noting the new power state.
        """
        try:
            request()
            return
        except (exception.EngineUnavailable, exception.EngineTimeout):
            raise
        except exception.EngineError:
            if mapping.has_settled(self._record(uuid)):
                raise
        deadline = time.monotonic() + CLEANUP_TIME
        while time.monotonic() < deadline:
            time.sleep(SETTLE)
            if mapping.has_settled(self._record(uuid)):
                break
        request()

    def _liblxc_says(self, name: str) -> str:
        """End of liblxc's log of a guest, for messages: LXD often says a status only."""
        try:
            log = self._client.read("instances", name, "logs", "lxc.log")
        except exception.EngineError:
            return ""
        errors = [line for line in log.decode(errors="replace").splitlines()
                  if " ERROR " in line]
        return f"; liblxc: {' | '.join(errors[-LOG_LINES:])}" if errors else ""

    def stop(self, uuid: str, timeout: int) -> None:
        """See Engine."""
        state = self.guest(uuid).state
        name = self._names[uuid]
        if state in (GuestState.STOPPED, GuestState.CRASHED):
            return
        if timeout > 0:
            if state is GuestState.PAUSED:
                self._set_state(name, "unfreeze")
            try:
                self._set_state(name, "stop", timeout=timeout, force=False)
            except (exception.EngineUnavailable, exception.EngineConflict):
                raise
            except exception.EngineError as error:
                LOG.info("%s does not end by itself: %s", name, error)
        self._kill(uuid, name)

    def _kill(self, uuid: str, name: str) -> None:
        """End a guest at once; one that has ended already is fine."""
        stopped = (GuestState.STOPPED, GuestState.CRASHED)
        try:
            state = self.guest(uuid).state
            if state in stopped:
                return
            self._set_state(name, "stop", force=True)
        except exception.GuestNotFound:
            return
        except (exception.EngineUnavailable, exception.EngineTimeout):
            raise
        except exception.EngineError:
            # It may have ended in between, which LXD takes as an error.
            if self.guest(uuid).state not in stopped:
                raise

    def restart(self, uuid: str, timeout: int) -> None:
        """See Engine."""
        if self.guest(uuid).state not in (GuestState.RUNNING, GuestState.PAUSED):
            raise exception.EngineConflict(
                f"{self._names[uuid]} does not run: its network may be gone",
                engine=ENGINE,
            )
        self.stop(uuid, timeout)
        interfaces = mapping.interfaces_of(self._record(uuid))
        if missing := [each.inner for each in interfaces if not network.is_present(each)]:
            raise exception.EngineConflict(
                f"interfaces of {self._names[uuid]} are gone: {', '.join(missing)}",
                engine=ENGINE,
            )
        self.start(uuid)

    def pause(self, uuid: str) -> None:
        """See Engine."""
        state = self.guest(uuid).state
        if state is GuestState.PAUSED:
            return
        if state is not GuestState.RUNNING:
            raise exception.EngineConflict(
                f"{self._names[uuid]} does not run: it can't be paused", engine=ENGINE
            )
        self._set_state(self._names[uuid], "freeze")

    def unpause(self, uuid: str) -> None:
        """See Engine."""
        state = self.guest(uuid).state
        if state is GuestState.RUNNING:
            return
        if state is not GuestState.PAUSED:
            raise exception.EngineConflict(
                f"{self._names[uuid]} is not paused", engine=ENGINE
            )
        self._set_state(self._names[uuid], "unfreeze")

    def _set_state(
        self, name: str, action: str, *, timeout: int = -1, force: bool = False
    ) -> None:
        self._client.change(
            "put",
            "instances",
            name,
            "state",
            json={"action": action, "timeout": timeout, "force": force},
            wait=max(timeout, 0),
        )

    # -- console --------------------------------------------------------------

    def console(self, uuid: str, limit: int) -> bytes:
        """See Engine."""
        self._record(uuid)
        log = self._console_log(uuid)
        return bytes(privsep_files.read_end([log + mapping.ROTATED, log], limit))

    def _console_log(self, uuid: str) -> str:
        return os.path.join(self._console_folder, uuid, "console.log")


@contextlib.contextmanager
def _absent_is_fine() -> Any:
    try:
        yield
    except exception.EngineError as error:
        if error.status != NOT_FOUND:
            raise


@contextlib.contextmanager
def _logged(what: str) -> Any:
    """For cleaning up: an error must not hide the one that made it necessary."""
    try:
        yield
    except exception.NovaMultiError:
        LOG.exception("Could not %s", what)
