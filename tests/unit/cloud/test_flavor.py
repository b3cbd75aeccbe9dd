# SPDX-License-Identifier: Apache-2.0
"""Flavors are found, made once, and complete; the fake keeps Nova's rules."""

from __future__ import annotations

import threading

import pytest

from nova_multi.cloud.flavor import extra_specs, flavor_name
from nova_multi.domain import errors
from nova_multi.domain.driver import Driver
from nova_multi.domain.host import HostType

from .fake import Answer, nova_error

COMPUTE = HostType.COMPUTE_OPTIMIZED
TYPE_SPEC = {"trait:CUSTOM_NOVA_MULTI_HOST_COMPUTE_OPTIMIZED": "required"}
DOCKER_SPEC = {"trait:CUSTOM_HYPERVISOR_DOCKER": "required"}


def raw_flavor(name, cpus=1, ram=512, disk=1, specs=None, **changes):
    return {
        "id": name,
        "name": name,
        "vcpus": cpus,
        "ram": ram,
        "disk": disk,
        "swap": "",
        "OS-FLV-EXT-DATA:ephemeral": 0,
        "OS-FLV-DISABLED:disabled": False,
        "os-flavor-access:is_public": True,
        "extra_specs": dict(specs or {}),
        **changes,
    }


class Nova:
    """Flavors with unique names and ids; traits come by a request of their own."""

    def __init__(self, fake, *flavors):
        self.flavors = {flavor["id"]: flavor for flavor in flavors}
        self.lock = threading.Lock()
        self.spec_conflicts = 0
        fake.on("compute", "GET", "/flavors/([^/]+)", self.shown)
        fake.on("compute", "GET", "/flavors/detail", self.listed)
        fake.on("compute", "POST", "/flavors", self.create)
        fake.on("compute", "POST", "/flavors/([^/]+)/os-extra_specs", self.add_specs)
        fake.on("compute", "DELETE", "/flavors/([^/]+)", self.delete)

    def listed(self, call):
        assert call.query["is_public"] == ["True"]
        return {"flavors": list(self.flavors.values())}

    def shown(self, call, name):
        return {"flavor": self.flavors[name]}

    def create(self, call):
        asked = call.body["flavor"]
        with self.lock:
            if asked["id"] in self.flavors:
                raise nova_error(409, f"Flavor with ID {asked['id']} already exists.")
            made = raw_flavor(
                asked["name"],
                asked["vcpus"],
                asked["ram"],
                asked["disk"],
                description=asked["description"],
            )
            self.flavors[asked["id"]] = made
            return {"flavor": made}

    def add_specs(self, call, name):
        with self.lock:
            if self.spec_conflicts:
                self.spec_conflicts -= 1
                raise nova_error(409, "Flavor extra spec update failed")
            self.flavors[name]["extra_specs"].update(call.body["extra_specs"])
            return {"extra_specs": self.flavors[name]["extra_specs"]}

    def delete(self, call, name):
        if not self.flavors.pop(name, None):
            raise nova_error(404, "none")
        return Answer(202)


@pytest.mark.parametrize(
    ("host_type", "driver", "expected"),
    [
        (None, None, "nm-c2-m2048-d10"),
        (None, Driver.LIBVIRT, "nm-c2-m2048-d10"),
        (None, Driver.DOCKER, "nm-c2-m2048-d10-docker"),
        (HostType.GENERAL_PURPOSE, Driver.LXD, "nm-c2-m2048-d10-lxd-general-purpose"),
        (COMPUTE, None, "nm-c2-m2048-d10-compute-optimized"),
    ],
)
def test_names(host_type, driver, expected):
    assert flavor_name((2, 2048, 10), host_type, driver) == expected


def test_every_demand_has_a_name_of_its_own():
    demands = [
        (kind, driver) for kind in (None, *HostType) for driver in (None, *Driver)
    ]
    by_name = {}
    for kind, driver in demands:
        name = flavor_name((1, 1, 1), kind, driver)
        specs = extra_specs(kind, driver)
        assert by_name.setdefault(name, specs) == specs


