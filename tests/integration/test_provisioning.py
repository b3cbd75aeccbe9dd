# SPDX-License-Identifier: Apache-2.0
"""VirtShell's model on the deployed cloud, from a partition to nothing.

The tests share an environment and run in this order.
"""

from __future__ import annotations

import datetime
import pathlib
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.integration import cloud, provisioning
from tests.integration.conftest import BURST, Hypervisor
from tests.integration.provisioning import Client

#: Of an instance of the burst; and instances that other tests have meanwhile.
MEMORY_MB, OTHERS = 128, 4
#: A burst of fewer is none.
SMALLEST_BURST = 6
IMAGES = {"docker": "debian-docker", "lxd": "debian-lxd", "libvirt": "debian-vm"}
SCRIPT = pathlib.Path(__file__).with_name("site_and_echo.sh")
#: A guest's provisioner that depends on ``back``.
FRONT = """\
set -eu
echo "back is at $BACK_ADDRESS: $(busybox wget -q -O - http://$BACK_ADDRESS/hostname)"
"""
BOOT = [
    "pending",
    "dispatching",
    "dispatched",
    "setting up",
    "creating",
    "created",
    "provisioning",
    "provisioned",
]


class Place:
    """An environment, who may use it, and who operates it."""

    def __init__(self, admin: Client, alice: Client, name: str) -> None:
        self.admin, self.alice, self.name = admin, alice, name
        self.project = str(alice.connection.current_project_id)
        #: Address and what it says of each instance, by name.
        self.made: dict[str, dict[str, Any]] = {}

    @property
    def address(self) -> str:
        """Where ports are published."""
        found = self.admin.get(f"/environments/{self.name}")["publish_address"]
        return str(found)

    def of(self, begin: str) -> dict[str, list[str]]:
        """What there is in the environment's project of instances with such names."""
        connection, project = self.admin.connection, self.project
        network = connection.network
        servers = connection.compute.servers(all_projects=True, project_id=project)
        ports = {
            port.id: port.name
            for port in network.ports(project_id=project)
            if port.name.startswith(begin)
            and not port.device_owner.startswith("network:")
        }
        forwarded = [
            f"{ports[each.internal_port_id]}: {each.protocol} {each.external_port}"
            for address in network.ips(project_id=project)
            for each in network.port_forwardings(address)
            if each.internal_port_id in ports
        ]
        return {
            "servers": sorted(s.name for s in servers if s.name.startswith(begin)),
            "ports": sorted(ports.values()),
            "forwardings": sorted(forwarded),
        }

    def opened(self) -> list[str]:
        """Security groups that let somebody in to published ports."""
        groups = _groups(self.admin, self.project)
        return sorted(name for name in groups if name.startswith("nova-multi-publish"))


