# SPDX-License-Identifier: Apache-2.0
"""The examples' files are such as can be planned, and their scripts are plain shell."""

import pathlib
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

from nova_multi import spec
from nova_multi.domain.errors import Invalid
from nova_multi.domain.plan import Present
from nova_multi.domain.recipe import Packaging
from nova_multi.image_build import plan
from nova_multi.provision import planner
from nova_multi.spec.recipe import load_recipe
from tests.unit.provision import planning
from tests.unit.provision.planning import facts_of, steps

FOLDER = pathlib.Path(__file__).parents[3] / "examples"
RECIPES = sorted(FOLDER.rglob("recipe.yaml"))
FILES = sorted({*FOLDER.rglob("*.yaml")} - {*RECIPES})
SCRIPTS = sorted(FOLDER.rglob("*.sh"))
MACHINE = plan.Machine("amd64", "debian", "bookworm")
DRIVERS = ["docker", "lxd", "libvirt"]


def load(name, **values):
    path = FOLDER / name
    return spec.load_text(
        path.read_bytes(), values=values, read_file=spec.folder_reader(path.parent)
    )


def facts(wanted):
    """All secrets are there."""
    found = {name: 1 for name, each in wanted.inputs.items() if each.secret}
    return facts_of(wanted, secrets=found)


def planned(wanted, present=None):
    return planner.plan(wanted, present or Present(), facts(wanted))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_stands_needs_no_change(path):
    wanted = load(path.relative_to(FOLDER))
    assert planned(wanted).steps
    assert not planned(wanted, planning.made(wanted, facts=facts(wanted))).steps


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_plain_shell(path):
    assert path.read_text().startswith("#!/bin/sh\n# SPDX-License-Identifier: ")
    subprocess.run(["sh", "-n", path], check=True)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.parts[-3])
def test_recipes_can_be_built_and_are_not_taken_for_debian(path):
    recipe = load_recipe(path)
    made = plan.plan(recipe, MACHINE, (Packaging.QCOW2,))
    assert made.needs_kernel
    # Glance's newest image with these is what "debian-12" means.
    assert recipe.properties.get("os_distro", "debian") != "debian"


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_shop(driver):
    made = planned(load("shop/shop.yaml", driver=driver))
    assert steps(made) == ["create shop", "create db", "create web-1", "create web-2"]
    assert made.widths == (1, 1, 2)


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_sites(driver):
    wanted = load("sites.yaml", driver=driver, library_driver=driver)
    assert {each.driver for each in wanted.instances.values()} == {driver}
    assert planned(wanted).widths == (1, 2)
    more = planned(load("sites.yaml", plain=3), planning.made(load("sites.yaml")))
    assert steps(more) == ["update plain-1", "create plain-2", "create plain-3"]


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_campus(driver):
    wanted = load("campus/campus.yaml", driver=driver, office=3, lab=2)
    assert planned(wanted).widths == (1, 1, 5)
    present = planning.made(wanted)
    fewer = load("campus/campus.yaml", driver=driver, office=1, lab=3)
    assert sorted(steps(planned(fewer, present))) == [
        *("create lab-3", "delete office-2", "delete office-3"),
        "update office",
    ]


def test_a_campus_has_at_least_a_machine_of_each_profile():
    with pytest.raises(Invalid) as caught:
        load("campus/campus.yaml", office=0, lab="0", memory=64)
    told = [each.message for each in spec.Problem.of(caught.value)]
    assert told == [
        "the value given for it: 0 is less than the minimum, 1",
        "the value given for it: 0 is less than the minimum, 1",
        "the value given for it: 64 is less than the minimum, 128",
    ]


def test_the_answer_file_has_what_setup_asks_for():
    namespace = "{urn:schemas-microsoft-com:unattend}"
    tree = ElementTree.parse(FOLDER / "campus" / "Autounattend.xml")
    assert tree.getroot().tag == f"{namespace}unattend"
    passes = [each.get("pass") for each in tree.iter(f"{namespace}settings")]
    assert passes == ["windowsPE", "specialize", "oobeSystem"]
    [eula] = tree.iter(f"{namespace}AcceptEula")
    assert eula.text == "true"


def test_a_node_more_is_made_and_the_manager_is_told_of_it():
    wanted = load("swarm/swarm.yaml")
    assert planned(wanted).widths == (1, 2, 1)
    more = load("swarm/swarm.yaml", nodes=3)
    present = planning.made(wanted, facts=facts(wanted))
    assert steps(planned(more, present)) == ["create node-3", "replace manager"]
    fewer = load("swarm/swarm.yaml", nodes=1)
    assert "delete node-2" in steps(planned(fewer, present))
