# SPDX-License-Identifier: Apache-2.0
"""Which host an instance goes to, and why none."""

import pytest

from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Conflict, Invalid, NoHost
from nova_multi.domain.host import (
    Host,
    HostState,
    HostType,
    Policy,
    Usage,
    Wanted,
    check_addable,
    choose_host,
)

FEWEST = Policy.FEWEST_INSTANCES
MEMORY = Policy.MOST_FREE_MEMORY


def host(name, *, used_mb=0, used_cpus=0, **fields):
    usage = {
        "cpus": Usage(8, used_cpus),
        "memory_mb": Usage(8192, used_mb),
        "disk_gb": Usage(100, 0),
    }
    fields = {"drivers": tuple(Driver), "usage": usage, **fields}
    return Host(uuid=f"id-{name}", name=name, **fields)


def test_drivers_by_all_their_names():
    for text in ("docker", "lxd", "libvirt"):
        assert Driver.parse(text) == text
    assert Driver.parse("lxc") is Driver.LXD
    assert Driver.parse("kvm") is Driver.parse("qemu") is Driver.LIBVIRT
    assert [d.hypervisor_type for d in Driver] == ["docker", "lxd", "qemu"]
    assert [d.is_container for d in Driver] == [True, True, False]
    for text in ("vmware", "", None, ["lxd"]):
        with pytest.raises(Invalid) as caught:
            Driver.parse(text)
        assert caught.value.field == "driver"


def test_types():
    assert HostType.parse("ComputeOptimized") is HostType.COMPUTE_OPTIMIZED
    assert HostType.HIGH_PERFORMANCE.trait == "CUSTOM_NOVA_MULTI_HOST_HIGH_PERFORMANCE"
    with pytest.raises(Invalid):
        HostType.parse("computeoptimized")


def test_free_is_never_negative():
    assert Usage(10, 4).free == 6
    assert Usage(10, 14).free == 0
    assert Host("u", "bare").free("memory_mb") == 0


def test_the_policy_chooses():
    busy = host("a", used_mb=0, instances=("x", "y"))
    full = host("b", used_mb=4096, instances=("x",))
    assert choose_host([busy, full], Wanted(), FEWEST) is full
    assert choose_host([busy, full], Wanted(), MEMORY) is busy


def test_equal_hosts_are_taken_by_name():
    assert choose_host([host("b"), host("a")], Wanted(), FEWEST).name == "a"
    assert choose_host([host("b"), host("a")], Wanted(), MEMORY).name == "a"


def test_a_partition_has_its_own_hosts():
    hosts = [host("a", instances=()), host("b", partition="dev", instances=("x",))]
    assert choose_host(hosts, Wanted(partition="dev"), FEWEST).name == "b"


def test_a_partition_without_hosts_uses_those_of_none():
    hosts = [host("a", instances=("x",)), host("b", partition="dev")]
    assert choose_host(hosts, Wanted(partition="new"), FEWEST).name == "a"


def test_the_named_node():
    hosts = [host("a"), host("b", instances=("x",))]
    for node in ("b", "id-b"):
        assert choose_host(hosts, Wanted(node=node), FEWEST).name == "b"


def test_a_host_that_has_refused_it_is_not_chosen_again():
    hosts = [
        host("a", partition="dev"),
        host("b", partition="dev", instances=("x",)),
        host("c"),
    ]
    wanted = Wanted(partition="dev", refused=frozenset({"a"}))
    assert choose_host(hosts, wanted, FEWEST).name == "b"
    # That all of a partition's hosts refuse lets it into no others.
    wanted = Wanted(partition="dev", refused=frozenset({"a", "b"}))
    with pytest.raises(NoHost):
        choose_host(hosts, wanted, FEWEST)
    with pytest.raises(NoHost, match=r"accepts it \(refused by a, b\)"):
        choose_host(hosts[:2], wanted, FEWEST)


@pytest.mark.parametrize("policy", Policy)
def test_cpus_that_are_given_away_are_not_given_again(policy):
    """Nova demands no other host in place of one whose CPUs are gone."""
    wide = host("a", used_cpus=8, instances=("x",))
    narrow = host("b", used_cpus=2, used_mb=4096, instances=("x", "y"))
    assert choose_host([wide, narrow], Wanted(cpus=1), policy) is narrow
    assert choose_host([wide], Wanted(cpus=0), policy) is wide


@pytest.mark.parametrize(
    "hosts, wanted, requirement",
    [
        ([], Wanted(), "hosts"),
        ([host("a", enabled=False)], Wanted(), "enabled"),
        ([host("a", state=HostState.DOWN)], Wanted(), "enabled"),
        ([host("a", drivers=(Driver.LXD,))], Wanted(driver=Driver.DOCKER), "driver"),
        ([host("a")], Wanted(type=HostType.HIGH_PERFORMANCE), "type"),
        ([host("a")], Wanted(node="b"), "node"),
        ([host("a")], Wanted(refused=frozenset({"a"})), "refused"),
        ([host("a")], Wanted(cpus=9), "cpus"),
        ([host("a", used_cpus=7)], Wanted(cpus=2), "cpus"),
        ([host("a", used_mb=8000)], Wanted(memory_mb=512), "memory"),
        ([host("a")], Wanted(disk_gb=101), "disk"),
        ([host("a", partition="dev")], Wanted(partition="new"), "partition"),
        # A host fits but for its memory, though none of its type is left before.
        (
            [
                host("a", used_mb=8192, type=HostType.MEMORY_OPTIMIZED),
                host("b", drivers=()),
            ],
            Wanted(type=HostType.MEMORY_OPTIMIZED, driver=Driver.LXD, memory_mb=512),
            "memory",
        ),
        # Leaving out one requirement is not enough: the first that left none.
        (
            [host("a", drivers=())],
            Wanted(driver=Driver.LXD, memory_mb=10_000),
            "driver",
        ),
    ],
)
@pytest.mark.parametrize("policy", Policy)
def test_what_left_no_host(hosts, wanted, requirement, policy):
    with pytest.raises(NoHost) as caught:
        choose_host(hosts, wanted, policy)
    assert caught.value.requirement == requirement


def test_a_degraded_host_is_used_for_the_drivers_that_it_has():
    degraded = host("a", state=HostState.DEGRADED, drivers=(Driver.LXD,))
    assert choose_host([degraded], Wanted(driver=Driver.LXD), FEWEST) is degraded


def test_hosts_that_may_not_be_added():
    check_addable(host("a"), "dev", [])
    check_addable(host("a", partition="dev"), "dev", [])
    with pytest.raises(Conflict, match="partition ops") as caught:
        check_addable(host("a", partition="ops"), "dev", [])
    assert caught.value.code == "host_in_partition"
    with pytest.raises(Conflict, match="web, db") as caught:
        check_addable(host("a"), "dev", ["web", "db"])
    assert caught.value.code == "host_occupied"