def _groups(admin: Client, project: str) -> list[str]:
    """Names of the security groups of a project.

    Neutron must not be asked for a project's groups: it makes a default one for it.
    """
    found = admin.connection.network.security_groups()
    return [group.name for group in found if group.project_id == project]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A partition and an environment in it, made by commands, with a user of ours."""
    admin = provisioning.administrator()
    compute = admin.connection.compute
    before = {flavor.id for flavor in compute.flavors()}
    name = f"it-{secrets.token_hex(3)}"
    admin.run("partition", "create", f"{name}-co", "--wait")
    partition = next(admin.connection.identity.projects(name=f"{name}-co"))
    with provisioning.user(admin, partition.domain_id) as (login, password):
        try:
            admin.run(
                *("environment", "create", name, "--partition", f"{name}-co"),
                *("--user", login, "--wait"),
            )
            project = next(admin.connection.identity.projects(name=name))
            alice = provisioning.member(
                admin, login, password, project.id, partition.domain_id
            )
            yield Place(admin, alice, name)
        finally:
            _clear(admin, name)
            # Flavors are for all who come, and stay; these are of no use to others.
            for flavor in compute.flavors():
                if flavor.id not in before:
                    compute.delete_flavor(flavor)


def _clear(admin: Client, name: str) -> None:
    """Take away what a failed test has left."""
    left = admin.get(f"/instances?environment={name}")["instances"]
    answers = [admin.adapter.delete(f"/instances/{each['uuid']}") for each in left]
    for answer in answers:
        if answer.status_code == 202:
            admin.ended(answer.json()["task"], 180)
    for path in (f"/environments/{name}", f"/partitions/{name}-co"):
        answer = admin.adapter.delete(path)
        if answer.status_code == 202:
            admin.ended(answer.json()["task"], 180)


@pytest.fixture(scope="module", autouse=True)
def plain(place: Place) -> None:
    """Provisioners without a script, one for each driver."""
    for driver, image in IMAGES.items():
        body = {"name": f"plain-{driver}", "image": image, "driver": driver}
        sizes = {"memory": MEMORY_MB / 1024, "cpus": 1, "hdsize": 1}
        answer = place.alice.curl("POST", "/v1/provisioners", {**body, **sizes})
        assert answer.status_code == 201, answer.text


@pytest.fixture(scope="module")
def names(request: pytest.FixtureRequest, place: Place) -> list[str]:
    """Of the instances that are being made while processes are killed."""
    count = request.config.getoption("--burst") or min(BURST, _room(place.admin))
    print(f"a burst of {count} instances")
    return [f"burst-{n:02}" for n in range(count)]


def _room(admin: Client) -> int:
    """How many small instances there is room for, beside those of the other tests."""
    free = [host["free"] for host in admin.get("/hosts?enabled=true")["hosts"]]
    cpus = sum(each["cpus"] for each in free) - OTHERS
    # Half of a machine's memory is not the containers' to have.
    memory = sum(each["memory_mb"] for each in free) // 2 // MEMORY_MB - OTHERS
    room = int(min(cpus, memory))
    assert room >= SMALLEST_BURST, f"no room for a burst: {free}"
    return room


def _times(task: dict[str, Any]) -> list[datetime.datetime]:
    return [
        datetime.datetime.fromisoformat(each["at"]) for each in task["status_history"]
    ]


def _accept(place: Place, name: str, driver: str) -> None:
    """Ask for an instance until it is known that it was accepted."""
    body = {
        "name": name,
        "environment": place.name,
        "provisioner": f"plain-{driver}",
        "publish": ["80"],
    }

    def ask() -> bool:
        try:
            answer = place.alice.curl("POST", "/v1/instances", body)
        except requests.ConnectionError:
            # Killed in the middle: it may have been accepted, and will say so.
            return False
        assert answer.status_code in (202, 409, 503), answer.text
        if answer.status_code == 409:
            assert answer.json()["error"]["code"] == "name_taken", answer.text
        return answer.status_code != 503

    cloud.wait_for(f"{name} is accepted", ask, 60)


def _driver(number: int) -> str:
    """Mostly containers: a virtual machine that boots keeps a core busy for long."""
    if number % 10 == 2:
        return "libvirt"
    return "lxd" if number % 2 else "docker"


def test_killed_in_a_burst(place: Place, names: list[str]) -> None:
    """An API process and the worker die while instances are accepted and made.

    What becomes of these is looked at in the end: until then their lease lasts.
    """
    turns = [(name, _driver(number)) for number, name in enumerate(names)]
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(_accept, place, *each) for each in turns]
        cloud.wait_for(
            "half of them accepted",
            lambda: sum(each.done() for each in asked) >= len(names) // 2,
            60,
            0.02,
        )
        provisioning.kill_one("nova-multi-api")
        provisioning.kill_one("nova-multi-worker")
        for each in asked:
            each.result()


def test_made_by_commands(place: Place, hypervisor: Hypervisor) -> None:
    alice, name = place.alice, f"web-{hypervisor.name}"
    alice.run(
        *("provisioner", "create", f"site-{hypervisor.name}"),
        *("--script", str(SCRIPT), "--image", hypervisor.image),
        *("--memory", "0.25", "--cpus", "1", "--hdsize", "1"),
    )
    shown = alice.run(
        *("instance", "create", name, "--environment", place.name),
        *("--provisioner", f"site-{hypervisor.name}", "--driver", hypervisor.name),
        *("--publish", "80", "--publish", "53/udp", "--var", "GREETING=tests"),
        *("--wait", "--timeout", str(int(2 * hypervisor.patience))),
    )
    place.made[name] = shown = alice.get(f"/instances/{name}")
    assert shown["status"] == "ACTIVE"
    assert shown["driver"] == hypervisor.name
    assert len(shown["published"]) == 2


def test_history_is_of_real_events(place: Place, hypervisor: Hypervisor) -> None:
    name = f"web-{hypervisor.name}"
    (task,) = (
        each
        for each in place.alice.get("/tasks?type=create_instance")["tasks"]
        if name in each["description"].split()
    )
    task = place.alice.get(f"/tasks/{task['uuid']}")
    told = [each["status"] for each in task["status_history"]]
    assert told == BOOT
    assert _times(task) == sorted(_times(task))
    assert f"made {name} for tests" in task["log"].splitlines()
    # Nova knows the same of it.
    compute = place.admin.connection.compute
    actions = compute.server_actions(task["object_uuid"], all_projects=True)
    (create,) = (each for each in actions if each.action == "create")
    assert create.request_id in task["request_ids"]
    begun = datetime.datetime.fromisoformat(create.start_time).replace(
        tzinfo=datetime.UTC
    )
    dispatched = _times(task)[told.index("dispatched")]
    # Nova's own times have no fractions.
    assert -1 <= (dispatched - begun).total_seconds() < 30


def test_published(place: Place, hypervisor: Hypervisor) -> None:
    name = f"web-{hypervisor.name}"
    shown, address = place.made[name], place.address
    tcp, udp = (int(each.partition(":")[0]) for each in shown["published"])
    cloud.wait_for(
        "the site answers", lambda: provisioning.http(address, tcp) == name, 30
    )
    cloud.wait_for(
        "datagrams come back",
        lambda: provisioning.udp(address, udp, "ping") == "echo ping",
        30,
    )


def test_taken_port(place: Place, hypervisor: Hypervisor) -> None:
    name = f"web-{hypervisor.name}"
    taken = place.made[name]["published"][0]
    body = {
        "name": "second",
        "environment": place.name,
        "provisioner": f"site-{hypervisor.name}",
        "publish": [taken],
    }
    answer = place.alice.curl("POST", "/v1/instances", body)
    assert answer.status_code == 409, answer.text
    error = answer.json()["error"]
    assert error["code"] == "port_taken"
    assert name in error["message"]


def test_stopped_started_and_restarted(place: Place, hypervisor: Hypervisor) -> None:
    """As VirtShell's documentation shows it, with curl."""
    if hypervisor.name == "libvirt":
        pytest.skip("the same code, and minutes of emulation")
    alice, name = place.alice, f"web-{hypervisor.name}"
    tcp = int(place.made[name]["published"][0].partition(":")[0])
    at = "/api/virtshell/v1/instances"
    alice.done(alice.curl("POST", f"{at}/stop_instance/{name}"), "done")
    assert alice.get(f"/instances/{name}")["status"] == "SHUTOFF"
    assert provisioning.http(place.address, tcp) is None
    alice.done(alice.curl("PUT", f"{at}/start_instance/{name}/"), "done")
    alice.done(alice.curl("POST", f"{at}/restart_instance/{name}"), "done")
    cloud.wait_for(
        "the site answers again, on the same port",
        lambda: provisioning.http(place.address, tcp) == name,
        hypervisor.patience,
    )


