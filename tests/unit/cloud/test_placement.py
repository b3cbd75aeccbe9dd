# SPDX-License-Identifier: Apache-2.0
"""Amounts in few requests, and the requirement that leaves no host."""

from __future__ import annotations

import pytest

from nova_multi.cloud.values import Amount, Needs
from nova_multi.domain import errors
from nova_multi.domain.driver import Driver
from nova_multi.domain.host import HostType

from .fake import Answer

DOCKER, LXD = "CUSTOM_HYPERVISOR_DOCKER", "CUSTOM_HYPERVISOR_LXD"
STORAGE = HostType.STORAGE_OPTIMIZED
DISABLED = "COMPUTE_STATUS_DISABLED"


class Provider:
    def __init__(self, uuid, traits=(), aggregates=(), cpus=4, memory=4096, disk=40):
        self.uuid, self.traits, self.aggregates = uuid, set(traits), set(aggregates)
        self.total = {"VCPU": cpus, "MEMORY_MB": memory, "DISK_GB": disk}
        self.used = dict.fromkeys(self.total, 0)
        self.generation = 1


class Placement:
    """Candidates as Placement finds them, as far as is asked here."""

    def __init__(self, fake, *providers, traits=None):
        self.providers = {each.uuid: each for each in providers}
        known = {trait for each in providers for trait in each.traits}
        self.traits = known | {DISABLED} if traits is None else set(traits)
        self.conflicts = 0
        on = fake.on
        on("placement", "GET", "/allocation_candidates", self.candidates)
        on("placement", "GET", "/traits", self.list_traits)
        on("placement", "PUT", "/traits/(.+)", self.add_trait)
        on("placement", "GET", "/resource_providers", self.listed)
        path = "/resource_providers/([^/]+)/"
        on("placement", "GET", path + "inventories", self.inventories)
        on("placement", "GET", path + "usages", self.usages)
        on("placement", "GET", path + "traits", self.own_traits)
        on("placement", "PUT", path + "traits", self.set_traits)

    def candidates(self, call):
        query = call.query
        wanted = dict(
            pair.split(":") for pair in query["resources"][0].split(",") if pair
        )
        demands = [t for t in query.get("required", [""])[0].split(",") if t]
        for trait in demands:
            if trait.removeprefix("!") not in self.traits:
                raise Answer(400, {"errors": [{"status": 400, "title": "Bad Request"}]})
        found = {}
        for each in self.providers.values():
            free = {k: each.total[k] - each.used[k] for k in each.total}
            fits = all(free[kind] >= int(amount) for kind, amount in wanted.items())
            for trait in demands:
                has = trait.removeprefix("!") in each.traits
                fits &= has != trait.startswith("!")
            for member in query.get("member_of", []):
                groups = set(member.removeprefix("!").removeprefix("in:").split(","))
                fits &= bool(groups & each.aggregates) != member.startswith("!")
            fits &= query.get("in_tree", [each.uuid])[0] == each.uuid
            if fits:
                found[each.uuid] = {
                    "resources": {
                        kind: {"capacity": each.total[kind], "used": each.used[kind]}
                        for kind in each.total
                    },
                    "traits": sorted(each.traits),
                    "parent_provider_uuid": None,
                    "root_provider_uuid": each.uuid,
                }
        return {
            "allocation_requests": [{"allocations": {u: {}}} for u in found],
            "provider_summaries": found,
        }

    def list_traits(self, call):
        names = call.query["name"][0].removeprefix("in:").split(",")
        return {"traits": sorted(self.traits & set(names))}

    def add_trait(self, call, name):
        self.traits.add(name)
        return Answer(201)

    def listed(self, call):
        return {
            "resource_providers": [
                {"uuid": u, "name": f"name-{u}", "parent_provider_uuid": None}
                for u in self.providers
            ]
            + [{"uuid": "child", "name": "x", "parent_provider_uuid": "p1"}]
        }

    def _one(self, uuid):
        if uuid not in self.providers:
            raise Answer(404, {"errors": [{"detail": "none"}]})
        return self.providers[uuid]

    def inventories(self, call, uuid):
        return {
            "inventories": {
                kind: {"total": 2 * total, "reserved": total, "allocation_ratio": 1.0}
                for kind, total in self._one(uuid).total.items()
            }
        }

    def usages(self, call, uuid):
        return {"usages": self._one(uuid).used}

    def own_traits(self, call, uuid):
        each = self._one(uuid)
        return {
            "traits": sorted(each.traits),
            "resource_provider_generation": each.generation,
        }

    def set_traits(self, call, uuid):
        each = self._one(uuid)
        if self.conflicts:
            self.conflicts -= 1
            each.generation += 1
            each.traits.add(f"CUSTOM_FROM_THE_COMPUTE_{self.conflicts}")
        if call.body["resource_provider_generation"] != each.generation:
            raise Answer(409, {"errors": [{"code": "placement.concurrent_update"}]})
        each.traits = set(call.body["traits"])
        each.generation += 1
        return call.body


