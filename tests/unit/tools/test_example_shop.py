# SPDX-License-Identifier: Apache-2.0
"""The example that the tutorial ends with is one that can be planned."""

import pathlib
import subprocess

import pytest

from nova_multi import spec
from nova_multi.domain.plan import Present
from nova_multi.provision import planner
from tests.unit.provision.planning import facts_of, steps

FOLDER = pathlib.Path(__file__).parents[3] / "examples" / "shop"


@pytest.mark.parametrize("driver", ["docker", "lxd", "libvirt"])
def test_the_file(driver):
    text = (FOLDER / "shop.yaml").read_bytes()
    wanted = spec.load_text(
        text, values={"driver": driver}, read_file=spec.folder_reader(FOLDER)
    )
    facts = facts_of(wanted, secrets={"password": 1})
    plan = planner.plan(wanted, Present(), facts)
    assert steps(plan) == ["create shop", "create db", "create web-1", "create web-2"]
    assert plan.widths == (1, 1, 2)


@pytest.mark.parametrize("name", ["database.sh", "site.sh"])
def test_its_scripts_are_plain_shell(name):
    path = FOLDER / name
    assert path.read_text().startswith("#!/bin/sh\n")
    subprocess.run(["sh", "-n", path], check=True)