def test_clone(place: Place, hypervisor: Hypervisor) -> None:
    if hypervisor.name == "libvirt":
        pytest.skip("the same code, and minutes of emulation")
    alice, name = place.alice, f"web-{hypervisor.name}"
    before = {image.id for image in place.admin.connection.image.images()}
    answer = alice.curl("POST", f"/v1/instances/clone_instance/{name}", {"name": "two"})
    alice.done(answer, "created", 180)
    names = {each["name"] for each in alice.get("/instances")["instances"]}
    assert {name, "two"} <= names
    alice.done(alice.adapter.delete("/instances/two"), "deleted")
    # The snapshot was the clone's.
    assert {image.id for image in place.admin.connection.image.images()} == before


def test_deleted_with_all_that_it_brought(place: Place, hypervisor: Hypervisor) -> None:
    name = f"web-{hypervisor.name}"
    assert all(place.of(name).values())
    done = place.alice.multi("instance", "delete", name, "--wait")
    assert done.returncode == 0, done.stderr
    assert not any(place.of(name).values())
    assert "nova-multi-publish-udp-53" not in place.opened()
    tcp = int(place.made[name]["published"][0].partition(":")[0])
    assert provisioning.http(place.address, tcp) is None


def test_a_dependency_is_made_first_and_its_address_told(place: Place) -> None:
    """On another hypervisor, and the guests reach one another."""
    alice = place.alice
    back = {"name": "back", "image": IMAGES["lxd"], "driver": "lxd"}
    back |= {"script": SCRIPT.read_text(), "variables": {"GREETING": "front"}}
    front = {"name": "front", "image": IMAGES["docker"], "driver": "docker"}
    front |= {"depends": [{"provisioner_name": "back"}], "script": FRONT}
    for body in (back, front):
        sizes = {"memory": 0.125, "cpus": 1, "hdsize": 1}
        answer = alice.curl("POST", "/v1/provisioners", {**body, **sizes})
        assert answer.status_code == 201, answer.text
    body = {"name": "shown", "environment": place.name, "provisioner": "front"}
    task = alice.done(alice.curl("POST", "/v1/instances", body), "provisioned", 180)
    address = alice.get("/instances/back")["addresses"][0]
    assert f"back is at {address}: back" in task["log"].splitlines()
    (child,) = alice.get(f"/tasks?parent_uuid={task['uuid']}")["tasks"]
    assert child["status"] == "provisioned"
    # What stands is not made again.
    body["name"] = "again"
    task = alice.done(alice.curl("POST", "/v1/instances", body), "provisioned", 180)
    assert alice.get(f"/tasks?parent_uuid={task['uuid']}")["tasks"] == []
    for name in ("shown", "again", "back"):
        alice.done(alice.adapter.delete(f"/instances/{name}"), "deleted")


