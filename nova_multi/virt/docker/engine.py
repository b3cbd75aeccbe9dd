# SPDX-License-Identifier: Apache-2.0
"""Docker as an engine for Nova's guests (see :mod:`nova_multi.virt.engine`).

A guest is two containers: the one with the image, and while it is connected a sandbox
that owns its network (:mod:`nova_multi.virt.docker.network`).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

from docker import errors as docker_errors
from oslo_log import log as logging

from nova_multi import exception
from nova_multi.inspection.unpacking import Limits
from nova_multi.privsep import files as privsep_files
from nova_multi.virt.docker import host as docker_host
from nova_multi.virt.docker import mapping, network
from nova_multi.virt.docker.client import ENGINE, Client, translated
from nova_multi.virt.docker.images import Images
from nova_multi.virt.engine import (
    LABEL_HOST,
    LABEL_ROLE,
    LABEL_UUID,
    ContainerSpec,
    ContainerState,
    EngineInfo,
    GuestState,
    ImageFacts,
    ImageKey,
    Interface,
)
from nova_multi.virt.power import settle_time

LOG = logging.getLogger(__name__)

#: Bytes of a failed guest's console that go into the error.
_LAST_WORDS = 500
#: Bytes of an average console line, to ask for about as much as is wanted.
_LINE = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What the operator decides.

    :ivar host: Nova's host name; only guests marked with it are ours.
    :ivar url: of the daemon's socket.
    :ivar timeout: seconds for an answer of the daemon.
    :ivar transfer_timeout: the same where whole images move.
    :ivar pause_binary: static program that sleeps with ``-P`` (catatonit).
    :ivar no_new_privileges: whether set-user-id programs gain nothing in guests.
    :ivar limits: what an image may be at most.
    """

    host: str
    url: str
    timeout: int
    transfer_timeout: int
    pause_binary: str
    no_new_privileges: bool
    limits: Limits


@dataclasses.dataclass(frozen=True, slots=True)
class _Guest:
    """A guest and its sandbox as ``GET /containers/json`` lists them."""

    container: Mapping[str, Any]
    sandbox: Mapping[str, Any] | None

    @property
    def id(self) -> str:
        return str(self.container["Id"])

    @property
    def name(self) -> str:
        return str(self.container["Names"][0]).lstrip("/")

    @property
    def labels(self) -> Mapping[str, str]:
        labels: Mapping[str, str] = self.container["Labels"]
        return labels

    @property
    def status(self) -> str:
        return str(self.container["State"])

    @property
    def sandbox_runs(self) -> bool:
        return network.sandbox_runs(self.sandbox)

    def state(self, clean: bool) -> ContainerState:
        """:param clean: it ended with exit code 0, if it has ended."""
        return ContainerState(
            uuid=self.labels[LABEL_UUID],
            name=self.name,
            state=mapping.state(
                self.status,
                sandbox_runs=self.sandbox_runs,
                exit_code=0 if clean else None,
            ),
            detail=str(self.container.get("Status", "")),
        )


