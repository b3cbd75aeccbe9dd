# SPDX-License-Identifier: Apache-2.0
"""What administrators have, and what belongs to several users, on the deployed cloud.

Users and groups, hosts, files, images and permissions. No guest is started but one, for
the host to carry: the tests share an environment and run in this order.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import secrets
import socket
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.fixtures import image_files
from tests.integration import cloud, provisioning
from tests.integration.provisioning import Client

#: Seconds for a task that starts no guest.
SOON = 60


@dataclasses.dataclass
class Office:
    """An environment with two users, and who operates it.

    :ivar name: begins the names of all that is made.
    """

    admin: Client
    alice: Client
    bob: Client
    name: str
    logins: tuple[str, str]

    @property
    def partition(self) -> str:
        """Of the environment."""
        return f"{self.name}-co"


def gone(answer: requests.Response, client: Client) -> None:
    """See that what was to be deleted is gone, now or when its task has ended."""
    assert answer.status_code in (200, 202, 204, 404), answer.text
    if answer.status_code == 202:
        client.done(answer, "deleted", SOON)


def code(answer: requests.Response) -> str:
    """The word for what went wrong."""
    return str(answer.json()["error"]["code"])


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    """A partition and an environment in it, for two users."""
    admin = provisioning.administrator()
    name = f"it-{secrets.token_hex(3)}"
    with contextlib.ExitStack() as stack:

        def deleted(path: str) -> None:
            stack.callback(lambda: gone(admin.adapter.delete(path), admin))

        deleted(f"/partitions/{name}-co")
        answer = admin.curl("POST", "/v1/partitions", {"name": f"{name}-co"})
        admin.done(answer, "created", SOON)
        partition = next(admin.connection.identity.projects(name=f"{name}-co"))
        users = [
            stack.enter_context(provisioning.user(admin, partition.domain_id))
            for _ in "ab"
        ]
        deleted(f"/environments/{name}")
        body = {
            "name": name,
            "partition": f"{name}-co",
            "users": [{"login": login} for login, _ in users],
        }
        admin.done(admin.curl("POST", "/v1/environments", body), "created", SOON)
        project = next(admin.connection.identity.projects(name=name))
        alice, bob = (
            provisioning.member(admin, *each, project.id, partition.domain_id)
            for each in users
        )
        yield Office(admin, alice, bob, name, (users[0][0], users[1][0]))


@pytest.fixture
def later(office: Office) -> Iterator[Callable[[str], None]]:
    """Names paths that are deleted afterwards, the last first."""
    with contextlib.ExitStack() as stack:

        def add(path: str) -> None:
            stack.callback(
                lambda: gone(office.admin.adapter.delete(path), office.admin)
            )

        yield add


# -- users and groups


def test_users_and_groups(office: Office, later: Callable[[str], None]) -> None:
    admin = office.admin
    login, team = f"{office.name}-carol", f"{office.name}-team"
    later(f"/groups/{team}")
    later(f"/users/{login}")
    made = admin.curl("POST", "/v1/groups", {"name": team})
    assert made.status_code == 201, made.text
    admin.run("user", "create", login, "--type", "system", "--group", team)
    shown = admin.get(f"/users/{login}")
    assert (shown["type"], shown["groups"]) == ("system", [{"name": team}])
    # Keystone has the same.
    identity = admin.connection.identity
    user = next(iter(identity.users(name=login)))
    group = next(iter(identity.groups(name=team)))
    assert (user.id, group.id) == (shown["uuid"], made.json()["uuid"])
    assert identity.check_user_in_group(user, group)
    listed = admin.get(f"/users?groups={team}")["users"]
    assert [each["username"] for each in listed] == [login]
    assert [each["name"] for each in admin.get(f"/groups?users={login}")["groups"]] == [
        team
    ]
    taken = admin.curl("POST", "/v1/users", {"username": login})
    assert (taken.status_code, code(taken)) == (409, "name_taken"), taken.text


def test_groups_are_changed(office: Office, later: Callable[[str], None]) -> None:
    admin, team = office.admin, f"{office.name}-crew"
    later(f"/groups/{team}")
    # Not those whose tokens other tests use: Keystone revokes the tokens of who leaves
    # a group, and for a second also those that it gives out anew.
    dora, emil = (f"{office.name}-{each}" for each in ("dora", "emil"))
    for login in (dora, emil):
        later(f"/users/{login}")
        answer = admin.curl("POST", "/v1/users", {"username": login})
        assert answer.status_code == 201, answer.text
    body = {"name": team, "users": [{"username": dora}]}
    made = admin.curl("POST", "/v1/groups", body)
    assert made.status_code == 201, made.text
    changed = admin.curl("PUT", f"/v1/groups/{team}", {"users": [{"username": emil}]})
    assert changed.status_code == 200, changed.text
    assert admin.get(f"/groups/{team}")["users"] == [{"username": emil}]
    wrong = admin.curl("PUT", f"/v1/groups/{team}", {"users": ["nobody-at-all"]})
    assert wrong.status_code == 400, wrong.text
    gone(admin.adapter.delete(f"/groups/{team}"), admin)
    assert admin.adapter.get(f"/groups/{team}").status_code == 404
    # Its users are as they were.
    assert admin.get(f"/users/{emil}")["groups"] == []


@pytest.mark.parametrize("path", ["users", "groups", "hosts", "partitions"])
def test_only_an_administrator_has_these(office: Office, path: str) -> None:
    answer = office.alice.adapter.get(f"/{path}")
    assert answer.status_code == 403, f"{path}: {answer.status_code} {answer.text}"


# -- hosts


@pytest.fixture(scope="module")
def node(office: Office) -> str:
    """The machine."""
    name = socket.gethostname().split(".")[0]
    known = [each["name"] for each in office.admin.get("/hosts")["hosts"]]
    assert name in known, known
    return name


def services(office: Office, node: str) -> dict[str, str]:
    """Nova's own word on the machine's compute services."""
    found = office.admin.connection.compute.services(binary="nova-compute")
    return {
        each.host: each.status
        for each in found
        if each.host == node or each.host.startswith(f"{node}-")
    }


def test_a_host_is_a_machine(office: Office, node: str) -> None:
    shown = office.admin.get(f"/hosts/{node}")
    assert set(shown["drivers"]) == {"docker", "lxd", "libvirt"}
    assert shown["state"] == "up"
    assert shown["enabled"] is True
    assert shown["free"]["memory_mb"] > 0
    assert set(services(office, node)) == {node, f"{node}-docker", f"{node}-lxd"}
    listed = office.admin.get("/hosts?driver=lxd&enabled=true&state=up")["hosts"]
    assert node in [each["name"] for each in listed]
    # The environment's partition has no hosts, so it uses this one.
    path = f"/environments/{office.name}/hosts"
    assert node in [each["name"] for each in office.admin.get(path)["hosts"]]
    assert office.admin.get(f"/partitions/{office.partition}/hosts") == {"hosts": []}
    within = office.alice.get(f"/environments/{office.name}/partition")
    assert within["name"] == office.partition


def test_a_host_is_disabled_and_enabled_as_one(office: Office, node: str) -> None:
    admin = office.admin
    try:
        answer = admin.curl("PUT", f"/v1/hosts/{node}", {"enabled": False})
        assert answer.status_code == 200, answer.text
        assert answer.json()["enabled"] is False
        assert set(services(office, node).values()) == {"disabled"}
    finally:
        answer = admin.curl("PUT", f"/v1/hosts/{node}", {"enabled": True})
    assert answer.status_code == 200, answer.text
    assert answer.json()["enabled"] is True
    assert set(services(office, node).values()) == {"enabled"}


def test_what_is_no_host(office: Office) -> None:
    answer = office.admin.curl("POST", "/v1/hosts", {"name": "no-such-machine"})
    assert answer.status_code == 501, answer.text
    assert office.admin.adapter.get("/hosts/no-such-machine").status_code == 404


@pytest.fixture
def foreign(office: Office) -> Iterator[str]:
    """Name of a server of nobody's that the service knows."""
    name = f"{office.name}-foreign"
    shown = cloud.openstack(
        *("server", "create", "--flavor", cloud.FLAVOR, "--image", "debian-docker"),
        *("--network", cloud.NETWORK, "--wait", name),
    )
    yield name
    cloud.openstack_text("server", "delete", "--wait", shown["id"])


