# SPDX-License-Identifier: Apache-2.0
"""Flavors: one for each size and place that is asked for, never two."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from openstack import exceptions as sdk
from openstack.compute.v2 import flavor as _flavor

from nova_multi.cloud import traits
from nova_multi.cloud.connection import Connection
from nova_multi.cloud.errors import translated
from nova_multi.cloud.values import Flavor
from nova_multi.domain import errors
from nova_multi.domain.driver import Driver
from nova_multi.domain.host import HostType

#: How names of ours begin.
_OURS = re.compile(r"nm-c\d+-m\d+-d\d+", re.ASCII)
_WHOLE = re.compile(rf"{_OURS.pattern}(-[a-z]+)*", re.ASCII)
_DESCRIPTION = "Made by nova_multi for the sizes of its instances"
#: Writes of a flavor's traits that collide with another's are repeated so often.
_TRIES = 3

#: CPUs, MB of memory, GB of disk.
_Sizes: TypeAlias = tuple[int, int, int]


class Flavors:
    """Flavors that all projects may use.

    :param connection: an administrator's to make any.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def flavors(self) -> tuple[Flavor, ...]:
        """Every flavor that is public and enabled; one request for each 1,000."""
        with translated("list flavors"):
            return tuple(
                _value(flavor)
                for flavor in self._connection.compute.flavors(is_public=True)
                if not flavor.is_disabled
            )

    def own(self) -> tuple[Flavor, ...]:
        """Those of them that were made here for the sizes of instances."""
        with translated("list flavors"):
            return tuple(
                _value(flavor)
                for flavor in self._connection.compute.flavors(is_public=True)
                if flavor.id == flavor.name
                and _WHOLE.fullmatch(flavor.name)
                and flavor.description == _DESCRIPTION
            )

    def find_or_make(
        self,
        cpus: int,
        memory_mb: int,
        disk_gb: int,
        *,
        host_type: HostType | None = None,
        driver: Driver | None = None,
    ) -> Flavor:
        """The flavor of exactly these sizes; made if there is none yet.

        One of an operator's is taken where it fits. The name of ours follows from what
        is asked, and is its id, too: of two that are made at once Nova refuses one, and
        its maker takes the other's.

        :param host_type: only hosts of that type will do.
        :param driver: only that hypervisor will do.
        :raises Forbidden: the account may make none.
        :raises Invalid: Nova can't take a size.
        """
        sizes = (cpus, memory_mb, disk_gb)
        specs = extra_specs(host_type, driver)
        name = flavor_name(sizes, host_type, driver)
        if found := _exact(self.flavors(), sizes, specs, name):
            return found
        return self._complete(self._make(name, sizes), sizes, specs)

    def find_fitting(
        self,
        cpus: int,
        memory_mb: int,
        disk_gb: int,
        *,
        host_type: HostType | None = None,
        driver: Driver | None = None,
    ) -> Flavor:
        """The smallest flavor that has so much at least, where none can be made.

        The hypervisor is the image's choice then; a flavor that demands another one
        is left out.

        :raises Unsupported: no flavor has as much of something, or asks for that type
            of host; the message tells which.
        """
        kind = dict([traits.required(host_type.trait)]) if host_type else {}
        unwanted = _unwanted(host_type, driver)
        steps: tuple[tuple[str, str, Callable[[Flavor], bool]], ...] = (
            ("cpus", f"{cpus} CPUs", lambda f: f.cpus >= cpus),
            ("memory", f"{memory_mb} MB of memory", lambda f: f.memory_mb >= memory_mb),
            ("hdsize", f"{disk_gb} GB of disk", lambda f: f.disk_gb >= disk_gb),
            (
                "host_type",
                f"hosts of type {host_type or 'any'}",
                lambda f: kind.items() <= f.extra_specs.items(),
            ),
            (
                "driver",
                f"driver {driver or 'any'}",
                lambda f: not unwanted & f.extra_specs.keys(),
            ),
        )
        left = list(self.flavors())
        for field, told, test in steps:
            left = [flavor for flavor in left if test(flavor)]
            if not left:
                raise errors.Unsupported(
                    f"this cloud has no flavor for {told} that fits otherwise, and"
                    " takes no new ones from this account",
                    field=field,
                    code="no_flavor",
                )
        return min(left, key=lambda f: (*_sizes(f), len(f.extra_specs), f.name))

    def delete(self, flavor_id: str) -> bool:
        """Delete a flavor; servers keep their copy of it.

        :returns: False if there is none any more.
        """
        with translated(f"delete flavor {flavor_id}"):
            try:
                self._connection.compute.delete_flavor(flavor_id, ignore_missing=False)
            except sdk.NotFoundException:
                return False
        return True

    def _make(self, name: str, sizes: _Sizes) -> Flavor:
        cpus, memory_mb, disk_gb = sizes
        with translated(f"make flavor {name}"):
            compute = self._connection.compute
            try:
                made = compute.create_flavor(
                    id=name,
                    name=name,
                    vcpus=cpus,
                    ram=memory_mb,
                    disk=disk_gb,
                    is_public=True,
                    description=_DESCRIPTION,
                )
            except sdk.ConflictException:
                made = compute.get_flavor(name)
            return _value(made)

    def _complete(
        self, flavor: Flavor, sizes: _Sizes, specs: Mapping[str, str]
    ) -> Flavor:
        """See that a flavor of ours asks for its traits.

        Nova takes them in a request of their own: its maker may be on the way to that,
        or dead. To write them twice does no harm.
        """
        if _sizes(flavor) != sizes:
            raise errors.NameTaken(
                f"flavor {flavor.name} is there with other sizes", field="memory"
            )
        if specs.items() <= flavor.extra_specs.items():
            return flavor
        for left in reversed(range(_TRIES)):
            try:
                with translated(f"set the traits of flavor {flavor.name}"):
                    self._connection.compute.create_flavor_extra_specs(
                        flavor.id, dict(specs)
                    )
                break
            except errors.Conflict:
                if not left:
                    raise
        merged = {**flavor.extra_specs, **specs}
        return dataclasses.replace(flavor, extra_specs=merged)


