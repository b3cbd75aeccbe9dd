# SPDX-License-Identifier: Apache-2.0
"""deploy/up, status and down on a bare machine, from nothing to nothing.

The tests of one machine are one story and run in this order.
"""

from __future__ import annotations

import ipaddress
import json
import random

import pytest

from tests.deploy import snapshot
from tests.deploy.machine import Ended, Machine

EXAMPLE = ("web-docker", "web-lxd", "web-vm")
#: The service that is stopped, and whose definition is deleted.
SERVICE = "placement"
DEFINITIONS = {
    "plain": f"/etc/nova-multi/supervisor/programs/{SERVICE}.conf",
    "systemd": f"/etc/systemd/system/nova-multi-{SERVICE}.service",
}
STOP = {
    "plain": (
        "/opt/nova-multi/deploy-venv/bin/supervisorctl",
        *("-c", "/etc/nova-multi/supervisor/supervisord.conf", "stop", SERVICE),
    ),
    "systemd": ("systemctl", "stop", f"nova-multi-{SERVICE}"),
}


def assert_shows_the_example(ended: Ended) -> None:
    for server in EXAMPLE:
        assert server in ended.output, str(ended)


def assert_all_is_well(machine: Machine) -> None:
    ended = machine.status()
    assert ended.status == 0, str(ended)


#: Where deploy/up notes which packages Python has brought along.
MANIFEST = "/var/lib/nova-multi/manifest.jsonl"


@pytest.fixture(scope="module")
def bare(machine: Machine) -> snapshot.State:
    """What the machine is like without Python."""
    return snapshot.take(machine)


@pytest.fixture(scope="module")
def before(machine: Machine, bare: snapshot.State) -> snapshot.State:
    """What it was like with Python, which deploy/up and deploy/down need and leave."""
    installed = machine.run("sh", "deploy/cli/python.sh", MANIFEST)
    assert installed.status == 0, str(installed)
    # The manifest's folder goes with the deployment.
    return snapshot.take(machine) | {"ours": bare["ours"]}


def test_a_look_whether_it_can_work_changes_nothing(
    machine: Machine, bare: snapshot.State
) -> None:
    checked = machine.run("./deploy/up", "--check")
    assert checked.status == 0, str(checked)
    assert snapshot.differences(bare, snapshot.take(machine)) == []


def test_the_same_with_python(machine: Machine, before: snapshot.State) -> None:
    checked = machine.run("./deploy/up", "--check")
    assert checked.status == 0, str(checked)
    after = snapshot.take(machine) | {"ours": before["ours"]}
    assert snapshot.differences(before, after) == []


def test_killed_at_any_moment_it_goes_on(
    machine: Machine, before: snapshot.State, moments: random.Random
) -> None:
    with machine.watched():
        kills = (
            {"seconds": moments.uniform(2, 15)},
            {"part": moments.uniform(0.02, 0.3)},
            {"part": moments.uniform(0.3, 0.6)},
            {"part": moments.uniform(0.6, 0.95)},
        )
        for kill in kills:
            ended = machine.up_killed(**kill)
            assert ended is None, f"not killed as planned ({kill}): {ended}"
        ended = machine.up()
    assert_shows_the_example(ended)
    assert_all_is_well(machine)


def test_run_again_it_changes_nothing(machine: Machine) -> None:
    ended = machine.up()
    assert ended.changes == 0, str(ended)
    assert_shows_the_example(ended)


def test_what_was_deleted_by_hand_is_put_back(machine: Machine) -> None:
    chassis = json.loads(
        machine.path("/etc/nova-multi/chassis/chassis.json").read_text()
    )
    bridge = chassis["bridges"][0]
    network = str(ipaddress.ip_interface(bridge["address"]).network)
    (module,) = machine.path("/opt/nova-multi/venv/lib").glob(
        "python3*/site-packages/glance/version.py"
    )
    definition = machine.path(DEFINITIONS[machine.init])
    refused = chassis["unreachable"][1]
    routes = ([network, "dev", bridge["name"]], ["type", "unreachable", refused])
    machine.network("ip", "route", "delete", *routes[0])
    machine.network("ip", "route", "delete", "unreachable", refused)
    assert not any(machine.network("ip", "route", "show", *each) for each in routes)
    kept = definition.read_text()
    definition.unlink()
    module.unlink()

    # Verbose: what it then tells is searched for secrets, too.
    ended = machine.up("-vv")

    assert ended.changes > 0, str(ended)
    for route in routes:
        assert machine.network("ip", "route", "show", *route).strip(), route
    assert definition.read_text() == kept
    assert module.exists()
    assert_all_is_well(machine)


def test_status_names_a_service_that_is_stopped(machine: Machine) -> None:
    stopped = machine.run(*STOP[machine.init])
    assert stopped.status == 0, str(stopped)

    ended = machine.status()

    assert ended.status == 1, str(ended)
    faulty = [line.split()[1] for line in ended.output.split("\n") if "FAIL" in line]
    assert SERVICE in faulty, str(ended)
    machine.up()
    assert_all_is_well(machine)


def test_no_secret_was_in_a_process_list_or_printed(machine: Machine) -> None:
    lines = machine.path("/etc/nova-multi/passwords.yml").read_text().splitlines()
    secrets = dict(line.split(": ") for line in lines if line and line[0] != "#")
    assert len(secrets) > 10
    # Else nothing was watched.
    assert any(b"ansible-playbook" in line for line in machine.command_lines)
    told = {
        name
        for name, secret in secrets.items()
        if any(secret.encode() in line for line in machine.command_lines)
        or any(secret in output for output in machine.printed)
    }
    assert not told


def test_down_leaves_the_machine_as_it_was(
    machine: Machine, before: snapshot.State
) -> None:
    ended = machine.run("./deploy/down", "--yes", "--purge")
    assert ended.status == 0, str(ended)

    different = snapshot.differences(before, snapshot.take(machine))
    assert not different, "\n".join(different)
    again = machine.run("./deploy/down", "--yes", "--purge")
    assert again.status == 0, str(again)
    assert "nothing to take back" in again.output
