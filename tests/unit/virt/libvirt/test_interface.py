# SPDX-License-Identifier: Apache-2.0
"""Interfaces of virtual machines without offload."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from lxml import etree
from nova.virt.libvirt import config as vconfig
from nova.virt.libvirt import vif as nova_vif

from nova_multi.virt.libvirt import interface

TAP = """
<interface type="ethernet">
  <mac address="fa:16:3e:00:00:01"/><model type="virtio"/>{driver}
  <target dev="tap0"/>
</interface>
"""


def _xml(text: str) -> Any:
    return etree.fromstring(text)


@pytest.mark.parametrize(
    "driver", ["", '<driver name="qemu"/>', '<driver><host csum="on"/></driver>']
)
def test_offload_is_switched_off(driver: str) -> None:
    element = interface.without_offload(_xml(TAP.format(driver=driver)))

    (found,) = element.findall("driver")
    (host,), (guest,) = found.findall("host"), found.findall("guest")
    assert set(host.attrib.values()) == set(guest.attrib.values()) == {"off"}
    assert {"csum", "gso", "tso4", "tso6"} <= set(host.attrib)
    assert {"csum", "tso4", "tso6"} <= set(guest.attrib)


def test_name_of_the_back_end_is_kept() -> None:
    element = interface.without_offload(
        _xml(TAP.format(driver='<driver name="qemu"/>'))
    )
    assert element.find("driver").get("name") == "qemu"


def test_repeating_changes_nothing() -> None:
    element = interface.without_offload(_xml(TAP.format(driver="")))
    once = etree.tostring(element)
    assert etree.tostring(interface.without_offload(element)) == once


@pytest.mark.parametrize(
    "text",
    [
        '<interface type="ethernet"><model type="e1000"/></interface>',
        '<interface type="hostdev"><mac address="fa:16:3e:00:00:01"/></interface>',
        '<interface type="vhostuser"><model type="virtio"/></interface>',
    ],
)
def test_others_are_left_alone(text: str) -> None:
    element = _xml(text)
    before = etree.tostring(element)
    assert etree.tostring(interface.without_offload(element)) == before


def test_vif_driver_gives_novas_own_kind_of_configuration() -> None:
    config = vconfig.LibvirtConfigGuestInterface()
    config.net_type, config.model = "ethernet", "virtio"
    config.mac_addr, config.target_dev = "fa:16:3e:00:00:01", "tap0"
    driver = interface.VIFDriver(mock.Mock())

    with mock.patch.object(
        nova_vif.LibvirtGenericVIFDriver, "get_config", return_value=config
    ):
        found = driver.get_config(mock.Mock(), {}, mock.Mock(), mock.Mock(), "qemu")

    # Nova looks for the interface to detach by this exact type.
    assert type(found) is vconfig.LibvirtConfigGuestInterface
    assert '<host csum="off"' in found.to_xml()


PORT = "aaaaaaaa-1111-4222-8333-444444444444"


@pytest.mark.parametrize("creates", [True, False])
def test_a_tap_is_up_after_open_vswitch_has_opened_it(
    monkeypatch: pytest.MonkeyPatch, creates: bool
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(
        nova_vif.LibvirtGenericVIFDriver, "plug", lambda *_: calls.append("plug")
    )
    monkeypatch.setattr(
        interface.shared_vif, "flows_installed", lambda *_: calls.append("installed")
    )
    monkeypatch.setattr(
        interface.linux_net,
        "set_interface_state",
        lambda name, state: calls.append(f"{name} {state}"),
    )
    driver = interface.VIFDriver.__new__(interface.VIFDriver)
    driver.plug(None, {"id": PORT, "details": {"ovs_create_tap": creates}})
    late = ["installed", "tapaaaaaaaa-11 up"] if creates else []
    assert calls == ["plug", *late]
