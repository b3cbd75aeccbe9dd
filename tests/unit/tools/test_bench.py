# SPDX-License-Identifier: Apache-2.0
"""The pure parts of tools/bench: figures, the page, the fake compute's settings."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from bench import (
    environments,
    fake_compute,
    figures,
    memory,
    plans,
    requests,
    stats,
)
from bench.errors import BenchError
from keystoneauth1 import session

from nova_multi import spec
from nova_multi.cloud import clouds

SOURCE = Path(__file__).parents[3]
TOOLS = [each for each in sys.path if each.endswith("tools/lib")]

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


def test_plans_are_made_in_processes_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plans, "COUNTS", (7, 40))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*TOOLS, str(SOURCE)]))
    found = plans.measure(lambda text: None)
    assert set(found) == {"7", "40"}
    assert all(value >= 0 for one in found.values() for value in one.values())
    page = figures.page({"date": "d", "machine": MACHINE, "plans": found})
    assert "   * - 40\n" in page


@pytest.mark.parametrize("count", [2, 10, 11, 12, 1000])
def test_files_of_plans_have_so_many_instances(count: int) -> None:
    wanted = spec.load_text(plans.text(count))
    assert sum(each.count for each in wanted.instances.values()) == count


def test_a_plan_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "COUNTS", (0,))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*TOOLS, str(SOURCE)]))
    with pytest.raises(BenchError, match="the plan of 0 instances failed: "):
        plans.measure(lambda text: None)


def line(method: str, url: str) -> str:
    """As the service tells a request."""
    told = f"{method} {url}: HTTP 200, request req-1"
    return f"2026-01-01 10:00:00.123 7 DEBUG nova_multi.cloud.clouds [-] {told}\n"


LOG = (
    line("GET", "http://h:9696/v2.0/ports?name=POST")
    + line("POST", "http://h/v3/auth/tokens")
    + line("POST", "http://h/v2.1/servers")
    + "2026-01-01 10:00:00.123 7 DEBUG other [-] POST http://h/x: HTTP 200\n"
    + line("DELETE", "http://h/v2.0/ports/1")
    + line("HEAD", "http://h/v2/images")
)


def test_requests_are_told_by_the_service(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In the form that is looked for, by what is asked for in the configuration."""
    levels = requests.configuration("[provision]\n")
    assert f"{clouds.LOG.name}=DEBUG" in levels
    answer = mock.Mock(status_code=200, headers={})
    with (
        mock.patch.object(session.Session, "request", return_value=answer),
        caplog.at_level("DEBUG", clouds.LOG.name),
    ):
        clouds._Session().request("http://h/v2.1/servers", "POST")
    assert requests.writes(f" {clouds.LOG.name} [-] {caplog.messages[0]}\n") == 1


def test_requests_are_counted() -> None:
    assert requests.counted(LOG) == {"GET": 1, "POST": 1, "DELETE": 1, "HEAD": 1}
    assert requests.writes(LOG) == 2
    assert requests.writes("") == 0


def test_logins_change_nothing() -> None:
    assert requests.writes(line("POST", "http://h/v3/auth/tokens")) == 0


def test_the_second_service_is_configured_as_the_first() -> None:
    deployed = (
        "[DEFAULT]\ntransport_url = rabbit://u:50%@h/\n[provision]\n"
        "external_network = public\nvendordata = true\ndns = 10.0.0.1\n"
        "[database]\nconnection = mysql://u:secret@h/\n"
    )
    # Without the inheritance of other sections.
    parser = configparser.RawConfigParser(default_section="none")
    parser.read_string(requests.configuration(deployed))
    assert dict(parser["provision"]) == {
        "external_network": "public",
        "dns": "10.0.0.1",
    }
    assert "nova_multi.cloud.clouds=DEBUG" in parser["DEFAULT"]["default_log_levels"]
    assert parser.sections() == ["DEFAULT", "provision"]


@pytest.mark.parametrize("count", [1, 2, 4, 30])
def test_definitions_have_so_many_instances(count: int) -> None:
    wanted = spec.load_dict(environments.definition("bench-1", count))
    assert sum(each.count for each in wanted.instances.values()) == count
    assert wanted.partition == "bench-1"


@pytest.mark.parametrize("count", [30, 1000, 1003, 10000])
def test_large_definitions_have_so_many_instances(count: int) -> None:
    wanted = spec.load_dict(environments.large("bench-1", count))
    assert sum(each.count for each in wanted.instances.values()) == count


def test_the_script_that_is_waited_for_is_one() -> None:
    text = environments.script()
    done = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    # It ends as the example's does.
    text = text.replace(environments.SITE.read_text(), "exit 3\n")
    text = f"output() {{ echo $1 $2; }}\n{text}"
    done = subprocess.run(["sh"], input=text, text=True, capture_output=True)
    assert done.returncode == 3
    assert re.fullmatch(r"ran [\d.]+ [\d.]+\n", done.stdout), done.stderr


def test_the_page_tells_of_environments() -> None:
    found = {
        "load": 0.5,
        "count": 20,
        "stand": 24,
        "plans": {"1000": 0.3, "10000": 2.5},
        "wall": 23.0,
        "plain": 20.0,
        "again": {"api": [0.4] * 3, "command": [1.9] * 3},
        "waits": {"docker": [0.5, 0.6], "lxd": [0.7, 0.8]},
        "requests": {
            "count": 3,
            "first": 20,
            "first_all": 60,
            "again": 0,
            "again_all": 9,
        },
    }
    page = figures.page({"date": "d", "machine": MACHINE, "environments": found})
    assert "1.15 times; the aim is at most 1.15" in page
    assert "9, and 0 of those" in page
    cells = ["Waiting too long for a script, LXD", "2", "0.75", "0.80", "1.0"]
    assert "   * - " + "\n     - ".join(cells) in page
    cells = ["Apply of 24 instances that stand already, by the command", "3", "1.90"]
    assert "   * - " + "\n     - ".join(cells) in page