def test_nothing_is_lost_or_doubled(place: Place, names: list[str]) -> None:
    """What was begun when processes were killed has been done, once."""

    def all_ended() -> bool:
        tasks = place.alice.get("/tasks?type=create_instance")["tasks"]
        mine = [t for t in tasks if set(t["description"].split()) & set(names)]
        assert not [t for t in mine if t["status"] == "error"], mine
        return len(mine) == len(names) and {t["status"] for t in mine} == {"created"}

    cloud.wait_for("all tasks have ended", all_ended, provisioning.LEASE + 120, 1)
    listed = place.alice.get("/instances")["instances"]
    assert sorted(each["name"] for each in listed) == names
    assert {each["status"] for each in listed} == {"ACTIVE"}
    found = place.of("burst")
    assert found["servers"] == found["ports"] == names
    published = [each["published"][0].partition(":")[0] for each in listed]
    assert len(set(published)) == len(found["forwardings"]) == len(names)
    assert place.opened() == ["nova-multi-publish-tcp-80"]
    # One flavor of a kind serves them all.
    flavors = [
        (flavor.name, flavor.vcpus, flavor.ram, flavor.disk, str(flavor.extra_specs))
        for flavor in place.admin.connection.compute.flavors()
        if flavor.name.startswith("nm-")
    ]
    assert "nm-c1-m128-d1-docker" in {name for name, *_ in flavors}
    assert len({tuple(kind) for _, *kind in flavors}) == len(flavors)
    answers = [place.alice.adapter.delete(f"/instances/{name}") for name in names]
    for answer in answers:
        place.alice.done(answer, "deleted")
    assert not any(place.of("").values())
    assert place.opened() == []


