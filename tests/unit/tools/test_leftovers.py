# SPDX-License-Identifier: Apache-2.0
"""What killed tests have left is told from what is somebody's."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any
from unittest import mock

import leftovers
import pytest


@pytest.mark.parametrize(
    "name",
    [
        *("it-46badd", "it-46badd-co", "it-docker-0a1b2c", "it-wrong-ffffff"),
        *("it-signed-123abc-team",),
    ],
)
def test_names_of_tests(name: str) -> None:
    assert leftovers.is_of_tests(name)
    assert not leftovers.is_of_bench(name)


@pytest.mark.parametrize(
    "name",
    [
        *("bench", "bench-plain", "bench-plain-26", "bench-resident", "bench-fake"),
        *("bench-docker-0", "bench-46badd", "bench-46badd-accepted-7"),
    ],
)
def test_names_of_benchmarks(name: str) -> None:
    assert leftovers.is_of_bench(name)
    assert not leftovers.is_of_tests(name)


@pytest.mark.parametrize(
    "name",
    [
        *("it-support", "it-web-1", "it", "it-46badd-", "xit-46badd", "it-46BADD"),
        *("bench-press", "benchmark", "bench-", "bench-web-1", "web-docker", ""),
    ],
)
def test_names_of_others(name: str) -> None:
    assert not leftovers.is_of_tests(name)
    assert not leftovers.is_of_bench(name)


class Cloud:
    """As much of a connection as is asked, with resources by name."""

    def __init__(self, **entries: list[str]) -> None:
        self.deleted: list[str] = []
        self.entries = {
            kind: [types.SimpleNamespace(id=n, name=n, hosts=()) for n in names]
            for kind, names in entries.items()
        }
        self.compute = self.network = self.image = self.identity = self
        self.current_user_id = "admin"
        self.session = mock.Mock()

    def __getattr__(self, name: str) -> Any:
        verb, _, kind = name.partition("_")
        if verb == "delete":
            return lambda entry, **_: self._delete(kind, entry)
        return lambda **_: iter(self.__dict__["entries"].get(name, []))

    def _delete(self, kind: str, entry: Any) -> None:
        self.deleted.append(f"{kind} {entry.name}")
        self.entries[f"{kind}s"].remove(entry)

    def find_server(self, name: str, **_: Any) -> Any:
        found = [each for each in self.entries["servers"] if each.id == name]
        return found[0] if found else None


@pytest.fixture(autouse=True)
def service() -> Iterator[mock.Mock]:
    """The provisioning service's client: there is none."""
    with mock.patch.object(leftovers, "Adapter") as made:
        made.return_value.get_endpoint.return_value = None
        yield made.return_value


def test_others_are_left() -> None:
    cloud = Cloud(
        servers=["it-lxd-012345", "web"],
        images=["it-012345", "debian"],
        networks=["private"],
        users=["it-abcdef", "alice"],
    )
    found = leftovers.Leftovers(cloud, leftovers.is_of_tests).clean()
    assert found == ["image it-012345", "server it-lxd-012345", "user it-abcdef"]
    assert sorted(cloud.deleted) == found
    assert [each.name for each in cloud.entries["servers"]] == ["web"]


def test_a_clean_cloud_is_only_looked_at() -> None:
    cloud = Cloud(servers=["web"])
    assert leftovers.Leftovers(cloud, leftovers.is_of_tests).clean() == []
    assert cloud.deleted == []


def test_a_project_is_emptied_first() -> None:
    cloud = Cloud(projects=["it-012345"])
    inside = mock.Mock()
    inside.project_cleanup.side_effect = lambda **_: cloud.deleted.append("inside")
    cloud.find_role = cloud.assign_project_role_to_user = mock.Mock()
    cloud.connect_as_project = mock.Mock(return_value=inside)
    leftovers.Leftovers(cloud, leftovers.is_of_tests).clean()
    assert cloud.deleted == ["inside", "project it-012345"]
    inside.close.assert_called_once_with()


def test_what_does_not_go_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "PATIENCE", -1)
    cloud = Cloud(servers=["bench-plain-1"])
    cloud.delete_server = mock.Mock()
    with pytest.raises(TimeoutError, match="bench-plain-1 does not go"):
        leftovers.Leftovers(cloud, leftovers.is_of_bench).clean()


def test_the_services_own(service: mock.Mock) -> None:
    """An instance by its environment's name; its task is waited for."""
    listed = {
        "instances": [
            {"uuid": "u1", "name": "web", "environment": "it-012345"},
            {"uuid": "u2", "name": "web", "environment": "shop"},
        ],
        "environments": [{"name": "it-012345"}, {"name": "shop"}],
        "partitions": [{"name": "it-012345-co"}, {"name": "co"}],
        "users": [{"username": "it-012345"}],
    }
    inside = [{"uuid": "p1", "name": "plain"}]

    def get(path: str, params: dict[str, str] | None = None) -> mock.Mock:
        noun = path.strip("/")
        if params == {"partition": "it-012345-co"} and noun == "provisioners":
            return mock.Mock(json=lambda: {noun: list(inside)})
        if noun.startswith("tasks/"):
            return mock.Mock(json=lambda: {"ended": next(ended)})
        return mock.Mock(ok=True, json=lambda: {noun: listed.get(noun, [])})

    def delete(path: str) -> mock.Mock:
        _, noun, key = path.split("/")
        if key == "p1":
            inside.clear()
            return mock.Mock(status_code=200)
        listed[noun] = [e for e in listed[noun] if key not in e.values()]
        if noun == "users":
            return mock.Mock(status_code=204)
        return mock.Mock(status_code=202, json=lambda: {"task": noun})

    service.get_endpoint.return_value = "http://service"
    service.get.side_effect = get
    service.delete.side_effect = delete
    ended = iter([False, True, True, True])
    with mock.patch("time.sleep"):
        leftovers.Leftovers(Cloud(), leftovers.is_of_tests).clean()
    assert [each.args[0] for each in service.delete.call_args_list] == [
        "/instances/u1",
        "/provisioners/p1",
        "/environments/it-012345",
        "/partitions/it-012345-co",
        "/users/it-012345",
    ]
    assert next(ended, None) is None


def test_what_the_service_keeps_is_told(
    service: mock.Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers that it will not; nobody is told that it was taken away."""
    listed = {"partitions": [{"name": "it-012345-co"}]}
    service.get_endpoint.return_value = "http://service"
    service.get.side_effect = lambda path, params=None: mock.Mock(
        ok=True, json=lambda: {path[1:]: [] if params else listed.get(path[1:], [])}
    )
    service.delete.return_value = mock.Mock(status_code=409)
    monkeypatch.setattr(leftovers, "PATIENCE", 0)
    with pytest.raises(TimeoutError, match="not go: partition it-012345-co"):
        leftovers.Leftovers(Cloud(), leftovers.is_of_tests).clean()