def test_extra_specs():
    assert extra_specs(COMPUTE, Driver.DOCKER) == {**TYPE_SPEC, **DOCKER_SPEC}
    assert extra_specs(None, Driver.LIBVIRT) == {}


def test_made_when_there_is_none(fake, admin):
    nova = Nova(fake, raw_flavor("m1.tiny"))
    found = admin.flavors.find_or_make(2, 2048, 10, host_type=COMPUTE)
    assert found.id == "nm-c2-m2048-d10-compute-optimized"
    assert found.extra_specs == TYPE_SPEC
    assert nova.flavors[found.id]["extra_specs"] == TYPE_SPEC
    assert fake.lines() == [
        "GET compute/flavors/detail",
        "POST compute/flavors",
        f"POST compute/flavors/{found.id}/os-extra_specs",
    ]


def test_found_again_in_one_request(fake, admin):
    nova = Nova(fake)
    first = admin.flavors.find_or_make(2, 2048, 10, driver=Driver.DOCKER)
    fake.calls.clear()
    second = admin.flavors.find_or_make(2, 2048, 10, driver=Driver.DOCKER)
    assert second == first
    assert fake.lines() == ["GET compute/flavors/detail"]
    assert len(nova.flavors) == 1


def test_an_operators_flavor_is_taken(fake, admin):
    Nova(fake, raw_flavor("b"), raw_flavor("a"), raw_flavor("c", ram=1024))
    assert admin.flavors.find_or_make(1, 512, 1).id == "a"
    assert len(fake.calls) == 1


@pytest.mark.parametrize(
    "other",
    [
        raw_flavor("x", specs={"hw:cpu_policy": "dedicated"}),
        raw_flavor("x", cpus=2),
        raw_flavor("x", disk=2),
        raw_flavor("x", swap=64),
        raw_flavor("x", **{"OS-FLV-EXT-DATA:ephemeral": 5}),
        raw_flavor("x", **{"OS-FLV-DISABLED:disabled": True}),
        raw_flavor("x", specs=DOCKER_SPEC),
    ],
)
def test_an_operators_flavor_that_differs_is_not(fake, admin, other):
    Nova(fake, other)
    assert admin.flavors.find_or_make(1, 512, 1).id == "nm-c1-m512-d1"


def test_two_at_once_leave_one(fake, admin, monkeypatch):
    nova = Nova(fake)
    together = threading.Barrier(4)
    look = admin.flavors.flavors

    def all_look_before_any_makes():
        seen = look()
        together.wait(10)
        return seen

    monkeypatch.setattr(admin.flavors, "flavors", all_look_before_any_makes)
    found = []

    def make():
        found.append(admin.flavors.find_or_make(1, 64, 1, host_type=COMPUTE))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fake.lines().count("POST compute/flavors") == 4
    assert len(found) == 4
    assert {each.id for each in found} == set(nova.flavors)
    assert len(nova.flavors) == 1
    assert all(each.extra_specs == TYPE_SPEC for each in found)


def test_what_a_dead_maker_left_is_completed(fake, admin):
    name = "nm-c1-m512-d1-docker"
    nova = Nova(fake, raw_flavor(name))
    found = admin.flavors.find_or_make(1, 512, 1, driver=Driver.DOCKER)
    assert found.id == name
    assert nova.flavors[name]["extra_specs"] == DOCKER_SPEC


def test_one_that_waits_for_its_traits_is_not_taken_for_another(fake, admin):
    nova = Nova(fake, raw_flavor("nm-c1-m512-d1-docker"))
    found = admin.flavors.find_or_make(1, 512, 1, driver=Driver.LIBVIRT)
    assert found.id == "nm-c1-m512-d1"
    assert nova.flavors["nm-c1-m512-d1-docker"]["extra_specs"] == {}


def test_a_foreign_flavor_of_our_name(fake, admin):
    Nova(fake, raw_flavor("nm-c1-m512-d1", ram=4096))
    with pytest.raises(errors.NameTaken, match="nm-c1-m512-d1"):
        admin.flavors.find_or_make(1, 512, 1)


