# SPDX-License-Identifier: Apache-2.0
"""The example: the same site on a server of each hypervisor."""

from __future__ import annotations

import base64
import datetime
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: example_servers
short_description: A web site on a server of each hypervisor
description:
  - Servers that are missing are created, at the same time, and get a floating
    address. All are asked for their page there. Servers that are there already
    are kept; what is wrong with them is told.
  - What an interrupted run or machine left is set right. A server in ERROR that once
    was active is rebooted hard, once. One that never was is made anew.
  - Fails unless every server answers. In any case there is a table of all of them.
  - Runs with a Python that has openstacksdk, and reads clouds.yaml.
options:
  cloud: {description: The member's cloud in clouds.yaml, required: true}
  admin: {description: The administrator's, who sees hosts, required: true}
  network: {description: Network of the servers, required: true}
  external: {description: Network of the floating addresses, required: true}
  user_data: {description: Path of the provisioner, required: true}
  timeout: {description: Seconds for all of it., type: int, default: 180}
  servers: {description: hypervisor, name, image, flavor of each, type: list}
"""

try:
    import openstack
    from keystoneauth1 import exceptions as auth_exceptions
    from openstack import exceptions as sdk_exceptions
except ImportError:  # reported by main(): a module must be importable to be documented
    openstack = None

POLL_SECONDS = 0.3
# How long a server that is found half made may still be under way.
BUILD_SECONDS = 60
# The page is small and near; while a guest boots, packets simply vanish.
HTTP_TIMEOUT = 2
# What the provisioner says on the console when it is done.
READY = re.compile(r"site: ready at (\d+)")
TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)
# Measured once, at the server's creation; kept on the server for later runs. Both
# times are from just before its creation was asked for, by this machine's clock.
BEGIN_KEY = "example_begin"
ACTIVE_KEY = "example_active_seconds"
READY_KEY = "example_ready_seconds"
# What Placement's and Nova's lists call the hypervisors.
TYPES = {"docker": {"docker"}, "lxd": {"lxd"}, "libvirt": {"qemu", "kvm"}}

T = TypeVar("T")


class Broken(Exception):
    """A server is not what it should be; the text says what, and what to do."""


@dataclass
class Row:
    """A line of the table; empty where it isn't known."""

    name: str
    hypervisor: str = ""
    host: str = ""
    address: str = ""
    active: str = ""
    ready: str = ""
    answer: str = ""
    problem: str = ""
    changes: list[str] = field(default_factory=list)

    HEADINGS = (
        "Server",
        "Hypervisor",
        "Host",
        "Address",
        "Active (s)",
        "Provisioned (s)",
        "HTTP",
    )

    def cells(self) -> tuple[str, ...]:
        """The line's cells."""
        return (
            self.name,
            self.hypervisor,
            self.host,
            self.address,
            self.active,
            self.ready,
            self.answer or "none",
        )


class Example:
    """Makes and checks the servers."""

    def __init__(self, params: dict[str, Any], admin: Any) -> None:
        self._params = params
        self._admin = admin
        self._deadline = time.monotonic() + params["timeout"]
        script = Path(params["user_data"]).read_bytes()
        self._user_data = base64.b64encode(script).decode()

    def rows(self) -> list[Row]:
        """Do all servers, at the same time."""
        with ThreadPoolExecutor() as pool:
            return list(pool.map(self._row, self._params["servers"]))

    def _row(self, wanted: dict[str, Any]) -> Row:
        row = Row(wanted["name"], hypervisor=wanted["hypervisor"])
        try:
            # Not shared: sessions are not made for several threads.
            self._serve(openstack.connect(cloud=self._params["cloud"]), wanted, row)
        except Broken as error:
            row.problem = str(error)
        except (
            sdk_exceptions.SDKException,
            auth_exceptions.ClientException,
        ) as error:
            row.problem = f"OpenStack: {error}"
        return row

    def _serve(self, cloud: Any, wanted: dict[str, Any], row: Row) -> None:
        name = wanted["name"]
        found = list(cloud.compute.servers(name=f"^{re.escape(name)}$"))
        server = self._mended(cloud, found[0], row) if found else None
        server = server or self._create(cloud, wanted, row)
        self._check_placement(server.id, wanted["hypervisor"], row)
        server = self._wait_active(cloud, server, row)
        # Where it is, which is known only when it has been scheduled.
        self._check_placement(server.id, wanted["hypervisor"], row)
        row.active = server.metadata.get(ACTIVE_KEY) or _seconds(
            _begin(server), server.launched_at
        )
        row.address = self._floating_address(cloud, server, row)
        row.answer = self._until(
            lambda: fetch(row.address),
            f"no answer from http://{row.address}/; see "
            f"`openstack --os-cloud {self._params['cloud']} console log show {name}`",
        )
        row.ready = self._ready_seconds(cloud, server)

    def _mended(self, cloud: Any, server: Any, row: Row) -> Any | None:
        """What an interrupted run left, set right; None: the server is to be made."""

        def built() -> Any:
            now = cloud.compute.get_server(server.id)
            return None if now.status == "BUILD" else now

        try:
            server = self._until(built, "", seconds=BUILD_SECONDS)
        except Broken:
            server = cloud.compute.get_server(server.id)
        if server.status not in ("BUILD", "ERROR"):
            return server
        if server.launched_at:
            row.changes.append(f"hard reboot of {row.name}, which was in ERROR")
            cloud.compute.reboot_server(server, "HARD")
            return cloud.compute.get_server(server.id)
        row.changes.append(f"{row.name}, which never was active, deleted")
        cloud.compute.delete_server(server)
        cloud.compute.wait_for_delete(server, wait=BUILD_SECONDS)
        return None

    def _create(self, cloud: Any, wanted: dict[str, Any], row: Row) -> Any:
        image = cloud.image.find_image(wanted["image"], ignore_missing=False)
        flavor = cloud.compute.find_flavor(wanted["flavor"], ignore_missing=False)
        network = cloud.network.find_network(
            self._params["network"], ignore_missing=False
        )
        begin = time.time()
        server = cloud.compute.create_server(
            name=wanted["name"],
            image_id=image.id,
            flavor_id=flavor.id,
            networks=[{"uuid": network.id}],
            user_data=self._user_data,
            metadata={BEGIN_KEY: f"{begin:.1f}"},
        )
        row.changes.append(f"server {wanted['name']}")
        server = self._wait_active(cloud, server, row)
        taken = {ACTIVE_KEY: f"{time.time() - begin:.1f}"}
        cloud.compute.set_server_metadata(server, **taken)
        return cloud.compute.get_server(server.id)

    def _wait_active(self, cloud: Any, server: Any, row: Row) -> Any:
        def settled() -> Any:
            now = cloud.compute.get_server(server.id)
            # Nova calls a server that is rebooted out of ERROR by that name until then.
            busy = now.status == "ERROR" and now.task_state
            waiting = ("BUILD", "REBOOT", "HARD_REBOOT")
            return None if busy or now.status in waiting else now

        now = self._until(settled, f"still {server.status}")
        command = f"openstack --os-cloud {self._params['cloud']} server"
        if now.status == "ERROR":
            fault = (now.fault or {}).get("message", "no reason given")
            raise Broken(
                f"ERROR: {fault}; to have it made anew: `{command} delete {row.name}` "
                "and deploy/up again"
            )
        if now.status != "ACTIVE":
            raise Broken(f"{now.status}; see `{command} show {row.name}`")
        return now

    def _check_placement(self, server_id: str, hypervisor: str, row: Row) -> None:
        seen = self._admin.compute.get_server(server_id)
        if not seen.compute_host:
            return
        row.host = seen.compute_host
        kind = next(
            (
                str(each.hypervisor_type)
                for each in self._admin.compute.hypervisors(details=True)
                if each.name == seen.hypervisor_hostname
            ),
            "",
        )
        row.hypervisor = kind or hypervisor
        if kind and kind.lower() not in TYPES[hypervisor]:
            raise Broken(f"is on a hypervisor of type {kind}, not {hypervisor}")

    def _floating_address(self, cloud: Any, server: Any, row: Row) -> str:
        port = next(cloud.network.ports(device_id=server.id), None)
        if port is None:
            raise Broken("has no port in Neutron")
        known = next(cloud.network.ips(port_id=port.id), None)
        if known is None:
            outside = cloud.network.find_network(
                self._params["external"], ignore_missing=False
            )
            known = cloud.network.create_ip(
                floating_network_id=outside.id, port_id=port.id
            )
            row.changes.append(f"floating address of {row.name}")
        return str(known.floating_ip_address)

    def _ready_seconds(self, cloud: Any, server: Any) -> str:
        if kept := server.metadata.get(READY_KEY):
            return str(kept)

        def said() -> int | None:
            log = cloud.compute.get_server_console_output(server)["output"]
            found = READY.search(log or "")
            return int(found[1]) if found else None

        ready = self._until(
            said, "the provisioner's last line is not on the console", seconds=15
        )
        # Guests tell whole seconds: it was half of one more, more or less.
        seconds = f"{max(0.0, ready + 0.5 - _begin(server)):.0f}"
        cloud.compute.set_server_metadata(server, **{READY_KEY: seconds})
        return seconds

    def _until(
        self, ask: Callable[[], T | None], problem: str, *, seconds: float | None = None
    ) -> T:
        """Ask until there is an answer; a question that gets lost is asked again.

        :raises Broken: none came in time; with the problem
        """
        deadline = self._deadline
        if seconds is not None:
            deadline = min(deadline, time.monotonic() + seconds)
        while True:
            answer = None
            try:
                answer = ask()
            except auth_exceptions.RetriableConnectionFailure as error:
                if time.monotonic() > deadline:
                    raise Broken(f"{problem}; last: {error}") from error
            if answer is not None:
                return answer
            if time.monotonic() > deadline:
                raise Broken(problem)
            time.sleep(POLL_SECONDS)


def fetch(address: str) -> str | None:
    """Status and title of the page at an address; None where nothing answers yet."""
    # The machine's proxy knows nothing of these addresses.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{address}/", timeout=HTTP_TIMEOUT) as answer:
            page = answer.read(65536).decode(errors="replace")
            if answer.status != 200:
                return None
    except (OSError, urllib.error.URLError):
        return None
    title = TITLE.search(page)
    return f"200 {title[1].strip()}" if title else "200"


def table(rows: Iterable[Row]) -> list[str]:
    """Lines of the table of all servers."""
    cells = [Row.HEADINGS, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def next_commands(cloud: str, rows: list[Row]) -> list[str]:
    """What to try next."""
    first = rows[0]
    return [
        "Try next:",
        f"  openstack --os-cloud {cloud} server list",
        f"  openstack --os-cloud {cloud} console log show {first.name}",
        f"  curl http://{first.address}/",
        f"  openstack --os-cloud {cloud}-admin hypervisor list",
        f"  openstack --os-cloud {cloud}-admin multi host list",
        "  deploy/status",
    ]


def _epoch(when: str) -> float:
    moment = datetime.datetime.fromisoformat(when.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return moment.timestamp()


def _begin(server: Any) -> float:
    """When its creation was asked for; of older servers, when Nova noted it."""
    return float(server.metadata.get(BEGIN_KEY) or _epoch(server.created_at))


def _seconds(begin: float, end: str | None) -> str:
    return f"{_epoch(end) - begin:.0f}" if end else ""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "cloud": {"type": "str", "required": True},
            "admin": {"type": "str", "required": True},
            "network": {"type": "str", "required": True},
            "external": {"type": "str", "required": True},
            "user_data": {"type": "path", "required": True},
            "timeout": {"type": "int", "default": 180},
            "servers": {"type": "list", "elements": "dict", "required": True},
        }
    )
    if openstack is None:
        module.fail_json(msg="example_servers needs openstacksdk in its Python")
    params = module.params
    if not params["servers"]:
        module.exit_json(changed=False, told=["No hypervisor, no example."])
    try:
        admin = openstack.connect(cloud=params["admin"])
        rows = Example(params, admin).rows()
    except (
        OSError,
        sdk_exceptions.SDKException,
        auth_exceptions.ClientException,
    ) as error:
        module.fail_json(msg=f"The example: {error}")
    changes = [change for row in rows for change in row.changes]
    lines = table(rows)
    problems = [f"{row.name}: {row.problem}" for row in rows if row.problem]
    if problems:
        module.fail_json(msg="\n".join([*lines, "", *problems]), changes=changes)
    module.exit_json(
        changed=bool(changes),
        changes=changes,
        told=["", *lines, "", *next_commands(params["cloud"], rows)],
    )


if __name__ == "__main__":
    main()
