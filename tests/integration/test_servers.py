# SPDX-License-Identifier: Apache-2.0
"""What users do with servers, on each hypervisor, with the commands that they use.

The tests of one hypervisor share a server and run in this order.
"""

from __future__ import annotations

import json
import time

import pytest

from tests.integration import cloud, host
from tests.integration.cloud import Server, openstack, openstack_text, wait_for
from tests.integration.conftest import Boot, Hypervisor


def test_booted_where_it_belongs(hypervisor: Hypervisor, server: Server) -> None:
    shown = openstack("server", "show", server.id, cloud=cloud.ADMINISTRATOR)

    assert shown["status"] == "ACTIVE"
    assert shown["OS-EXT-SRV-ATTR:host"] == hypervisor.host
    (port,) = server.ports()
    bound = openstack("port", "show", port, cloud=cloud.ADMINISTRATOR)
    assert bound["status"] == "ACTIVE"
    assert bound["binding_vif_type"] == "ovs"
    assert bound["binding_host_id"] == hypervisor.host.split("-")[0]


def test_provisioner_ran_once_and_console_tells(server: Server) -> None:
    assert "provisioner: done" in server.console()
    assert server.wait_for_site("runs").split() == ["run"]
    assert server.wait_for_site("hostname").strip() == server.name


def test_metadata_reached_from_within(server: Server) -> None:
    metadata = json.loads(server.wait_for_site("metadata"))
    assert metadata["uuid"] == server.id
    assert "demo" in metadata["public_keys"]


def test_address_in_the_guest(server: Server) -> None:
    (addresses,) = server.show()["addresses"].values()
    assert f"inet {addresses[0]}/" in server.wait_for_site("addresses")


def _boots(server: Server) -> int:
    return len(server.wait_for_site("boots").split())


@pytest.mark.parametrize("kind", ["--soft", "--hard"])
def test_reboot(hypervisor: Hypervisor, server: Server, kind: str) -> None:
    before = _boots(server)

    server.do("reboot", kind)

    server.wait("ACTIVE")
    wait_for(
        "the site after a reboot",
        lambda: len((server.get("boots") or "").split()) > before,
        hypervisor.patience,
    )
    assert server.wait_for_site("runs").split() == ["run"]


def test_stop_and_start(hypervisor: Hypervisor, server: Server) -> None:
    before = _boots(server)

    server.do("stop")
    server.wait("SHUTOFF")
    assert not server.answers()
    server.do("start")
    server.wait("ACTIVE")

    server.wait_for_site("boots", hypervisor.patience)
    assert _boots(server) == before + 1


def test_pause_and_unpause(server: Server) -> None:
    before = _boots(server)

    server.do("pause")
    server.wait("PAUSED")
    assert server.get("hostname") is None
    server.do("unpause")
    server.wait("ACTIVE")

    server.wait_for_site("hostname", 30)
    assert _boots(server) == before


def test_attach_and_detach_an_interface(server: Server) -> None:
    port = openstack("port", "create", "--network", cloud.NETWORK, f"{server.name}-2")
    try:
        openstack_text("server", "add", "port", server.id, port["id"])
        wait_for("a port in the switch", lambda: host.switch_ports(port["id"]), 30)
        wait_for(
            "the interface in the guest",
            lambda: port["mac_address"] in (server.get("addresses") or ""),
            60,
        )

        openstack_text("server", "remove", "port", server.id, port["id"])

        wait_for("no port in the switch", lambda: not host.switch_ports(port["id"]), 60)
        wait_for(
            "no interface in the guest",
            lambda: port["mac_address"] not in (server.get("addresses") or ""),
            60,
        )
        assert server.wait_for_site("hostname")
    finally:
        if any(p["ID"] == port["id"] for p in openstack("port", "list")):
            openstack_text("port", "delete", port["id"])


def test_snapshot_boots_again(
    hypervisor: Hypervisor, server: Server, boot: Boot
) -> None:
    name = f"{server.name}-snapshot"
    openstack("server", "image", "create", "--wait", "--name", name, server.id)
    try:
        server.wait("ACTIVE")
        assert server.wait_for_site("hostname", 60)

        again = boot(hypervisor, image=name)

        # The files of the first server are there, and user-data was run for this one.
        runs = again.wait_for_site("runs", hypervisor.patience)
        assert runs.split() == ["run", "run"]
        wait_for(
            "the second server's name",
            lambda: (again.get("hostname") or "").strip() == again.name,
            30,
        )
        again.do("delete", "--wait")
    finally:
        openstack_text("image", "delete", name)


def test_config_drive(hypervisor: Hypervisor, boot: Boot) -> None:
    server = boot(hypervisor, "--config-drive", "True")
    assert server.wait_for_site("runs", hypervisor.patience).split() == ["run"]
    # Read by the guest from the drive, not from the metadata service.
    drive = json.loads(server.wait_for_site("config-drive", 30))
    assert drive["uuid"] == server.id
    assert "demo" in drive["public_keys"]
    server.do("delete", "--wait")


def test_delete_leaves_nothing(hypervisor: Hypervisor, server: Server) -> None:
    ports = server.ports()
    before = host.traces(hypervisor.name, server.id, ports)
    # Else this test would look in the wrong places.
    assert all(before.values()), before

    server.do("delete", "--wait")

    wait_for(
        "nothing left on the machine",
        lambda: not any(host.traces(hypervisor.name, server.id, ports).values()),
        30,
    )
    left = {port["ID"] for port in openstack("port", "list")}
    assert not left & set(ports)
    allocation = openstack(
        *("resource", "provider", "allocation", "show", server.id),
        cloud=cloud.ADMINISTRATOR,
    )
    assert not allocation
    time.sleep(1)
    assert not server.answers()