@pytest.mark.parametrize(("conflicts", "fine"), [(2, True), (3, False)])
def test_traits_that_collide(fake, admin, conflicts, fine):
    nova = Nova(fake)
    nova.spec_conflicts = conflicts
    if fine:
        assert admin.flavors.find_or_make(1, 1, 1, host_type=COMPUTE).extra_specs
    else:
        with pytest.raises(errors.Conflict):
            admin.flavors.find_or_make(1, 1, 1, host_type=COMPUTE)


def test_who_may_make_none(fake, cloud):
    Nova(fake)
    message = "Policy doesn't allow os_compute_api:os-flavor-manage:create"
    fake.on("compute", "POST", "/flavors", nova_error(403, message))
    with pytest.raises(errors.Forbidden):
        cloud.flavors.find_or_make(1, 512, 1)


# -- where none can be made

SOME = [
    raw_flavor("small", 1, 512, 1),
    raw_flavor("medium", 2, 2048, 10),
    raw_flavor("medium-pinned", 2, 2048, 10, {"hw:cpu_policy": "dedicated"}),
    raw_flavor("large", 4, 8192, 40),
    raw_flavor("typed", 4, 8192, 40, TYPE_SPEC),
    raw_flavor("docker", 1, 512, 1, DOCKER_SPEC),
]


@pytest.mark.parametrize(
    ("sizes", "wanted", "expected"),
    [
        ((1, 512, 1), {}, "small"),
        ((1, 513, 1), {}, "medium"),
        ((2, 512, 1), {}, "medium"),
        ((1, 1, 11), {}, "large"),
        ((1, 1, 1), {"host_type": COMPUTE}, "typed"),
        ((1, 512, 1), {"driver": Driver.LXD}, "small"),
        ((1, 512, 1), {"driver": Driver.DOCKER}, "small"),
    ],
)
def test_the_smallest_that_fits(fake, cloud, sizes, wanted, expected):
    Nova(fake, *SOME)
    assert cloud.flavors.find_fitting(*sizes, **wanted).id == expected
    assert fake.lines() == ["GET compute/flavors/detail"]


def test_a_flavor_for_another_hypervisor_is_no_choice(fake, cloud):
    Nova(fake, raw_flavor("docker", specs=DOCKER_SPEC))
    assert cloud.flavors.find_fitting(1, 1, 1, driver=Driver.DOCKER).id == "docker"
    with pytest.raises(errors.Unsupported) as caught:
        cloud.flavors.find_fitting(1, 1, 1, driver=Driver.LIBVIRT)
    assert caught.value.field == "driver"


@pytest.mark.parametrize(
    ("sizes", "wanted", "field"),
    [
        ((5, 1, 1), {}, "cpus"),
        ((1, 9000, 1), {}, "memory"),
        ((1, 1, 41), {}, "hdsize"),
        ((1, 1, 1), {"host_type": HostType.STORAGE_OPTIMIZED}, "host_type"),
    ],
)
def test_what_no_flavor_has_is_named(fake, cloud, sizes, wanted, field):
    Nova(fake, *SOME)
    with pytest.raises(errors.Unsupported) as caught:
        cloud.flavors.find_fitting(*sizes, **wanted)
    assert caught.value.field == field


def test_own_are_those_that_were_made_here(fake, admin):
    ours = "Made by nova_multi for the sizes of its instances"
    Nova(
        fake,
        raw_flavor("nm-c1-m64-d1", description=ours),
        raw_flavor("nm-c1-m65-d1", description=None),
        raw_flavor("nm-c1-m66-d1-gold_1", description=ours),
        raw_flavor("m1.tiny", description=ours),
        raw_flavor("nm-c1-m512-d1", id="4", description=ours),
    )
    made = admin.flavors.find_or_make(2, 128, 4, driver=Driver.DOCKER)
    assert made.name == "nm-c2-m128-d4-docker"
    assert {each.name for each in admin.flavors.own()} == {"nm-c1-m64-d1", made.name}


def test_delete(fake, admin):
    Nova(fake, raw_flavor("x"))
    assert admin.flavors.delete("x") is True
    assert admin.flavors.delete("x") is False
