# SPDX-License-Identifier: Apache-2.0
"""The hypervisors, by the names that users have for them."""

from __future__ import annotations

import enum

from nova_multi.domain.errors import Invalid


class Driver(enum.StrEnum):
    """What runs an instance."""

    DOCKER = "docker"
    LXD = "lxd"
    LIBVIRT = "libvirt"

    @classmethod
    def parse(cls, text: str, field: str = "driver") -> Driver:
        """Read a driver or one of its other names: lxc, kvm, qemu.

        :raises Invalid: there is no such driver.
        """
        driver = _NAMES.get(text) if isinstance(text, str) else None
        if driver is None:
            raise Invalid(
                f"driver {text!r:.40} is unknown; there are {', '.join(_NAMES)}",
                field=field,
            )
        return driver

    @property
    def is_container(self) -> bool:
        """Its guests share the host's kernel."""
        return self is not Driver.LIBVIRT

    @property
    def hypervisor_type(self) -> str:
        """Value of the image property ``img_hv_type``."""
        return "qemu" if self is Driver.LIBVIRT else self.value


_NAMES = {
    "docker": Driver.DOCKER,
    "lxd": Driver.LXD,
    "lxc": Driver.LXD,
    "libvirt": Driver.LIBVIRT,
    "kvm": Driver.LIBVIRT,
    "qemu": Driver.LIBVIRT,
}