class DockerEngine:
    """The guests of one Nova host in one Docker daemon."""

    name = ENGINE

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = Client(settings.url, settings.timeout, settings.transfer_timeout)
        self._images = Images(self._client, settings.limits)
        self._sandboxes = network.Sandboxes(self._client, settings.pause_binary)
        # Fixed while the daemon runs; asked for again with each info().
        self._info: Mapping[str, Any] | None = None
        self._tried: dict[str, bool] = {}

    def info(self) -> EngineInfo:
        info = self._daemon_info(fresh=True)
        return docker_host.engine_info(info, disk_limits=self._disk_limits(info))

    def _disk_limits(self, info: Mapping[str, Any]) -> bool:
        """Whether the daemon takes a size for a guest's disk; tried once.

        Its answer about itself does not tell, and a file system with quotas is not
        enough where the daemon may not make the device node that it sets them by.
        """
        daemon = info["ID"]
        if daemon not in self._tried:
            self._tried[daemon] = docker_host.may_limit_disks(info) and (
                self._sandboxes.takes_size()
            )
        return self._tried[daemon]

    def _daemon_info(self, *, fresh: bool = False) -> Mapping[str, Any]:
        if fresh or self._info is None:
            with translated("ask the daemon about itself"):
                self._info = self._client.api().info()
        return self._info

    # -- images ---------------------------------------------------------------

    def image(self, key: ImageKey) -> ImageFacts:
        return self._images.facts(key)

    def import_image(self, key: ImageKey, path: str) -> ImageFacts:
        return self._images.load(key, path)

    def images(self) -> Sequence[ImageKey]:
        return self._images.keys()

    def remove_image(self, key: ImageKey) -> None:
        self._images.remove(key)

    def export(self, uuid: str, path: str) -> Mapping[str, str]:
        guest = self._find(uuid)
        self._images.export(uuid, guest.id, guest.container["ImageID"], path)
        return {
            "container_format": "docker",
            "disk_format": "raw",
            "img_hv_type": ENGINE,
        }

    # -- guests ---------------------------------------------------------------

    def guests(self) -> Sequence[ContainerState]:
        found = self._list()
        # Only who ended by himself needs a second look, all of them in one call.
        unclear = any(
            guest.status == "exited" and guest.sandbox_runs for guest in found
        )
        clean = self._ended_cleanly() if unclear else frozenset()
        return [guest.state(guest.id in clean) for guest in found]

    def owners(self) -> frozenset[str]:
        found = (each["Labels"].get(LABEL_UUID) for each in self._listed(None))
        return frozenset(uuid for uuid in found if uuid)

    def guest(self, uuid: str) -> ContainerState:
        guest = self._find(uuid)
        unclear = guest.status == "exited" and guest.sandbox_runs
        state = guest.state(unclear and guest.id in self._ended_cleanly())
        if state.state is GuestState.CRASHED:
            return dataclasses.replace(state, detail=self._detail(guest))
        if state.state is GuestState.UNKNOWN:
            LOG.warning("Docker calls guest %s %r: unknown", uuid, guest.status)
        return state

    def _listed(self, uuid: str | None, **filters: object) -> list[dict[str, Any]]:
        """Guests and sandboxes of this host as Docker lists them."""
        labels = [f"{LABEL_HOST}={self._settings.host}"]
        if uuid:
            labels.append(f"{LABEL_UUID}={uuid}")
        with translated("list guests"):
            found: list[dict[str, Any]] = self._client.api().containers(
                all=True, filters={"label": labels, **filters}
            )
        return found

    def _list(self, uuid: str | None = None) -> list[_Guest]:
        """Guests of this host, in one call."""
        roles: dict[str, dict[str, Mapping[str, Any]]] = {"guest": {}, "sandbox": {}}
        for each in self._listed(uuid):
            own = each["Labels"]
            roles.get(own.get(LABEL_ROLE), {})[own.get(LABEL_UUID)] = each
        return [
            _Guest(container, roles[mapping.ROLE_SANDBOX].get(of))
            for of, container in roles[mapping.ROLE_GUEST].items()
        ]

    def _find(self, uuid: str) -> _Guest:
        found = self._list(uuid)
        if not found:
            raise exception.GuestNotFound(
                f"Docker has no guest {uuid} of host {self._settings.host}",
                engine=ENGINE,
            )
        return found[0]

    def _ended_cleanly(self) -> frozenset[str]:
        """Ids of guests that ended with exit code 0."""
        return frozenset(each["Id"] for each in self._listed(None, exited=0))

    def _detail(self, guest: _Guest) -> str:
        """How a guest ended, in words."""
        with translated(f"look at guest {guest.name}"):
            state = self._client.api().inspect_container(guest.id)["State"]
        if state["OOMKilled"]:
            return "killed for using more memory than its flavor has"
        return f"ended with exit code {state['ExitCode']} {state['Error']}".strip()

    def create(self, spec: ContainerSpec) -> None:
        marked = spec.labels.get(LABEL_HOST, self._settings.host)
        if marked != self._settings.host:
            raise exception.EngineError(
                f"guest {spec.uuid} is meant for host {marked}, not for"
                f" {self._settings.host}",
                engine=ENGINE,
            )
        if self._list(spec.uuid):
            raise exception.GuestExists(
                f"guest {spec.uuid} is there already", engine=ENGINE
            )
        facts = self.image(spec.image)
        info = self._daemon_info()
        self._give_to_guest(spec, docker_host.guest_root(info))
        config = mapping.guest_config(
            spec,
            facts.command,
            host=self._settings.host,
            hold_binary=self._settings.pause_binary,
            disk_limits=self._disk_limits(info),
            no_new_privileges=self._settings.no_new_privileges,
        )
        with translated(
            f"create guest {spec.name}",
            missing=exception.EngineImageNotFound,
            conflict=exception.GuestExists,
        ):
            self._client.api().create_container_from_config(config, spec.name)

    def _give_to_guest(self, spec: ContainerSpec, root: tuple[int, int]) -> None:
        for mount in spec.mounts:
            try:
                privsep_files.chown_tree(mount.source, *root)
            except OSError as error:
                raise exception.EngineError(
                    f"guest {spec.name} can't be given {mount.source}: {error}",
                    engine=ENGINE,
                ) from error

    def prepare(self, uuid: str) -> None:
        # The longest part of a start, and busy with the kernel rather than with a core.
        guest = self._find(uuid)
        if guest.sandbox_runs:
            return
        if guest.sandbox is not None:
            self._sandboxes.end(uuid)
        self._sandboxes.make(uuid, guest.labels)

    def connect(self, uuid: str, interfaces: Sequence[Interface]) -> None:
        guest = self._find(uuid)
        if guest.status in ("running", "paused"):
            raise exception.EngineConflict(
                f"guest {uuid} is {guest.status}; its network can't be replaced",
                engine=ENGINE,
            )
        self._sandboxes.connect(uuid, guest.labels, interfaces)

    def start(self, uuid: str) -> None:
        guest = self._find(uuid)
        if guest.status == "running":
            return
        if not self._sandboxes.intact(uuid):
            raise exception.EngineConflict(
                f"guest {uuid} has no network: connect it before its start",
                engine=ENGINE,
            )
        with translated(f"start guest {guest.name}"):
            self._client.api().start(guest.id)
        self._check_started(guest)

    def _check_started(self, guest: _Guest) -> None:
        """:raises EngineError: the guest has ended again."""
        time.sleep(settle_time())
        if self._find(guest.labels[LABEL_UUID]).status in ("running", "paused"):
            return
        raise exception.EngineError(
            f"guest {guest.name} {self._detail(guest)} right after its start."
            f" Its last words: {self._last_words(guest)!r}. If its command is not meant"
            " to last, give the image the property os_command_line",
            engine=ENGINE,
        )

    def _last_words(self, guest: _Guest) -> str:
        return self._log(guest, _LAST_WORDS).decode(errors="replace").strip()

    def stop(self, uuid: str, timeout: int) -> None:
        guest = self._find(uuid)
        self._stop_guest(guest, timeout)
        if guest.sandbox is not None:
            self._sandboxes.end(uuid)

    def _stop_guest(self, guest: _Guest, timeout: int) -> None:
        with translated(f"stop guest {guest.name}"):
            api = self._client.api()
            if guest.status == "paused":
                # A frozen process can't act on a signal.
                api.unpause(guest.id)
            if guest.status in ("running", "paused", "restarting"):
                api.stop(guest.id, timeout=timeout)

    def restart(self, uuid: str, timeout: int) -> None:
        guest = self._find(uuid)
        if not self._sandboxes.intact(uuid):
            raise exception.EngineConflict(
                f"the network of guest {uuid} is gone: connect and start it instead",
                engine=ENGINE,
            )
        self._stop_guest(guest, timeout)
        with translated(f"start guest {guest.name}"):
            self._client.api().start(guest.id)
        self._check_started(guest)

    def pause(self, uuid: str) -> None:
        guest = self._find(uuid)
        if guest.status == "paused":
            return
        with translated(f"pause guest {guest.name}"):
            self._client.api().pause(guest.id)

    def unpause(self, uuid: str) -> None:
        guest = self._find(uuid)
        if guest.status == "running":
            return
        with translated(f"unpause guest {guest.name}"):
            self._client.api().unpause(guest.id)

    def remove(self, uuid: str) -> None:
        listed = self._listed(uuid)
        for each in listed:
            if each["Labels"].get(LABEL_ROLE) != mapping.ROLE_GUEST:
                continue
            with translated(f"remove guest {uuid}"):
                try:
                    self._client.api().remove_container(each["Id"], force=True, v=True)
                except docker_errors.NotFound:
                    LOG.debug("Guest %s is gone already", uuid)
        if listed:
            # Also the sandbox of a guest that somebody else has removed.
            self._sandboxes.end(uuid)
            self._images.remove_snapshot(uuid)

    def attach(self, uuid: str, interface: Interface) -> None:
        self._find(uuid)
        self._sandboxes.add(uuid, interface)

    def detach(self, uuid: str, interface: Interface) -> None:
        self._find(uuid)
        self._sandboxes.take(uuid, interface)

    # -- console --------------------------------------------------------------

    def console(self, uuid: str, limit: int) -> bytes:
        return self._log(self._find(uuid), limit)

    def _log(self, guest: _Guest, limit: int) -> bytes:
        with translated(f"read the console of guest {guest.name}"):
            api = self._client.api()
            lines = limit // _LINE + 1
            found: bytes = api.logs(guest.id, tail=lines)
            if len(found) < limit and found.count(b"\n") >= lines - 1:
                found = api.logs(guest.id)
        return found[-limit:] if limit > 0 else b""
