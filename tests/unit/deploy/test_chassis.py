# SPDX-License-Identifier: Apache-2.0
"""chassis.py beside a machine whose commands are answered from a table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import chassis
import pytest

ADDRESS = "172.24.4.1/24"


class Machine:
    """Answers commands as a machine on which everything is right."""

    def __init__(self, wanted: dict[str, object]) -> None:
        self.wanted = wanted
        self.ran: list[str] = []
        self.answers: dict[str, Callable[[], str]] = {
            "external_ids list": lambda: json.dumps(
                {"data": [[["map", [["hostname", "vm"]]]]]}
            ),
            "get-manager": lambda: "punix:/run/x/db.sock",
            "datapath_type": lambda: '"netdev"',
            "address show": lambda: json.dumps(
                [
                    {
                        "flags": ["UP"],
                        "mtu": 1400,
                        "addr_info": [
                            {"family": "inet", "local": "172.24.4.1", "prefixlen": 24}
                        ],
                    }
                ]
            ),
            "route show dev br-ex": lambda: json.dumps([{"dst": "172.24.4.0/24"}]),
            "route show": lambda: json.dumps([{"dst": "172.24.4.0/24"}]),
            "list table": lambda: "table ip nova_multi {}",
        }

    def run(self, *words: str, stdin: str | None = None) -> str:
        line = " ".join(words)
        self.ran.append(line)
        for key, answer in self.answers.items():
            if key in line:
                return answer()
        return ""

    def fail(self, key: str) -> None:
        def answer() -> str:
            raise chassis.CommandError(key)

        self.answers = {key: answer, **self.answers}


@pytest.fixture
def wanted(tmp_path: Path) -> dict[str, object]:
    state = tmp_path / "state"
    state.mkdir()
    listed = "table ip nova_multi {}"
    (state / "ruleset").write_text(json.dumps({"wanted": "rules", "listed": listed}))
    return {
        "state": str(state),
        "datapath": "netdev",
        "external_ids": {"hostname": "vm"},
        "managers": ["punix:/run/x/db.sock"],
        "bridges": [{"name": "br-ex", "address": ADDRESS, "mtu": 1400}],
        "kernel": {},
        "unreachable": ["172.24.4.0/24"],
        "table": "nova_multi",
        "ruleset": "rules",
    }


@pytest.fixture
def machine(wanted: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(wanted)
    monkeypatch.setattr(chassis, "run", made.run)
    monkeypatch.setattr(chassis, "_appears", lambda _path: False)
    return made


def differences(wanted: dict[str, object]) -> list[str]:
    return [found.what for found in chassis.Chassis(wanted).differences()]


def test_nothing_differs_on_a_machine_that_is_right(
    machine: Machine, wanted: dict[str, object]
) -> None:
    assert differences(wanted) == []


def test_a_route_taken_away_is_put_back(
    machine: Machine, wanted: dict[str, object]
) -> None:
    machine.answers["route show"] = lambda: "[]"
    found = list(chassis.Chassis(wanted).differences())
    assert [difference.what for difference in found] == [
        "route unreachable 172.24.4.0/24"
    ]
    found[0].repair()
    assert "ip route replace unreachable 172.24.4.0/24" in machine.ran[-1]


def test_the_route_to_floating_addresses_is_put_back(
    machine: Machine, wanted: dict[str, object]
) -> None:
    """It is the kernel's own: with its address still there nobody makes it again."""
    machine.answers["route show dev br-ex"] = lambda: "[]"
    found = list(chassis.Chassis(wanted).differences())
    assert [difference.what for difference in found] == ["route 172.24.4.0/24 of br-ex"]
    found[0].repair()
    assert machine.ran[-1] == (
        "ip route replace 172.24.4.0/24 dev br-ex proto kernel scope link "
        "src 172.24.4.1"
    )


def test_rules_that_are_listed_otherwise_are_loaded_again(
    machine: Machine, wanted: dict[str, object]
) -> None:
    machine.answers["list table"] = lambda: "table ip nova_multi { changed }"
    found = list(chassis.Chassis(wanted).differences())
    assert [difference.what for difference in found] == ["packet filter rules"]
    found[0].repair()
    assert differences(wanted) == []


