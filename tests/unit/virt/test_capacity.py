# SPDX-License-Identifier: Apache-2.0
"""Shares of a machine, ratios and traits."""

from types import SimpleNamespace

import os_resource_classes as orc
import pytest
from nova.compute import power_state

from nova_multi.virt import capacity, engine
from nova_multi.virt.power import NOVA_STATES

INFO = engine.EngineInfo("docker", (20, 10, 24), "btrfs", True, 100, 30)


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr(capacity, "machine_memory_mb", lambda: 24_000)
    monkeypatch.setattr(capacity.os, "sched_getaffinity", lambda pid: {0, 1})


def configured(**changed):
    names = {f"{w}_allocation_ratio": None for w in ("cpu", "ram", "disk")}
    initial = {
        "initial_cpu_allocation_ratio": 4.0,
        "initial_ram_allocation_ratio": 1.0,
        "initial_disk_allocation_ratio": 1.0,
    }
    return SimpleNamespace(**{**names, **initial, **changed})


def test_a_share_of_memory_and_disk(machine):
    measured = capacity.measure(INFO, 0.25)
    assert measured == capacity.HostCapacity(2, 6000, 25, 25)


def test_free_disk_is_never_more_than_is_free(machine):
    assert capacity.measure(INFO, 1.0).disk_free_gb == 30


def test_shares_add_up_to_the_machine(machine):
    shares = (0.5, 0.25, 0.25)
    measured = [capacity.measure(INFO, share) for share in shares]
    assert sum(m.memory_mb for m in measured) == 24_000
    assert sum(m.disk_gb for m in measured) == 100
    vcpus = [
        m.vcpus * capacity.allocation_ratios({}, configured(), share)[orc.VCPU]
        for m, share in zip(measured, shares, strict=True)
    ]
    assert sum(vcpus) == 2 * 4.0


def test_a_configured_ratio_wins_and_is_divided():
    present = {orc.VCPU: {"allocation_ratio": 9.0}}
    conf = configured(cpu_allocation_ratio=8.0, ram_allocation_ratio=1.5)
    ratios = capacity.allocation_ratios(present, conf, 0.5)
    assert ratios == {orc.VCPU: 4.0, orc.MEMORY_MB: 1.5, orc.DISK_GB: 1.0}


def test_a_ratio_in_placement_is_kept_and_not_divided_again():
    present = {orc.VCPU: {"allocation_ratio": 2.0}}
    assert capacity.allocation_ratios(present, configured(), 0.5)[orc.VCPU] == 2.0


def test_no_more_is_reserved_than_there_is(machine):
    made = capacity.inventory(
        capacity.measure(INFO, 0.01),
        capacity.allocation_ratios({}, configured(), 0.01),
        {orc.MEMORY_MB: 512},
    )
    assert made[orc.MEMORY_MB]["total"] == 240
    assert made[orc.MEMORY_MB]["reserved"] == 240
    assert made[orc.VCPU]["reserved"] == 0


def test_the_hypervisor_as_nova_lists_it(machine):
    made = capacity.available_resource(capacity.measure(INFO, 1.0), INFO, "n-docker")
    assert made["hypervisor_type"] == "docker"
    assert made["hypervisor_version"] == 20_010_024
    assert made["hypervisor_hostname"] == "n-docker"
    assert made["supported_instances"][0][1:] == ("docker", "exe")


def test_traits_follow_the_storage():
    disk = "CUSTOM_NOVA_MULTI_DISK_LIMITS"
    assert capacity.traits(INFO) == ({"CUSTOM_HYPERVISOR_DOCKER", disk}, set())
    without = engine.EngineInfo("lxd", (5,), "dir", False, 1, 1)
    assert capacity.traits(without) == ({"CUSTOM_HYPERVISOR_LXD"}, {disk})


def test_memory_of_the_machine(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       2048000 kB\nMemFree: 1 kB\n")
    assert capacity.machine_memory_mb(str(meminfo)) == 2000
    meminfo.write_text("MemFree: 1 kB\n")
    with pytest.raises(OSError, match="MemTotal"):
        capacity.machine_memory_mb(str(meminfo))


def test_every_state_has_a_word_of_nova():
    assert set(NOVA_STATES) == set(engine.GuestState)
    assert NOVA_STATES[engine.GuestState.UNKNOWN] == power_state.NOSTATE