def test_a_host_with_foreign_servers_stays_out(
    office: Office, node: str, foreign: str
) -> None:
    admin = office.admin
    path = f"/v1/partitions/{office.partition}/host/{node}"
    answer = admin.curl("PUT", path)
    if answer.status_code == 202:
        # Nobody must find the machine taken away.
        admin.ended(answer.json()["task"], SOON)
        taken = admin.adapter.delete(path.removeprefix("/v1"))
        if taken.status_code == 202:
            admin.ended(taken.json()["task"], SOON)
    assert (answer.status_code, code(answer)) == (409, "host_occupied"), answer.text
    assert foreign in answer.json()["error"]["message"]
    assert office.admin.get(f"/hosts/{node}")["partition"] == ""
    # Nothing of it has come to Nova.
    aggregates = admin.connection.compute.aggregates()
    assert not [each for each in aggregates if office.partition in each.name]


# -- files

CONTENT = "d-i preseed \N{SNOWMAN}\n".encode() * 20


def upload(
    client: Client, name: str, content: bytes = CONTENT, **fields: str
) -> requests.Response:
    """Send a file as VirtShell's documentation shows it."""
    root = client.adapter.get_endpoint().rsplit("/v1", 1)[0]
    return requests.post(
        f"{root}/api/virtshell/v1/files",
        files={"file_data": (name, content)},
        data=fields,
        headers={"X-Auth-Token": client.connection.auth_token},
        timeout=SOON,
    )


