# SPDX-License-Identifier: Apache-2.0
"""What a killed run of tests or benchmarks has left on a cloud, told by its names.

A left server takes processors and memory from the next run, and what that run then
can't do looks like a fault of ours.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import keystoneauth1.exceptions
import openstack
import openstack.exceptions
from keystoneauth1.adapter import Adapter

#: Seconds for taking away what one service has of one project.
CLEANUP_TIMEOUT = 120
#: Seconds until a server or the work of the provisioning service has ended.
PATIENCE = 180
#: Of tests/integration: each name has a random number.
_TESTS = re.compile(r"it(-[a-z]+)*-[0-9a-f]{6}(-[a-z0-9-]+)?")
#: Of tools/bench.
_BENCH = re.compile(r"bench-((plain|fake|docker|lxd|libvirt)-\d+|[0-9a-f]{6}(-.+)?)")
_BENCH_ONLY = frozenset({"bench", "bench-plain", "bench-resident", "bench-fake"})
#: The provisioning service's own, in an order in which they can be deleted.
_NOUNS = ("instances", "provisioners", "files", "images", "environments", "partitions")
_NOUNS += ("groups", "users")
#: Those that a partition has to be free of, whatever they are called.
_OF_PARTITIONS = ("provisioners", "files")

_Found = Iterator[tuple[str, Any, Callable[[Any], Any]]]


def is_of_tests(name: str) -> bool:
    """Whether tests/integration has given something that name."""
    return _TESTS.fullmatch(name) is not None


def is_of_bench(name: str) -> bool:
    """Whether tools/bench has given something that name."""
    return name in _BENCH_ONLY or _BENCH.fullmatch(name) is not None


class Leftovers:
    """What bears such names, as the cloud's administrator sees and deletes it.

    :param cloud: connection of openstacksdk's.
    :param is_ours: says it of a name. Nobody else's work that is going on may have such
        names.
    """

    def __init__(self, cloud: Any, is_ours: Callable[[str], bool]) -> None:
        self._cloud = cloud
        self._is_ours = is_ours

    def found(self) -> list[str]:
        """Kind and name of each, sorted."""
        found = [f"{kind} {entry.name}" for kind, entry, _ in self._all()]
        found += [f"{noun[:-1]} {_name(entry)}" for noun, entry in self._of_service()]
        return sorted(set(found))

    def clean(self) -> list[str]:
        """Take all of it away.

        :returns: what was there.
        :raises TimeoutError: something does not go.
        """
        found = self.found()
        if not found:
            return []
        self._clean_service()
        for kind, entry, _ in list(self._all()):
            if kind == "project":
                self._empty(entry)
        # The projects and users themselves, and what belonged to projects that are
        # gone.
        for _, entry, delete in list(self._all()):
            delete(entry)
        # Some take a moment; what a service refuses to delete would be told as gone.
        _wait(
            lambda: not set(found) & set(self.found()),
            f"some of this does not go: {', '.join(found)}",
        )
        return found

    def _all(self) -> _Found:
        """Each of OpenStack's: kind, resource, how to delete it; users last."""
        compute, network = self._cloud.compute, self._cloud.network
        image, identity = self._cloud.image, self._cloud.identity
        for kind, entries, delete in (
            ("server", compute.servers(all_projects=True), self._delete_server),
            ("aggregate", compute.aggregates(), self._delete_aggregate),
            ("image", image.images(), image.delete_image),
            ("router", network.routers(), self._delete_router),
            ("network", network.networks(), self._delete_network),
            (
                "security group",
                network.security_groups(),
                network.delete_security_group,
            ),
            ("project", identity.projects(), identity.delete_project),
            ("group", identity.groups(), identity.delete_group),
            ("user", identity.users(), identity.delete_user),
        ):
            for entry in entries:
                if self._is_ours(entry.name or ""):
                    yield kind, entry, delete

    def _delete_server(self, server: Any) -> None:
        """With its floating IPs, which nothing else tells to be ours."""
        compute, network = self._cloud.compute, self._cloud.network
        for port in list(network.ports(device_id=server.id)):
            for address in list(network.ips(port_id=port.id)):
                network.delete_ip(address)
        compute.delete_server(server, ignore_missing=True)
        _wait(
            lambda: compute.find_server(server.id, all_projects=True) is None,
            f"server {server.id} does not go",
        )

    def _delete_aggregate(self, aggregate: Any) -> None:
        for host in aggregate.hosts or ():
            self._cloud.compute.remove_host_from_aggregate(aggregate, host)
        self._cloud.compute.delete_aggregate(aggregate)

    def _delete_router(self, router: Any) -> None:
        network = self._cloud.network
        for port in network.ports(device_id=router.id):
            if port.device_owner.endswith("router_interface"):
                network.remove_interface_from_router(router, port_id=port.id)
        network.delete_router(router)

    def _delete_network(self, network: Any) -> None:
        for port in self._cloud.network.ports(network_id=network.id):
            if not port.device_owner.startswith("network:"):
                self._cloud.network.delete_port(port)
        self._cloud.network.delete_network(network)

    def _empty(self, project: Any) -> None:
        """Delete all that a project has, seen by itself."""
        identity = self._cloud.identity
        role = identity.find_role("admin", ignore_missing=False)
        user = self._cloud.current_user_id
        identity.assign_project_role_to_user(project, user, role)
        inside = self._cloud.connect_as_project(project)
        try:
            inside.project_cleanup(dry_run=False, wait_timeout=CLEANUP_TIMEOUT)
        finally:
            inside.close()

    # -- what the provisioning service keeps

    def _service(self) -> Adapter | None:
        """A client of it; None where there is none."""
        adapter = Adapter(
            self._cloud.session,
            service_type="provisioning",
            interface="public",
            raise_exc=False,
        )
        try:
            known = adapter.get_endpoint() is not None
            return adapter if known and adapter.get("/partitions").ok else None
        except keystoneauth1.exceptions.ClientException:
            return None

    def _of_service(self) -> Iterator[tuple[str, dict[str, Any]]]:
        service = self._service()
        if service is None:
            return
        listed = {noun: service.get(f"/{noun}").json()[noun] for noun in _NOUNS}
        for noun, entries in listed.items():
            for entry in entries:
                place = str(entry.get("environment") or "")
                if self._is_ours(_name(entry)) or self._is_ours(place):
                    yield noun, entry
        for partition in filter(self._is_ours, map(_name, listed["partitions"])):
            for noun in _OF_PARTITIONS:
                inside = service.get(f"/{noun}", params={"partition": partition})
                for entry in inside.json()[noun]:
                    if not self._is_ours(_name(entry)):
                        yield noun, entry

    def _clean_service(self) -> None:
        service = self._service()
        for noun in _NOUNS if service is not None else ():
            mine = [entry for kind, entry in self._of_service() if kind == noun]
            asked = [service.delete(f"/{noun}/{_key(entry)}") for entry in mine]
            tasks = [each.json()["task"] for each in asked if each.status_code == 202]
            for task in tasks:
                _wait(
                    lambda task=task: service.get(f"/tasks/{task}").json()["ended"],
                    f"task {task} does not end",
                )


