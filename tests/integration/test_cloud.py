# SPDX-License-Identifier: Apache-2.0
"""The cloud as a whole."""

from __future__ import annotations

import os
import pathlib
import secrets
import subprocess

import openstack as sdk
import yaml

from tests.integration import cloud
from tests.integration.cloud import Server, openstack, openstack_text
from tests.integration.conftest import Hypervisor

TOP = pathlib.Path(__file__).parents[2]


def test_three_hypervisors_are_up() -> None:
    listed = openstack("hypervisor", "list", cloud=cloud.ADMINISTRATOR)

    found = {(h["Hypervisor Type"], h["State"]) for h in listed}
    assert {("docker", "up"), ("lxd", "up"), ("QEMU", "up")} <= found


def test_hypervisor_tells_of_itself(hypervisor: Hypervisor) -> None:
    shown = openstack("hypervisor", "show", hypervisor.host, cloud=cloud.ADMINISTRATOR)

    assert shown["hypervisor_type"] == hypervisor.type
    assert shown["uptime"]
    assert shown["load_average"]


def test_status_says_that_all_is_well() -> None:
    done = subprocess.run(
        [TOP / "deploy" / "status"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_image_of_another_hypervisor_goes_nowhere(hypervisor: Hypervisor) -> None:
    """Asked for a host of the wrong kind, the scheduler refuses."""
    wrong = {"docker": "debian-lxd", "lxd": "debian-vm", "libvirt": "debian-docker"}
    name = f"it-wrong-{secrets.token_hex(3)}"
    network = openstack("network", "show", cloud.NETWORK)["id"]
    shown = openstack(
        *("--os-compute-api-version", "2.74", "server", "create"),
        *("--flavor", cloud.FLAVOR, "--image", wrong[hypervisor.name]),
        *("--nic", f"net-id={network}", "--host", hypervisor.host, name),
        cloud=cloud.ADMINISTRATOR,
    )
    try:
        server = Server(shown["id"], name)
        final = cloud.wait_for(
            "an end of the attempt",
            lambda: _finished(server),
            60,
        )
        assert final["status"] == "ERROR"
        assert "No valid host" in str(final["fault"])
    finally:
        openstack_text("server", "delete", shown["id"], cloud=cloud.ADMINISTRATOR)


def _finished(server: Server) -> dict[str, object] | None:
    shown = openstack("server", "show", server.id, cloud=cloud.ADMINISTRATOR)
    return shown if shown["status"] in ("ERROR", "ACTIVE") else None


#: Made by deploy/up, so they are there whatever else is going on.
EXAMPLE = {"web-docker", "web-lxd", "web-vm"}


def test_openstackclient_lists_the_example() -> None:
    assert {server["Name"] for server in openstack("server", "list")} >= EXAMPLE


def test_novaclient_lists_the_example() -> None:
    done = subprocess.run(
        ["nova", "list"],
        env={**os.environ, **_novaclient_environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.replace("|", " ").split()) >= EXAMPLE


def _novaclient_environment() -> dict[str, str]:
    """The member's cloud as novaclient takes it, which reads no clouds.yaml."""
    content = yaml.safe_load(pathlib.Path("/etc/openstack/clouds.yaml").read_text())
    settings = content["clouds"][cloud.MEMBER]["auth"]
    return {f"OS_{name.upper()}": str(value) for name, value in settings.items()}


def test_sdk_lists_the_example() -> None:
    with sdk.connect(cloud=cloud.MEMBER) as connection:
        assert {server.name for server in connection.compute.servers()} >= EXAMPLE