def test_a_file_up_and_down(office: Office, later: Callable[[str], None]) -> None:
    alice, name = office.alice, f"{office.name}.cfg"
    later(f"/files/{name}?environment={office.name}")
    made = upload(alice, name, folder_name="seeds/debian")
    assert made.status_code == 201, made.text
    checksum = hashlib.sha256(CONTENT).hexdigest()
    shown = alice.get(f"/files/{name}")
    assert (shown["size"], shown["checksum"]) == (len(CONTENT), checksum)
    assert shown["folder_name"] == "seeds/debian"
    assert base64.b64decode(alice.get(f"/file/{name}")["content"]) == CONTENT
    listed = alice.get("/files?folder_name=seeds/debian")["files"]
    assert [each["name"] for each in listed] == [name]
    again = upload(alice, name)
    assert (again.status_code, code(again)) == (409, "name_taken"), again.text


def test_permissions_of_two_users(office: Office, later: Callable[[str], None]) -> None:
    """What is whose, and what the other one of the environment may do with it."""
    name = f"{office.name}.key"
    later(f"/files/{name}?environment={office.name}")
    made = upload(office.alice, name, permissions="rw-r-----")
    assert made.status_code == 201, made.text
    assert office.bob.get(f"/files/{name}")["permissions"] == "rw-r-----"
    refused = office.bob.curl("DELETE", f"/v1/files/{name}")
    assert refused.status_code == 403, refused.text
    root = office.alice.adapter.get_endpoint().rstrip("/")
    changed = requests.put(
        f"{root}/files/{name}",
        files={"permissions": (None, "rw-------")},
        headers={"X-Auth-Token": office.alice.connection.auth_token},
        timeout=SOON,
    )
    assert changed.status_code == 200, changed.text
    hidden = [
        office.bob.adapter.get(f"/files/{each}") for each in (name, "no-such-file")
    ]
    assert [each.status_code for each in hidden] == [404, 404], [h.text for h in hidden]
    assert office.bob.get("/files") == {"files": []}
    # They take nothing from the administrator.
    path = f"/files/{name}?environment={office.name}"
    assert office.admin.get(path)["permissions"] == "rw-------"


# -- images


def test_an_image_of_a_file_of_the_service(
    office: Office, later: Callable[[str], None]
) -> None:
    """Its URL names the service itself, and is private as loopback is."""
    alice = office.alice
    name, file = f"{office.name}-image", f"{office.name}.img"
    later(f"/files/{file}?environment={office.name}")
    later(f"/images/{name}?environment={office.name}")
    content = image_files.qcow2()
    assert upload(alice, file, content).status_code == 201
    endpoint = alice.adapter.get_endpoint().rstrip("/")
    body = {"name": name, "type": "disk", "os": "none", "version": "1"}
    body["download_url"] = f"{endpoint}/files/{file}"
    alice.done(alice.curl("POST", "/v1/images", body), "created", SOON)
    shown = alice.get(f"/images/{name}")
    assert (shown["status"], shown["size"]) == ("active", len(content))
    stored = office.admin.connection.image.get_image(shown["uuid"])
    assert stored.hash_value == hashlib.sha512(content).hexdigest()
    assert stored.owner == alice.connection.current_project_id
    listed = alice.get(f"/images?name={name}&os=none&status=active")["images"]
    assert [each["uuid"] for each in listed] == [shown["uuid"]]
    changed = alice.curl("PUT", f"/v1/images/{name}", {"permissions": "rwxr-----"})
    assert changed.status_code == 200, changed.text
    assert office.bob.curl("DELETE", f"/v1/images/{name}").status_code == 403
    alice.done(alice.adapter.delete(f"/images/{name}"), "deleted", SOON)
    assert office.admin.connection.image.find_image(shown["uuid"]) is None


@pytest.mark.parametrize("path", ["/files/no-such-file", "/instances"])
def test_an_image_of_no_file_of_the_service(office: Office, path: str) -> None:
    endpoint = office.alice.adapter.get_endpoint().rstrip("/")
    body = {"name": f"{office.name}-none", "type": "disk"}
    answer = office.alice.curl(
        "POST", "/v1/images", {**body, "download_url": endpoint + path}
    )
    assert answer.status_code == 400, answer.text
    (detail,) = answer.json()["error"]["details"]
    assert detail["field"] == "download_url"


