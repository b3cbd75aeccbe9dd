# SPDX-License-Identifier: Apache-2.0
"""What libvirt is told of a machine's firmware."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from lxml import etree
from nova.virt.libvirt import config as vconfig
from nova.virt.libvirt import driver as nova_libvirt

from nova_multi.virt.libvirt.driver import LibvirtDriver


def configured(version: tuple[int, ...], **found: Any) -> Any:
    """The configuration of a guest, of which Nova's driver says so much."""
    driver = object.__new__(LibvirtDriver)
    driver._host = mock.Mock()
    driver._host.has_min_version.side_effect = lambda least: version >= least
    guest = vconfig.LibvirtConfigGuest()
    guest.os_type = "hvm"

    def nova(self: Any, guest: Any, *arguments: Any) -> None:
        for name, value in found.items():
            setattr(guest, name, value)

    name = "_configure_guest_by_virt_type"
    with mock.patch.object(nova_libvirt.LibvirtDriver, name, nova):
        driver._configure_guest_by_virt_type(guest, "instance", "image", "flavor")
    return guest


def of(guest: Any) -> tuple[str | None, str | None]:
    """What its XML says of Secure Boot: by the firmware, and by the loader."""
    xml = etree.Element("domain")
    guest._format_os(xml)
    (feature,) = xml.findall("os/firmware/feature") or [{}]
    (loader,) = xml.findall("os/loader") or [{}]
    return feature.get("enabled"), loader.get("secure")


@pytest.mark.parametrize(("wanted", "told"), [(False, "no"), (True, "yes")])
def test_libvirt_chooses_by_the_feature(wanted: bool, told: str) -> None:
    secure = {"os_loader_secure": wanted, "os_firmware_secure": wanted}
    guest = configured((9, 0, 0), os_firmware="efi", **secure)
    assert of(guest) == (told, None)


def test_old_libvirt_wants_the_attribute() -> None:
    secure = {"os_loader_secure": False, "os_firmware_secure": False}
    guest = configured((8, 5, 0), os_firmware="efi", **secure)
    assert of(guest) == ("no", "no")


def test_firmware_that_was_chosen_before_stays() -> None:
    guest = configured((9, 0, 0), os_loader="/firmware", os_loader_secure=True)
    assert of(guest) == (None, "yes")


def test_machines_without_uefi_are_told_nothing() -> None:
    assert of(configured((9, 0, 0))) == (None, None)
