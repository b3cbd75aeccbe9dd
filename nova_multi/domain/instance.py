# SPDX-License-Identifier: Apache-2.0
"""Instances, and how large one is that does not say so."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any, Protocol

from nova_multi.domain import sizes
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Invalid
from nova_multi.domain.host import HostType
from nova_multi.domain.permissions import Permissions
from nova_multi.domain.provisioner import Provisioner
from nova_multi.domain.publish import Publish


@dataclasses.dataclass(frozen=True, slots=True)
class Size:
    """What a flavor gives.

    :ivar disk_gb: whole GB, as flavors count.
    """

    cpus: int
    memory_mb: int
    disk_gb: int


#: Of an instance for which neither the request nor the provisioner says it.
DEFAULT_SIZES: Mapping[Driver, Size] = {
    Driver.DOCKER: Size(1, 512, 2),
    Driver.LXD: Size(1, 512, 4),
    Driver.LIBVIRT: Size(1, 1024, 5),
}


def choose_driver(
    asked: Driver | None, provisioner: Driver | None, image: Driver | None
) -> Driver:
    """What runs an instance: its own word, its provisioner's, then its image's.

    :param image: what the image is made for; None where it doesn't say.
    :raises Invalid: the image is made for another one.
    """
    driver = asked or provisioner or image or Driver.LIBVIRT
    if image and driver is not image:
        raise Invalid(f"the image is for {image}, not for {driver}", field="driver")
    return driver


def choose_size(
    driver: Driver,
    *,
    cpus: int | None = None,
    memory_mb: int | None = None,
    disk_mb: int | None = None,
    provisioner: Provisioner | None = None,
) -> Size:
    """How large an instance is: its own words, its provisioner's, then the driver's.

    :raises Invalid: an amount is not above zero.
    """
    default = DEFAULT_SIZES[driver]
    disk_gb = None if disk_mb is None else sizes.whole_gb(disk_mb)
    says = provisioner or Provisioner("", "")
    size = Size(
        _first(cpus, says.cpus, default.cpus),
        _first(memory_mb, says.memory_mb, default.memory_mb),
        _first(disk_gb, says.hdsize_gb, default.disk_gb),
    )
    for field, amount in (
        ("cpus", size.cpus),
        ("memory", size.memory_mb),
        ("hdsize", size.disk_gb),
    ):
        if amount <= 0:
            raise Invalid(f"{field} must be above zero, not {amount}", field=field)
    return size


class ImageNeeds(Protocol):
    """An image that says how large an instance of it must be at least."""

    @property
    def name(self) -> str: ...

    @property
    def min_memory_mb(self) -> int: ...

    @property
    def min_disk_gb(self) -> int: ...


def fit_image(
    size: Size, image: ImageNeeds, *, memory_asked: bool, disk_asked: bool
) -> Size:
    """A size that is not below what an image needs.

    :param memory_asked: the amount was asked for, so that it can't be raised.
    :raises Invalid: what was asked for is too little.
    """
    for field, amount, least, asked in (
        ("memory", size.memory_mb, image.min_memory_mb, memory_asked),
        ("hdsize", size.disk_gb, image.min_disk_gb, disk_asked),
    ):
        if amount < least and asked:
            unit = "MB" if field == "memory" else "GB"
            raise Invalid(
                f"image {image.name} needs at least {least} {unit}", field=field
            )
    return Size(
        size.cpus,
        max(size.memory_mb, image.min_memory_mb),
        max(size.disk_gb, image.min_disk_gb),
    )


def _first(*amounts: int | None) -> int:
    return next(amount for amount in amounts if amount is not None)


def numbered(name: str, count: int) -> tuple[str, ...]:
    """Names of ``count`` instances: the name itself for one, else name-1, name-2...

    :raises Invalid: the count is not above zero.
    """
    if count < 1:
        raise Invalid(f"count must be above zero, not {count}", field="count")
    if count == 1:
        return (name,)
    return tuple(f"{name}-{number}" for number in range(1, count + 1))


@dataclasses.dataclass(frozen=True, slots=True)
class Instance:
    """An instance.

    :ivar uuid: its server's id in Nova; the record's while there is no server.
    :ivar status: Nova's own word.
    :ivar host: the machine that it is on.
    :ivar publish: ports that it asked for.
    :ivar published: the same with their outside numbers.
    :ivar outputs: what the guest reported of itself.
    """

    uuid: str
    name: str
    environment: str = ""
    description: str = ""
    memory_mb: int = 0
    cpus: int = 0
    disk_gb: int = 0
    provisioner: str = ""
    host_type: HostType | None = None
    driver: Driver | None = None
    permissions: Permissions = Permissions()
    publish: tuple[Publish, ...] = ()
    networks: tuple[str, ...] = ()
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tags: tuple[str, ...] = ()
    status: str = ""
    addresses: tuple[str, ...] = ()
    host: str = ""
    published: tuple[Publish, ...] = ()
    outputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    owner_id: str = ""
    project_id: str = ""
    created: datetime.datetime | None = None
    modified: datetime.datetime | None = None