@pytest.mark.parametrize("host", ["127.0.0.1:9", "169.254.169.254", "[::1]"])
def test_an_image_from_a_private_host(office: Office, host: str) -> None:
    body = {"name": f"{office.name}-private", "type": "disk"}
    url = urllib.parse.urlunsplit(("http", host, "/image", "", ""))
    answer = office.alice.curl("POST", "/v1/images", {**body, "download_url": url})
    assert (answer.status_code, code(answer)) == (400, "private_host"), answer.text


def test_an_image_that_glance_has_is_taken_up(
    office: Office, later: Callable[[str], None]
) -> None:
    alice, name = office.alice, "debian-docker"
    later(f"/images/{name}?environment={office.name}")
    (before,) = office.admin.connection.image.images(name=name)
    body = {"name": name, "type": "docker-container", "permissions": "rwxr-----"}
    made = alice.curl("PUT", "/api/virtshell/v1/image", body)
    assert made.status_code == 201, made.text
    assert made.json()["uuid"] == before.id
    alice.done(alice.adapter.delete(f"/images/{name}"), "deleted", SOON)
    # It stays where it was.
    assert office.admin.connection.image.get_image(before.id).status == "active"


# -- changes of what is there


def test_limits_of_partitions_and_environments(office: Office) -> None:
    admin = office.admin
    path = f"/v1/environments/{office.name}"
    too_much = {"limits": {"instances": 7, "cpus": 7, "memory": 7000}}
    enough = {"limits": {"instances": 3, "cpus": 4, "memory": "2GB"}}
    admin.done(admin.curl("PUT", path, enough), "done", SOON)
    answer = admin.curl("PUT", f"/v1/partitions/{office.partition}", enough)
    assert answer.status_code == 200, answer.text
    refused = admin.curl("PUT", path, too_much)
    assert refused.status_code in (400, 409), refused.text
    # An environment's limits are Nova's quota of its project, and a member's to see.
    project = office.alice.connection.current_project_id
    quota = admin.connection.compute.get_quota_set(project)
    assert (quota.instances, quota.cores, quota.ram) == (3, 4, 2048)
    assert office.alice.get(f"/environments/{office.name}")["limits"] == {
        "instances": 3,
        "cpus": 4,
        "memory": 2048,
    }
    assert office.alice.curl("PUT", path, enough).status_code == 403


def test_who_may_use_an_environment_is_changed(office: Office) -> None:
    admin, (alice, bob) = office.admin, office.logins
    path = f"/v1/environments/{office.name}"
    body = {"users": [{"login": alice}]}
    admin.done(admin.curl("PUT", path, body), "done", SOON)
    shown = admin.get(f"/environments/{office.name}")
    assert shown["users"] == [{"login": alice}]
    # Keystone gives the other one no token for it any more.
    project = office.alice.connection.current_project_id
    user = next(iter(admin.connection.identity.users(name=bob)))
    grants = admin.connection.identity.role_assignments(
        scope_project_id=project, user_id=user.id
    )
    assert list(grants) == []


def test_ports_are_published_and_taken_back_later(
    office: Office, later: Callable[[str], None]
) -> None:
    """Of an instance that stands, with a description, variables and tags."""
    alice, name = office.alice, f"{office.name}-guest"
    later(f"/instances/{name}?environment={office.name}")
    later(f"/provisioners/{name}?environment={office.name}")
    body: dict[str, Any] = {"name": name, "image": "debian-docker", "driver": "docker"}
    sizes = {"memory": 0.125, "cpus": 1, "hdsize": 1}
    answer = alice.curl("POST", "/v1/provisioners", {**body, **sizes})
    assert answer.status_code == 201, answer.text
    body = {"name": name, "environment": office.name, "provisioner": name}
    body |= {"permissions": "rwxr-----", "tags": [office.name]}
    alice.done(alice.curl("POST", "/v1/instances", body), "created", SOON)
    path = f"/v1/instances/{name}"
    alice.done(alice.curl("PUT", path, {"publish": ["8080:80"]}), "done", SOON)
    assert alice.get(f"/instances/{name}")["published"] == ["8080:80"]
    for query in ("driver=docker", "status=ACTIVE", f"tag={office.name}"):
        found = alice.get(f"/instances?{query}&name={name}")["instances"]
        assert [each["name"] for each in found] == [name], query
    assert alice.get(f"/instances?status=SHUTOFF&name={name}") == {"instances": []}
    alice.done(alice.curl("PUT", path, {"publish": []}), "done", SOON)
    assert alice.get(f"/instances/{name}")["published"] == []
    # The administrator is told the host, and lists what it carries.
    host = office.admin.get(f"/instances/{name}?environment={office.name}")["host"]
    carried = office.admin.get(f"/hosts/{host}")["instances"]
    assert {"name": name} in carried
    alice.done(alice.adapter.delete(f"/instances/{name}"), "deleted", SOON)