def _name(entry: dict[str, Any]) -> str:
    return str(entry.get("name") or entry.get("username") or "")


def _key(entry: dict[str, Any]) -> str:
    return str(entry.get("uuid") or _name(entry))


def _wait(done: Callable[[], Any], message: str) -> None:
    end = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(message)
        time.sleep(0.5)


def clean(cloud: Any, is_ours: Callable[[str], bool]) -> None:
    """Take it away, and say what it was."""
    told(Leftovers(cloud, is_ours).clean())


def told(found: list[str]) -> None:
    """Say what was taken away."""
    if found:
        print(
            "left by a run that was killed, now gone: " + ", ".join(found), flush=True
        )


#: What can go wrong in it.
ERRORS = (
    openstack.exceptions.SDKException,
    keystoneauth1.exceptions.ClientException,
    TimeoutError,
)


def main() -> int:
    """Take away what tests/integration and tools/bench have left.

    :returns: 0, or 1 if not all of it went.
    """
    parser = argparse.ArgumentParser(
        prog="tools/leftovers",
        description="Take away what killed tests and benchmarks have left on the "
        "cloud. None of them may be going on.",
    )
    parser.add_argument(
        "--cloud", default="nova-multi-admin", help="an administrator's"
    )
    parser.add_argument("--list", action="store_true", help="only tell what there is")
    arguments = parser.parse_args()

    def is_ours(name: str) -> bool:
        return is_of_tests(name) or is_of_bench(name)

    try:
        cloud = openstack.connect(cloud=arguments.cloud)
        if arguments.list:
            print("\n".join(Leftovers(cloud, is_ours).found()))
        else:
            clean(cloud, is_ours)
    except ERRORS as error:
        print(f"leftovers: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
