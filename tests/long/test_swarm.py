# SPDX-License-Identifier: Apache-2.0
"""A Docker Swarm of virtual machines: made, with a node more, with a node less."""

from __future__ import annotations

import re
from pathlib import Path

from tests.integration import environments
from tests.integration.environments import Environment
from tests.integration.provisioning import Client
from tests.long.conftest import Build


def containers(swarm: Environment) -> set[str]:
    """Names of the site's containers that answer, whichever machine they are on."""
    url = swarm.outputs()["site"]
    answers = {swarm.page(url, "/cgi-bin/name", 60) for _ in range(6)}
    assert all(answer.startswith("container ") for answer in answers), answers
    return answers


def ready(swarm: Environment) -> set[str]:
    """Machines of which the manager's script has said that they are ready."""
    [manager] = [each for each in swarm.instances() if each["name"] == "manager"]
    console = swarm.admin.connection.compute.get_server_console_output(manager["uuid"])
    return set(re.findall(r" log (\S+): Ready", console["output"]))


def test_a_swarm(admin: Client, build: Build, tmp_path: Path) -> None:
    image = build("swarm")
    with environments.example(admin, "swarm/swarm.yaml", tmp_path) as swarm:
        swarm.give(image=image)
        swarm.apply(create=4)
        assert ready(swarm) == {"manager", "node-1", "node-2"}
        # Two of them; each request is given to the next one.
        assert len(containers(swarm)) == 2
        before = swarm.stands()

        swarm.give(image=image, nodes=3, replicas=3)
        swarm.apply(create=1, replace=1, unchanged=2)
        assert ready(swarm) == {"manager", "node-1", "node-2", "node-3"}
        assert len(containers(swarm)) == 3
        assert len(before & swarm.servers()) == 2

        swarm.give(image=image, nodes=1)
        swarm.apply(update=1, replace=1, delete=2)
        # The first node has another name now, but its guest calls itself as before.
        assert ready(swarm) == {"manager", "node-1"}
        assert len(containers(swarm)) == 2
        swarm.destroy()