# -- amounts


@pytest.mark.parametrize("number", [1, 300])
def test_any_number_of_providers_costs_two_requests(fake, admin, number):
    Placement(fake, *(Provider(f"p{n}", [DOCKER]) for n in range(number)))
    found = admin.placement.providers()
    assert len(found) == number
    assert found[0].name == "name-p0"
    assert found[0].amounts["MEMORY_MB"] == Amount(4096, 0)
    assert found[0].traits == {DOCKER}
    assert len(fake.calls) == 2


@pytest.mark.parametrize(
    ("full", "requests"),
    [(("VCPU",), 3), (("VCPU", "MEMORY_MB"), 4), (("VCPU", "MEMORY_MB", "DISK_GB"), 7)],
)
def test_a_full_provider(fake, admin, full, requests):
    """Only one that has nothing left is asked itself."""
    first = Provider("p1", [LXD])
    for kind in full:
        first.used[kind] = first.total[kind] + 1
    Placement(fake, first, Provider("p2"))
    first, second = admin.placement.providers()
    assert first.amounts["VCPU"] == Amount(4, 5)
    assert first.amounts["VCPU"].free == 0
    assert first.traits == {LXD}
    assert second.amounts["VCPU"].free == 4
    assert len(fake.calls) == requests


def test_a_full_cloud_costs_no_more_requests_than_one_provider(fake, admin):
    providers = [Provider(f"p{n}", [LXD]) for n in range(300)]
    for each in providers:
        each.used["VCPU"] = 4
    Placement(fake, *providers)
    assert len(admin.placement.providers()) == 300
    assert len(fake.calls) == 3


def test_a_provider_that_is_gone(fake, admin):
    Placement(fake)
    with pytest.raises(errors.NotFound):
        admin.placement.provider("p9")


# -- why nothing fits

SMALL = Needs(cpus=1, memory_mb=512, disk_gb=1)


def needs(**changes):
    return Needs(**{"cpus": 1, "memory_mb": 512, "disk_gb": 1, **changes})


