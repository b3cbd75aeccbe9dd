# SPDX-License-Identifier: Apache-2.0
"""What the drivers ask of a container engine, and the values that cross that border.

Nothing here knows Docker, LXD or Nova. An engine gets plain values, does one thing, and
translates its library's errors to :mod:`nova_multi.exception`. It keeps no state of its
own: everything is read back from the daemon, so that a restarted compute sees the same.

The life of a guest, as :mod:`nova_multi.virt.spawn` and the power verbs drive it::

    import_image → create → connect → start → (stop → connect → start)* → remove
                                        ↘ pause/unpause, attach/detach, export

``create`` leaves a guest that does not run. ``connect`` gives it its network *before*
its first process exists and may be repeated at any time: it makes what is missing.
``start`` refuses (fails closed) when the network that ``connect`` made is gone.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from nova_multi.inspection.facts import ImageFacts as ImageFacts

#: Marks on every guest, network sandbox and imported image of ours (Docker labels,
#: LXD ``user.*`` keys). What does not carry LABEL_HOST with this service's host is not
#: ours.
LABEL_UUID = "nova-multi.instance-uuid"
LABEL_HOST = "nova-multi.host"
LABEL_NAME = "nova-multi.instance-name"
LABEL_IMAGE = "nova-multi.image-id"
LABEL_ROLE = "nova-multi.role"  # "guest" or "sandbox"; only Docker has sandboxes

#: Where a guest finds, read-only, what the driver gives it (bootstrap, user-data).
GUEST_DIRECTORY = "/var/lib/nova-multi"
#: cloud-init's ConfigDrive data source looks here before it looks for a device.
CONFIG_DRIVE_DIRECTORY = "/var/lib/cloud/seed/config_drive"


class GuestState(enum.Enum):
    """State of a guest, reduced to what Nova can tell apart."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    #: Ended by itself with an error, or killed for memory.
    CRASHED = "crashed"
    #: Between two states; ask again.
    CHANGING = "changing"
    #: A word of the engine that our table does not know.
    UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True, slots=True)
class ImageKey:
    """Identity of a Glance image: the same key is always the same bytes.

    :ivar image_id: UUID of the image in Glance.
    :ivar checksum: hex digest that Glance keeps of the data.
    """

    image_id: str
    checksum: str

    def __str__(self) -> str:
        return f"{self.image_id}-{self.checksum[:16]}"


@dataclasses.dataclass(frozen=True, slots=True)
class Mount:
    """A directory of the host inside a guest.

    The engine sees to it that root of the guest can read ``source`` (id ranges).
    """

    source: str
    target: str
    read_only: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """A static route of a guest.

    :ivar destination: in CIDR notation.
    :ivar gateway: next hop; empty if the destination is on the link itself.
    """

    destination: str
    gateway: str


@dataclasses.dataclass(frozen=True, slots=True)
class Interface:
    """One network interface of a guest, already connected on the host's side.

    ``vif.plug`` made a veth pair: ``tap`` is in the integration bridge, ``inner`` waits
    in the host's namespace for the engine, with MAC, MTU and checksum offload set.

    :ivar port_id: UUID of the Neutron port.
    :ivar name: name in the guest (``eth0`` ...).
    :ivar mac: MAC address.
    :ivar mtu: bytes.
    :ivar addresses: with prefix length, IPv4 and IPv6.
    :ivar gateways: default gateways, at most one for each family.
    :ivar routes: further static routes.
    :ivar nameservers: addresses of name servers.
    :ivar search: DNS search domains.
    """

    port_id: str
    name: str
    mac: str
    mtu: int
    tap: str
    inner: str
    addresses: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class ContainerSpec:
    """Everything an engine must know to create a guest.

    :ivar uuid: Nova's instance UUID.
    :ivar name: the engine's name of the guest, Nova's ``instance-0000002a``.
    :ivar hostname: what the guest calls itself.
    :ivar image: which image; imported before.
    :ivar vcpus: upper limit of CPU time, in CPUs.
    :ivar memory_mb: upper limit of memory in MiB; swap is not given.
    :ivar disk_gb: upper limit of the root file system in GiB; 0 for none. An engine
        whose storage can't limit it ignores it (and reports so in HostCapacity).
    :ivar pids: upper limit of processes.
    :ivar command: command in place of the image's own; empty keeps the image's. Given
        whole (no entry point is put before it).
    :ivar bootstrap: absolute path in the guest of a POSIX-sh script that runs before
        the command and is given the command as its arguments, or None. It ends by
        executing them.
    :ivar environment: variables of the guest's first process.
    :ivar mounts: directories of the host in the guest.
    :ivar labels: marks (LABEL_*).
    """

    uuid: str
    name: str
    hostname: str
    image: ImageKey
    vcpus: int
    memory_mb: int
    disk_gb: int
    pids: int
    labels: Mapping[str, str]
    command: tuple[str, ...] = ()
    bootstrap: str | None = None
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class ContainerState:
    """A guest as the engine sees it now.

    :ivar uuid: instance UUID from its label.
    :ivar name: engine's name of it.
    :ivar state: see GuestState.
    :ivar detail: the engine's own words about an end (exit code, out of memory), for
        logs and faults.
    """

    uuid: str
    name: str
    state: GuestState
    detail: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class EngineInfo:
    """The engine and what it chose.

    :ivar name: hypervisor type as Nova lists it: ``docker`` or ``lxd``.
    :ivar version: as numbers, most significant first.
    :ivar storage: storage driver or pool driver.
    :ivar disk_limits: whether ``ContainerSpec.disk_gb`` is enforced.
    :ivar disk_total_gb: size of the storage that holds guests, in GiB.
    :ivar disk_free_gb: free part of it, and no more than is free around it where it
        is a file that grows.
    :ivar settings: what an operator wants to be told (id maps, cgroup version ...).
    """

    name: str
    version: tuple[int, ...]
    storage: str
    disk_limits: bool
    disk_total_gb: int
    disk_free_gb: int
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)