INSTANCE = {"name": "x", "environment": "ENV", "provisioner": "plain-docker"}
BAD: tuple[tuple[str, str, Any, int, str], ...] = (
    ("POST", "/v1/instances", {**INSTANCE, "colour": "red"}, 400, "colour"),
    ("POST", "/v1/instances", {**INSTANCE, "memory": -1}, 400, "memory"),
    ("POST", "/v1/instances", {**INSTANCE, "cpus": 0}, 400, "cpus"),
    ("POST", "/v1/instances", {**INSTANCE, "hdsize": "2 boxes"}, 400, "hdsize"),
    ("POST", "/v1/instances", {**INSTANCE, "driver": "xen"}, 400, "driver"),
    ("POST", "/v1/instances", {**INSTANCE, "publish": ["99999:80"]}, 400, "publish"),
    ("POST", "/v1/instances", {**INSTANCE, "publish": ["80/icmp"]}, 400, "publish"),
    ("POST", "/v1/instances", {**INSTANCE, "permissions": "777"}, 400, "permissions"),
    ("POST", "/v1/instances", {**INSTANCE, "name": "../x"}, 400, "name"),
    ("POST", "/v1/instances", {**INSTANCE, "provisioner": "none"}, 404, "provisioner"),
    ("POST", "/v1/instances", {**INSTANCE, "environment": "none"}, 404, "environment"),
    ("POST", "/v1/provisioners", {"name": "nothing", "image": "no-image"}, 201, ""),
    (
        "POST",
        "/v1/instances",
        {**INSTANCE, "provisioner": "nothing"},
        400,
        "provisioner",
    ),
    ("POST", "/v1/provisioners", {"name": "plain-lxd", "image": "debian-lxd"}, 409, ""),
    ("POST", "/v1/partitions", {"name": "mine"}, 403, ""),
    ("GET", "/v1/instances/none", None, 404, ""),
    ("GET", "/v1/tasks/none", None, 404, ""),
    ("POST", "/v1/environments/ENV/apply", None, 409, "definition"),
)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    BAD,
    ids=[f"{row[3]}-{row[4] or row[1]}-{number}" for number, row in enumerate(BAD)],
)
def test_bad_input(
    place: Place, method: str, path: str, body: Any, status: int, field: str
) -> None:
    if isinstance(body, dict) and body.get("environment") == "ENV":
        body = {**body, "environment": place.name}
    answer = place.alice.curl(method, path.replace("ENV", place.name), body)
    assert answer.status_code == status, answer.text
    if status == 201:
        return
    error = answer.json()["error"]
    assert error["code"] and error["message"]
    if field:
        assert field in [each.get("field") for each in error["details"]], error
    assert place.alice.get("/instances") == {"instances": []}


def test_nothing_is_told_to_others(place: Place) -> None:
    """A member of another project finds the same as where there is nothing."""
    stranger = provisioning.Client(
        provisioning.sdk.connect(cloud=cloud.MEMBER), {"OS_CLOUD": cloud.MEMBER}
    )
    for path in (f"/environments/{place.name}", "/provisioners/plain-lxd"):
        there, not_there = (
            stranger.adapter.get(each)
            for each in (path, f"{path.rpartition('/')[0]}/nobody")
        )
        assert there.status_code == not_there.status_code == 404
    assert (
        requests.get(stranger.adapter.get_endpoint() + "/tasks", timeout=10).status_code
        == 401
    )


def test_nothing_is_left(place: Place) -> None:
    admin, name = place.admin, place.name
    for each in place.alice.get("/provisioners")["provisioners"]:
        place.alice.adapter.delete(f"/provisioners/{each['name']}")
    admin.done(admin.adapter.delete(f"/environments/{name}"), "deleted")
    admin.done(admin.adapter.delete(f"/partitions/{name}-co"), "deleted")
    network, project = admin.connection.network, place.project
    assert not _groups(admin, project)
    for kind in ("networks", "subnets", "routers", "ips", "ports"):
        assert not list(getattr(network, kind)(project_id=project)), kind
    names = {each.name for each in admin.connection.identity.projects()}
    assert not names & {name, f"{name}-co"}
    grants = admin.connection.identity.role_assignments(scope_project_id=project)
    assert not list(grants)