def extra_specs(host_type: HostType | None, driver: Driver | None) -> dict[str, str]:
    """What a flavor demands of its hosts."""
    wanted = [
        host_type.trait if host_type else None,
        traits.driver_trait(driver) if driver else None,
    ]
    return dict(traits.required(trait) for trait in wanted if trait)


def flavor_name(
    sizes: _Sizes, host_type: HostType | None = None, driver: Driver | None = None
) -> str:
    """The name, and id, of our flavor: ``nm-c2-m2048-d10-docker-compute-optimized``.

    A driver that demands nothing of a flavor isn't in it.
    """
    cpus, memory_mb, disk_gb = sizes
    parts = [f"nm-c{cpus}-m{memory_mb}-d{disk_gb}"]
    if driver and traits.driver_trait(driver):
        parts.append(driver.value)
    if host_type:
        parts.append(re.sub(r"(?<=.)(?=[A-Z])", "-", host_type.value).lower())
    return "-".join(parts)


def _exact(
    flavors: Iterable[Flavor], sizes: _Sizes, specs: Mapping[str, str], name: str
) -> Flavor | None:
    fitting = [
        flavor
        for flavor in flavors
        if _sizes(flavor) == sizes
        # One of ours gets its traits after it is made: till then it looks like another.
        and (flavor.name == name or not _OURS.match(flavor.name))
        and flavor.extra_specs == specs
        and not (flavor.ephemeral_gb or flavor.swap_mb)
    ]
    # Everybody has to find the same one.
    return min(fitting, key=lambda f: (f.name != name, f.name, f.id), default=None)


def _unwanted(host_type: HostType | None, driver: Driver | None) -> set[str]:
    """Keys of extra specs that would keep an instance off its hosts."""
    found = set(traits.host_type_traits())
    if host_type:
        found.discard(host_type.trait)
    if driver:
        found |= traits.foreign_traits(driver)
    return {traits.required(trait)[0] for trait in found}


def _sizes(flavor: Flavor) -> _Sizes:
    return flavor.cpus, flavor.memory_mb, flavor.disk_gb


def _value(flavor: _flavor.Flavor) -> Flavor:
    return Flavor(
        id=str(flavor.id),
        name=str(flavor.name),
        cpus=flavor.vcpus,
        memory_mb=flavor.ram,
        disk_gb=flavor.disk,
        ephemeral_gb=flavor.ephemeral or 0,
        swap_mb=flavor.swap or 0,
        extra_specs=dict(flavor.extra_specs or {}),
    )
