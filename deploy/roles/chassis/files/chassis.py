#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a machine an OVN chassis with a way out, and takes that back.

    chassis.py (apply | check | undo) CONFIGURATION

The configuration is JSON, written by the deployment: what OVN reads from the Open
vSwitch database, bridges with their addresses, kernel settings, routes, and packet
filter rules. `apply` looks at each and changes only what differs; `check` exits with
1 and names what differs. Runs at boot and whenever the deployment runs; stdlib only.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import json
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

# Seconds for any one command; Open vSwitch answers in milliseconds when it is well.
COMMAND_TIMEOUT = 20
# Where ``ip netns`` and Neutron's agent mount namespaces: the first one mounts it.
NAMESPACES = Path("/run/netns")
# Those of Neutron's metadata agent, one for each network.
_AGENT = "ovnmeta-"
# Seconds that Open vSwitch may take to open a socket that it was told of.
APPEARANCE_TIMEOUT = 3
# The table of iptables, where that is a face of nftables.
_FILTER = ("table", "ip", "filter")


class CommandError(Exception):
    """A command failed; the message has it and its last words."""


@dataclasses.dataclass(frozen=True)
class Difference:
    """Something that is not as configured, and how to make it so."""

    what: str
    repair: Callable[[], object]


def run(*words: str, stdin: str | None = None) -> str:
    """Run a command and return its output.

    :raises CommandError: it failed, or took longer than COMMAND_TIMEOUT.
    """
    try:
        done = subprocess.run(
            words,
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(f"{' '.join(words)}: {error}") from error
    if done.returncode:
        raise CommandError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def succeeds(*words: str) -> bool:
    """Does the command succeed?"""
    try:
        run(*words)
    except CommandError:
        return False
    return True


def _appears(path: Path) -> bool:
    """Wait a moment for a file that another process is about to make."""
    deadline = time.monotonic() + APPEARANCE_TIMEOUT
    while not path.exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def vsctl(*words: str) -> str:
    return run("ovs-vsctl", f"--timeout={COMMAND_TIMEOUT}", *words).strip()


class Chassis:
    """The configured state of this machine, compared with the real one."""

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self._wanted = wanted
        self._state = Path(wanted["state"])

    def differences(self) -> Iterator[Difference]:
        """What is not as configured, in the order in which it is to be made so.

        Later ones are only looked at when the earlier ones have been repaired, for a
        bridge that is missing has no address either.
        """
        self._keep_before()
        yield from self._open_vswitch()
        for bridge in self._wanted["bridges"]:
            yield from self._bridge(bridge)
        yield from self._kernel()
        yield from self._routes()
        yield from self._rules()
        yield from self._forwarding()

    def undo(self) -> None:
        """Take back what `apply` makes. Each step bears that it was never made."""
        for words in self._forward_rules():
            if succeeds("iptables", "-w", "-C", *words):
                run("iptables", "-w", "-D", *words)
        self._undo_filter()
        self._undo_namespaces()
        if succeeds("nft", "list", "table", *self._table):
            run("nft", "delete", "table", *self._table)
        for route in self._wanted["unreachable"]:
            succeeds("ip", "route", "del", "unreachable", *self._route(route))
        for name, value in self._kept("kernel").items():
            Path("/proc/sys", name.replace(".", "/")).write_text(value)
        if succeeds("ovs-vsctl", "--timeout=3", "show"):
            for bridge in (*self._wanted["bridges"], {"name": "br-int"}):
                vsctl("--if-exists", "del-br", bridge["name"])
            for target in self._wanted["managers"]:
                succeeds("ovs-vsctl", "--timeout=3", "del-manager", target)
            before = self._kept("external_ids")
            for key in self._wanted["external_ids"]:
                vsctl("remove", "Open_vSwitch", ".", "external_ids", key)
                if before.get(key) is not None:
                    self._set_external_id(key, before[key])
        for file in ("kernel", "external_ids", "ruleset", "before"):
            (self._state / file).unlink(missing_ok=True)

    # -- Open vSwitch ----------------------------------------------------------

    def _open_vswitch(self) -> Iterator[Difference]:
        present = self._external_ids()
        for key, value in self._wanted["external_ids"].items():
            if present.get(key) == value:
                continue

            def repair(key: str = key, value: str = value) -> None:
                self._keep("external_ids", key, present.get(key))
                self._set_external_id(key, value)

            yield Difference(f"external_ids:{key}", repair)
        managers = set(vsctl("get-manager").split())
        for target in self._wanted["managers"]:
            if target not in managers:
                yield Difference(
                    f"manager {target}",
                    functools.partial(
                        vsctl,
                        "--id=@m", "create", "Manager", f'target="{target}"',
                        "--", "add", "Open_vSwitch", ".", "manager_options", "@m",
                    ),
                )  # fmt: skip

            # A connection needs the right to write, which Open vSwitch gives the
            # socket's group only under a mask that not everybody starts it with.
            socket = Path(target.removeprefix("punix:"))
            if _appears(socket) and not socket.stat().st_mode & stat.S_IWGRP:
                yield Difference(
                    f"mode of {socket}", functools.partial(socket.chmod, 0o770)
                )

    @staticmethod
    def _external_ids() -> dict[str, str]:
        rows = json.loads(
            vsctl("--format=json", "--columns=external_ids", "list", "Open_vSwitch")
        )
        return dict(rows["data"][0][0][1])

    @staticmethod
    def _set_external_id(key: str, value: str) -> None:
        vsctl("set", "Open_vSwitch", ".", f"external_ids:{key}={json.dumps(value)}")

    def _bridge(self, bridge: Mapping[str, Any]) -> Iterator[Difference]:
        name, kind = bridge["name"], self._wanted["datapath"]
        if not succeeds("ovs-vsctl", "--timeout=3", "br-exists", name) or (
            vsctl("get", "Bridge", name, "datapath_type").strip('"') != kind
        ):
            yield Difference(
                f"bridge {name}",
                functools.partial(
                    vsctl,
                    "--may-exist", "add-br", name,
                    "--", "set", "Bridge", name, f"datapath_type={kind}",
                    "external_ids:nova-multi=true",
                ),
            )  # fmt: skip
        link = json.loads(run("ip", "-j", "address", "show", "dev", name))[0]
        if "UP" not in link["flags"] or link["mtu"] != bridge["mtu"]:
            yield Difference(
                f"link {name}",
                functools.partial(
                    run, "ip", "link", "set", name, "up", "mtu", str(bridge["mtu"])
                ),
            )
        present = {
            f"{address['local']}/{address['prefixlen']}"
            for address in link["addr_info"]
            if address["family"] == "inet"
        }
        if bridge["address"] not in present:
            yield Difference(
                f"address {bridge['address']} of {name}",
                functools.partial(
                    run, "ip", "address", "replace", bridge["address"], "dev", name
                ),
            )
        yield from self._bridge_route(name, bridge["address"])

    @staticmethod
    def _bridge_route(name: str, address: str) -> Iterator[Difference]:
        """The route that the kernel makes with an address, but never makes again."""
        interface = ipaddress.ip_interface(address)
        network = str(interface.network)
        routes = json.loads(
            run("ip", "-j", "route", "show", "dev", name, "proto", "kernel")
        )
        if network not in {route["dst"] for route in routes}:
            yield Difference(
                f"route {network} of {name}",
                functools.partial(
                    run, "ip", "route", "replace", network, "dev", name,
                    "proto", "kernel", "scope", "link", "src", str(interface.ip),
                ),
            )  # fmt: skip

    # -- the kernel ------------------------------------------------------------

    def _kernel(self) -> Iterator[Difference]:
        for name, value in self._wanted["kernel"].items():
            path = Path("/proc/sys", name.replace(".", "/"))
            present = path.read_text().strip()
            if present == str(value):
                continue

            def repair(
                name: str = name,
                value: str = str(value),
                path: Path = path,
                present: str = present,
            ) -> None:
                self._keep("kernel", name, present)
                path.write_text(value)

            yield Difference(f"kernel setting {name}", repair)

    @staticmethod
    def _route(network: str) -> tuple[str, ...]:
        # The worst metric: any real route wins while it is there. Without one, the
        # guests' addresses must not leave by the machine's default route.
        return (network, "metric", "4278198272")

    def _routes(self) -> Iterator[Difference]:
        routes = json.loads(run("ip", "-j", "route", "show", "type", "unreachable"))
        present = {route["dst"] for route in routes}
        for network in self._wanted["unreachable"]:
            if network not in present:
                yield Difference(
                    f"route unreachable {network}",
                    functools.partial(
                        run, "ip", "route", "replace", "unreachable",
                        *self._route(network),
                    ),
                )  # fmt: skip

    # -- packet filter ---------------------------------------------------------

    @property
    def _table(self) -> tuple[str, str]:
        return ("ip", self._wanted["table"])

    def _listed(self) -> str:
        try:
            return run("nft", "list", "table", *self._table)
        except CommandError:
            return ""

    def _rules(self) -> Iterator[Difference]:
        # nft prints rules in a form of its own: what it printed when these very
        # rules were loaded is what it must print now.
        wanted = self._wanted["ruleset"]
        kept = self._kept("ruleset")
        listed = self._listed()
        if listed and kept == {"wanted": wanted, "listed": listed}:
            return

        def repair() -> None:
            family, table = self._table
            script = (
                f"table {family} {table}\ndelete table {family} {table}\n"
                f"table {family} {table} {{\n{wanted}}}\n"
            )
            run("nft", "-f", "-", stdin=script)
            self._write("ruleset", {"wanted": wanted, "listed": self._listed()})

        yield Difference("packet filter rules", repair)

    def _forward_rules(self) -> Iterator[tuple[str, ...]]:
        # A Docker or a firewall of the machine may drop what it does not know; an
        # accept in a table of our own would not overrule that.
        for bridge in self._wanted["bridges"]:
            for direction in ("-i", "-o"):
                yield (
                    "FORWARD", direction, bridge["name"], "-m", "comment",
                    "--comment", "nova-multi", "-j", "ACCEPT",
                )  # fmt: skip

    def _forwarding(self) -> Iterator[Difference]:
        for words in self._forward_rules():
            if not succeeds("iptables", "-w", "-C", *words):
                yield Difference(
                    f"forwarding {words[1]} {words[2]}",
                    functools.partial(run, "iptables", "-w", "-I", *words),
                )

    # -- what others make in our name ------------------------------------------

    def _keep_before(self) -> None:
        """Remember whether it was there: the first look of iptables makes its table."""
        if "filter" not in self._kept("before"):
            self._keep("before", "filter", succeeds("nft", "list", *_FILTER))
            self._keep("before", "namespaces", NAMESPACES.exists())

    def _undo_filter(self) -> None:
        """Remove iptables' own table, unless it was there or somebody uses it."""
        if self._kept("before").get("filter") is not False:
            return
        try:
            listed = json.loads(run("nft", "-j", "list", *_FILTER))
        except (CommandError, ValueError):
            return  # there is none, or it is the older iptables'
        parts = listed.get("nftables", [])
        chains = [part["chain"] for part in parts if "chain" in part]
        used = any(part.keys() & {"rule", "set", "map"} for part in parts)
        if not used and all(chain.get("policy") == "accept" for chain in chains):
            run("nft", "delete", *_FILTER)

    def _undo_namespaces(self) -> None:
        """Remove those of the metadata agent, and what holds them if it is ours."""
        if not NAMESPACES.is_dir():
            return
        for space in NAMESPACES.glob(f"{_AGENT}*"):
            succeeds("ip", "netns", "delete", space.name)
        was_there = self._kept("before").get("namespaces") is not False
        if was_there or any(NAMESPACES.iterdir()):
            return
        # It is mounted upon itself, and twice where mounts are shared.
        while succeeds("mountpoint", "-q", str(NAMESPACES)):
            if not succeeds("umount", str(NAMESPACES)):
                return
        NAMESPACES.rmdir()

    # -- what was there before -------------------------------------------------

    def _kept(self, file: str) -> dict[str, Any]:
        try:
            kept: dict[str, Any] = json.loads((self._state / file).read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return kept

    def _keep(self, file: str, key: str, value: str | bool | None) -> None:
        kept = self._kept(file)
        if key not in kept:
            self._write(file, {**kept, key: value})

    def _write(self, file: str, content: Mapping[str, Any]) -> None:
        self._state.mkdir(parents=True, exist_ok=True)
        new = self._state / f"{file}.new"
        new.write_text(json.dumps(content, sort_keys=True))
        new.replace(self._state / file)


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in ("apply", "check", "undo"):
        print(__doc__, file=sys.stderr)
        return 2
    verb, configuration = arguments
    chassis = Chassis(json.loads(Path(configuration).read_text()))
    found = False
    try:
        if verb == "undo":
            chassis.undo()
            return 0
        for difference in chassis.differences():
            found = True
            print(difference.what, flush=True)
            if verb == "check":
                # What follows may hang on it.
                break
            difference.repair()
    except CommandError as error:
        print(error, file=sys.stderr)
        return 1
    return 1 if found and verb == "check" else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