@runtime_checkable
class Engine(Protocol):
    """A container engine, for the guests of one Nova host only.

    Constructed with values (host name, timeouts in seconds, directories), never with
    global configuration. Methods may be called from many threads at once. Every call
    ends within the engine's timeout with a result or an EngineError.

    Only guests that carry LABEL_HOST of this host are ever listed or touched; any other
    is GuestNotFound, whatever its name.
    """

    name: str

    def info(self) -> EngineInfo:
        """Version, storage and settings; also the check that the daemon answers."""

    # -- images ---------------------------------------------------------------

    def image(self, key: ImageKey) -> ImageFacts:
        """Facts of an image that the engine holds.

        :raises EngineImageNotFound: it must be imported (first or again).
        """

    def import_image(self, key: ImageKey, path: str) -> ImageFacts:
        """Give the engine the image whose Glance data is the file ``path``.

        Inspected first: members that leave the archive, device nodes, absurd sizes.
        Importing what is there already is no error.

        :raises ImageRejected: damaged, dangerous, or not of this engine's formats.
        """

    def images(self) -> Sequence[ImageKey]:
        """Keys of the images of ours that the engine holds."""

    def remove_image(self, key: ImageKey) -> None:
        """Drop an image; absent is fine.

        :raises EngineConflict: a guest still uses it.
        """

    def export(self, uuid: str, path: str) -> Mapping[str, str]:
        """Write the guest's file system, running or not, as a bootable image.

        :param path: of the file to write. Guests that run are paused only as long as
            consistency needs it.

        :returns: Glance fields and properties of the new image: ``container_format``,
            ``disk_format`` and whatever routing needs.
        """

    # -- guests ---------------------------------------------------------------

    def guests(self) -> Sequence[ContainerState]:
        """All guests of this host, in a flat number of calls to the daemon."""

    def owners(self) -> frozenset[str]:
        """UUIDs of the servers of this host for which anything is kept.

        Also of those that have no guest any more: ``remove`` takes away what is left.
        """

    def guest(self, uuid: str) -> ContainerState:
        """One guest.

        :raises GuestNotFound:
        """

    def create(self, spec: ContainerSpec) -> None:
        """Create a guest that does not run. Undone by ``remove``.

        A failed create leaves nothing behind.

        :raises GuestExists: there is one already; it is left as it is.
        """

    def prepare(self, uuid: str) -> None:
        """Do what a first start takes and needs no interfaces for.

        Called after ``create`` while Neutron still makes the ports; ``connect`` does
        without as well. Idempotent; ``stop`` and ``remove`` take back what it did.

        :raises GuestNotFound:
        """

    def connect(self, uuid: str, interfaces: Sequence[Interface]) -> None:
        """Give a guest that does not run these interfaces, and only these.

        Addresses, routes, MTU and resolver are in place before its first process.
        Idempotent; called before each ``start``. With no interfaces the guest has a
        loopback only.

        :raises NetworkSetupError:
        """

    def start(self, uuid: str) -> None:
        """Start a created, stopped or crashed guest; running already is fine.

        :raises EngineError: also when the guest ends again at once, with its last
            words.
        """

    def stop(self, uuid: str, timeout: int) -> None:
        """Ask the guest to end, and after ``timeout`` seconds kill it (0: at once).

        Stopped already is fine. Also ends what keeps its network alive, so that a
        stopped guest does not answer on the network.
        """

    def restart(self, uuid: str, timeout: int) -> None:
        """Stop and start in place; the network stays as it is.

        :raises EngineConflict: the network is gone: ``connect`` and ``start`` instead.
        """

    def pause(self, uuid: str) -> None:
        """Freeze all processes; paused already is fine.

        :raises EngineConflict: it does not run.
        """

    def unpause(self, uuid: str) -> None:
        """Undo ``pause``; running already is fine."""

    def remove(self, uuid: str) -> None:
        """Kill and delete the guest and all the engine keeps for it; absent is fine."""

    def attach(self, uuid: str, interface: Interface) -> None:
        """Add an interface, running or not; there already is fine."""

    def detach(self, uuid: str, interface: Interface) -> None:
        """Take an interface away, running or not; absent is fine.

        The inner end is gone or back in the host's namespace afterwards.
        """

    def console(self, uuid: str, limit: int) -> bytes:
        """The last ``limit`` bytes that the guest wrote to its console."""
