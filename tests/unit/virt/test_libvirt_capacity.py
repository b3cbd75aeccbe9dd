# SPDX-License-Identifier: Apache-2.0
"""libvirt reports its share of the machine, in physical amounts."""

from __future__ import annotations

from nova_multi.virt.libvirt import capacity


def _entry(total: int, reserved: int = 0) -> dict[str, float]:
    return {"total": total, "reserved": reserved, "allocation_ratio": 8.0}


def test_memory_and_disk_are_reserved_for_the_others() -> None:
    machine = {"MEMORY_MB": _entry(1001, 100), "DISK_GB": _entry(40)}
    divided = capacity.divided(machine, {"VCPU": 4.0}, 0.5)
    assert divided["MEMORY_MB"]["reserved"] == 501 + 100
    assert divided["DISK_GB"]["reserved"] == 20
    assert divided["MEMORY_MB"]["total"] == 1001


def test_processors_are_divided_by_their_ratio() -> None:
    divided = capacity.divided({"VCPU": _entry(2)}, {"VCPU": 4.0}, 0.5)
    assert divided["VCPU"] == {"total": 2, "reserved": 0, "allocation_ratio": 4.0}


def test_never_more_is_reserved_than_there_is() -> None:
    divided = capacity.divided({"MEMORY_MB": _entry(100, 90)}, {"VCPU": 1.0}, 0.5)
    assert divided["MEMORY_MB"]["reserved"] == 100


def test_other_classes_and_the_argument_are_left_alone() -> None:
    machine = {"PCPU": _entry(2), "MEMORY_MB": _entry(100)}
    divided = capacity.divided(machine, {"VCPU": 1.0}, 0.5)
    assert divided["PCPU"] == machine["PCPU"]
    assert machine["MEMORY_MB"]["reserved"] == 0


def test_the_whole_machine_is_the_default() -> None:
    machine = {"MEMORY_MB": _entry(100, 5), "VCPU": _entry(2)}
    assert capacity.divided(machine, {"VCPU": 8.0}, 1.0) == machine