def test_a_missing_bridge_and_a_missing_rule_are_told(
    machine: Machine, wanted: dict[str, object]
) -> None:
    machine.fail("br-exists")
    machine.fail("iptables -w -C")
    assert differences(wanted) == [
        "bridge br-ex",
        "forwarding -i br-ex",
        "forwarding -o br-ex",
    ]


def test_a_value_of_somebody_else_is_kept_for_undo(
    machine: Machine, wanted: dict[str, object]
) -> None:
    machine.answers["external_ids list"] = lambda: json.dumps(
        {"data": [[["map", [["hostname", "other"]]]]]}
    )
    for difference in chassis.Chassis(wanted).differences():
        difference.repair()
    chassis.Chassis(wanted).undo()
    assert 'external_ids:hostname="other"' in " ".join(machine.ran)


def test_check_says_so_by_its_exit_status(
    machine: Machine,
    wanted: dict[str, object],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    configuration = tmp_path / "chassis.json"
    configuration.write_text(json.dumps(wanted))
    assert chassis.main(["check", str(configuration)]) == 0
    machine.answers["route show"] = lambda: "[]"
    assert chassis.main(["check", str(configuration)]) == 1
    assert "route unreachable" in capsys.readouterr().out
    assert chassis.main(["other", str(configuration)]) == 2


def _undone(wanted: dict[str, object], machine: Machine) -> str:
    chassis.Chassis(wanted).undo()
    return "\n".join(machine.ran)


_EMPTY = {
    "nftables": [
        {"metainfo": {}},
        {"table": {"family": "ip", "name": "filter"}},
        {"chain": {"name": "FORWARD", "policy": "accept"}},
    ]
}
_DELETED = "nft delete table ip filter"


@pytest.mark.parametrize(
    ("there_before", "left", "deleted"),
    [
        (False, _EMPTY, True),
        (True, _EMPTY, False),
        (False, {"nftables": [*_EMPTY["nftables"], {"rule": {}}]}, False),
        (False, {"nftables": [{"chain": {"policy": "drop"}}]}, False),
        # A chain of somebody's own.
        (False, {"nftables": [{"chain": {"name": "DOCKER"}}]}, False),
    ],
)
def test_a_table_that_the_first_look_at_it_made_goes(
    machine: Machine,
    wanted: dict[str, object],
    there_before: bool,
    left: dict[str, object],
    deleted: bool,
) -> None:
    machine.answers = {
        "nft -j list table ip filter": lambda: json.dumps(left),
        **machine.answers,
    }
    if not there_before:
        machine.fail("nft list table ip filter")
    assert differences(wanted) == []
    # What is there at later looks is ours, perhaps.
    machine.answers.pop("nft list table ip filter", None)
    assert differences(wanted) == []
    assert (_DELETED in _undone(wanted, machine)) is deleted


def test_a_table_of_which_nothing_is_known_stays(
    machine: Machine, wanted: dict[str, object]
) -> None:
    machine.answers["nft -j list table ip filter"] = lambda: json.dumps(_EMPTY)
    assert _DELETED not in _undone(wanted, machine)


@pytest.mark.parametrize("there_before", [True, False])
def test_namespaces_of_the_agent_go_and_others_stay(
    machine: Machine,
    wanted: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    there_before: bool,
) -> None:
    spaces = tmp_path / "netns"
    monkeypatch.setattr(chassis, "NAMESPACES", spaces)
    if there_before:
        spaces.mkdir()
    machine.fail("mountpoint")
    assert differences(wanted) == []
    spaces.mkdir(exist_ok=True)
    for name in ("ovnmeta-1", "mine"):
        (spaces / name).touch()

    def deleted() -> str:
        (spaces / "ovnmeta-1").unlink()
        return ""

    machine.answers = {"ip netns delete ovnmeta-1": deleted, **machine.answers}
    chassis.Chassis(wanted)._undo_namespaces()
    assert [path.name for path in spaces.iterdir()] == ["mine"]
    (spaces / "mine").unlink()
    chassis.Chassis(wanted)._undo_namespaces()
    assert spaces.exists() is there_before
    assert not any("netns delete mine" in line for line in machine.ran)
