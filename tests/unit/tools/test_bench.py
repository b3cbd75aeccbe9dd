# SPDX-License-Identifier: Apache-2.0
"""The pure parts of tools/bench: figures, the page, the fake compute's settings."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest
from bench import fake_compute, figures, memory, stats

MACHINE = {
    "cores": 2,
    "processor": "a processor",
    "memory_mb": 4096,
    "system": "Debian",
    "kernel": "6.1",
}


def test_the_95th_percentile_was_really_measured() -> None:
    found = stats.summary([float(number) for number in range(20, 0, -1)])
    assert found == stats.Summary(20, 10.5, 19.0, 1.0, 20.0)


def test_of_one_measurement_all_figures_are_that_one() -> None:
    assert stats.summary([3.0]) == stats.Summary(1, 3.0, 3.0, 3.0, 3.0)


def test_no_measurements_have_no_figures() -> None:
    with pytest.raises(ValueError, match="no measurements"):
        stats.summary([])


def test_the_page_tells_ratios_to_the_floor() -> None:
    seconds = {
        "fake": {"create": [1.0, 1.0], "delete": [0.5, 0.5]},
        "lxd": {"create": [1.25, 1.25], "delete": [0.6, 0.6]},
    }
    page = figures.page(
        {
            "date": "2026-01-01",
            "machine": MACHINE,
            "servers": {"load": 0.5, "seconds": seconds},
        }
    )
    cells = ["LXD", "2", "1.25", "1.25", "1.25", "0.60", "0.60"]
    assert "   * - " + "\n     - ".join(cells) in page
    assert "* - Docker" not in page
    assert "Memory" not in page


def test_the_page_adds_up_the_memory() -> None:
    page = figures.page(
        {"date": "d", "machine": MACHINE, "memory": {"a": 10.0, "b": 5.4}}
    )
    assert "   * - **All**\n     - **15**" in page


def test_the_page_compares_the_provisioning_service() -> None:
    found = {
        "load": 0.5,
        "count": 30,
        "wall": 33.0,
        "plain": 30.0,
        "accept": [0.2] * 30,
        "own": [0.1] * 30,
        "cpu": [0.02] * 30,
        "page": [0.04, 0.045],
        "delay": [0.1, 0.2, 0.3],
    }
    page = figures.page({"date": "d", "machine": MACHINE, "provisioning": found})
    assert "33.0 s by the service, 30.0 s by openstacksdk" in page
    assert "1.10 times" in page
    cells = ["30", "0.020", "0.020", str(figures.GOAL_ACCEPT)]
    assert "\n     - ".join(cells) in page


def test_the_fake_compute_has_settings_of_its_own(tmp_path: Path) -> None:
    common = (
        "[DEFAULT]\nhost = node\ntransport_url = rabbit://u:50%@h/\n[DEFAULT]\n"
        "compute_driver = nova_multi.LibvirtDriver\nhost = node\n"
        "[oslo_concurrency]\nlock_path = /x\n"
    )
    parser = configparser.RawConfigParser()
    parser.read_string(fake_compute.configuration(common, "node", tmp_path))
    assert parser["DEFAULT"]["host"] == "node-fake"
    assert parser["DEFAULT"]["compute_driver"] == "fake.FakeDriver"
    assert parser["DEFAULT"]["transport_url"] == "rabbit://u:50%@h/"
    assert parser["nova_multi"]["chassis_hosts"] == "node-fake:node"
    for section, option in (
        ("DEFAULT", "state_path"),
        ("oslo_concurrency", "lock_path"),
    ):
        assert parser[section][option].startswith(str(tmp_path))


def _process(
    proc: Path, pid: int, parent: int, command: str, pss: int, mark: str = ""
) -> None:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "stat").write_text(f"{pid} (a (b) c) S {parent} 0 0")
    (folder / "cmdline").write_bytes(command.encode().replace(b" ", b"\0"))
    variable = f"NOVA_MULTI_SERVICE={mark}\0" if mark else ""
    (folder / "environ").write_bytes(f"A=1\0{variable}".encode())
    (folder / "cgroup").write_text("0::/\n")
    (folder / "smaps_rollup").write_text(f"Rss: 9999 kB\nPss:       {pss} kB\n")


def test_memory_counts_descendants_and_leaves_guests_out(tmp_path: Path) -> None:
    _process(tmp_path, 10, 1, "dockerd --flag", 2048, mark="dockerd")
    _process(tmp_path, 11, 10, "containerd", 1024)
    _process(tmp_path, 12, 1, "containerd-shim-runc-v2 -id x", 512, mark="dockerd")
    _process(tmp_path, 13, 12, "sleep 1", 512)
    _process(tmp_path, 14, 1, "somebody else's", 512)
    found = memory.by_service(proc=tmp_path, pids=tmp_path / "none")
    assert found == {"dockerd": 3.0}
    whole = memory.by_service(guests=True, proc=tmp_path, pids=tmp_path / "none")
    assert whole == {"dockerd": 4.0}