@pytest.fixture
def two(fake):
    """A Docker host for storage in partition a, an LXD host in none."""
    return Placement(
        fake,
        Provider("p1", [DOCKER, STORAGE.trait], ["agg-a"]),
        Provider("p2", [LXD], memory=512),
        traits=[DOCKER, LXD, DISABLED, STORAGE.trait],
    )


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (needs(), ()),
        (needs(driver=Driver.DOCKER, host_type=STORAGE), ()),
        (needs(aggregates=frozenset({"agg-a"}), node="p1"), ()),
        (needs(outside=frozenset({"agg-a"})), ()),
        (needs(disk_gb=0), ()),
        (needs(cpus=5), ("cpus",)),
        (needs(memory_mb=5000), ("memory",)),
        (needs(disk_gb=50), ("disk",)),
        (needs(node="p7"), ("node",)),
        (needs(driver=Driver.LIBVIRT), ("driver",)),
        (needs(aggregates=frozenset({"agg-b"})), ("partition",)),
        (needs(host_type=HostType.HIGH_PERFORMANCE), ("type",)),
        # Either would help: that the host is full is said before the more particular.
        (needs(driver=Driver.LXD, memory_mb=1024), ("memory",)),
        (needs(node="p2", driver=Driver.DOCKER), ("node",)),
        (needs(outside=frozenset({"agg-a"}), driver=Driver.DOCKER), ("partition",)),
        # Neither alone would.
        (needs(cpus=5, disk_gb=50), ("disk", "cpus")),
        (
            needs(node="p2", cpus=5, driver=Driver.LIBVIRT),
            ("driver", "cpus"),
        ),
    ],
)
def test_missing(fake, admin, two, wanted, expected):
    assert admin.placement.missing(wanted) == expected


def test_one_request_if_something_fits(fake, admin, two):
    assert admin.placement.fits(needs(cpus=1))
    assert fake.lines("placement").count("GET placement/allocation_candidates") == 1
    assert fake.last().query["limit"] == ["1"]
    assert fake.last().headers["OpenStack-API-Version"] == "placement 1.36"


def test_disabled_hosts_do_not_count(fake, admin):
    Placement(fake, Provider("p1", [DISABLED]))
    assert admin.placement.missing(needs()) == ("enabled",)


def test_traits_that_nobody_has_ever_had(fake, admin):
    """Somebody's cloud: Placement has never heard of ours."""
    Placement(fake, Provider("p1"))
    assert admin.placement.missing(needs(driver=Driver.LIBVIRT)) == ()
    assert admin.placement.missing(needs(driver=Driver.LXD)) == ("driver",)
    assert admin.placement.missing(needs(host_type=STORAGE)) == ("type",)


def test_no_hosts_at_all(fake, admin):
    Placement(fake, traits=[DISABLED])
    assert admin.placement.missing(SMALL) == ("hosts",)
    assert not admin.placement.fits(SMALL)


# -- types of hosts


def test_set_host_type(fake, admin):
    placement = Placement(
        fake, Provider("p1", [DOCKER, HostType.MEMORY_OPTIMIZED.trait])
    )
    admin.placement.set_host_type("p1", STORAGE)
    assert placement.providers["p1"].traits == {DOCKER, STORAGE.trait}
    assert STORAGE.trait in placement.traits
    admin.placement.set_host_type("p1", None)
    assert placement.providers["p1"].traits == {DOCKER}


def test_set_host_type_twice(fake, admin):
    placement = Placement(fake, Provider("p1", [STORAGE.trait]))
    admin.placement.set_host_type("p1", STORAGE)
    assert placement.providers["p1"].generation == 1


def test_a_compute_that_changes_its_traits_meanwhile(fake, admin):
    placement = Placement(fake, Provider("p1"))
    placement.conflicts = 2
    admin.placement.set_host_type("p1", STORAGE)
    assert placement.providers["p1"].traits == {
        "CUSTOM_FROM_THE_COMPUTE_0",
        "CUSTOM_FROM_THE_COMPUTE_1",
        STORAGE.trait,
    }


def test_a_compute_that_never_stops(fake, admin):
    placement = Placement(fake, Provider("p1"))
    placement.conflicts = 99
    with pytest.raises(errors.Conflict):
        admin.placement.set_host_type("p1", STORAGE)


def test_allocations(fake, admin):
    path = "/resource_providers/p1/allocations"
    fake.on("placement", "GET", path, {"allocations": {"consumer": {}}})
    assert admin.placement.has_allocations("p1") is True
    fake.on("placement", "GET", path, {"allocations": {}})
    assert admin.placement.has_allocations("p1") is False
