# SPDX-License-Identifier: Apache-2.0
"""Projects, users and groups; the fake keeps Keystone's rule on names."""

from __future__ import annotations

import pytest

from nova_multi.cloud.marks import Mark
from nova_multi.domain import errors

from .conftest import ENVIRONMENT, TASK
from .fake import Answer, keystone_error


class Keystone:
    """Names are unique in a domain; users and groups keep any attribute."""

    def __init__(self, fake):
        self.kept = {"projects": {}, "users": {}, "groups": {}}
        for kind in self.kept:
            fake.on("identity", "GET", f"/({kind})", self.listed)
            fake.on("identity", "POST", f"/({kind})", self.create)
            fake.on("identity", "GET", f"/({kind})/([^/]+)", self.shown)
            fake.on("identity", "PATCH", f"/({kind})/([^/]+)", self.change)
            fake.on("identity", "DELETE", f"/({kind})/([^/]+)", self.delete)

    def listed(self, call, kind):
        found = list(self.kept[kind].values())
        for key, (value, *_) in call.query.items():
            if key == "tags":
                tags = set(value.split(","))
                found = [each for each in found if tags <= set(each["tags"])]
            else:
                found = [each for each in found if each[key] == value]
        return {kind: found, "links": {"next": None, "self": "x", "previous": None}}

    def create(self, call, kind):
        (body,) = call.body.values()
        self._unique(kind, body["name"], body["domain_id"], None)
        number = f"{kind}-{len(self.kept[kind]) + 1}"
        raw = {"id": number, "enabled": True, **body}
        raw.pop("password", None)
        self.kept[kind][number] = raw
        return Answer(201, {kind[:-1]: raw})

    def _unique(self, kind, name, domain, but):
        for each in self.kept[kind].values():
            if (each["name"], each["domain_id"]) == (name, domain) and each != but:
                raise keystone_error(409, "Conflict occurred attempting to store")

    def _one(self, kind, number):
        if number not in self.kept[kind]:
            raise keystone_error(404, "Could not find")
        return self.kept[kind][number]

    def shown(self, call, kind, number):
        return {kind[:-1]: self._one(kind, number)}

    def change(self, call, kind, number):
        raw = self._one(kind, number)
        (changes,) = call.body.values()
        if "name" in changes:
            self._unique(kind, changes["name"], raw["domain_id"], raw)
        raw |= changes
        return {kind[:-1]: raw}

    def delete(self, call, kind, number):
        self._one(kind, number)
        del self.kept[kind][number]
        return Answer(204)


@pytest.fixture
def keystone(fake):
    return Keystone(fake)


@pytest.fixture
def identity(manager):
    return manager.identity


# -- projects


def test_create_project(fake, identity, keystone, mark):
    made = identity.create_project(
        "dev", mark, domain_id="d", parent_id="p", description="for us"
    )
    assert fake.last().body == {
        "project": {
            "name": "dev",
            "domain_id": "d",
            "parent_id": "p",
            "description": "for us",
            "tags": [
                f"nova-multi:task={TASK}",
                f"nova-multi:environment={ENVIRONMENT}",
            ],
        }
    }
    assert (made.name, made.parent_id, made.enabled) == ("dev", "p", True)
    assert len(fake.calls) == 1
    top = identity.create_project("top", mark, domain_id="d")
    assert fake.last().body["project"]["parent_id"] == "d"
    assert top.parent_id is None


@pytest.mark.parametrize("kind", ["project", "user", "group"])
def test_create_again(fake, identity, keystone, mark, kind):
    create = getattr(identity, f"create_{kind}")
    first = create("x", mark, domain_id="d")
    assert create("x", mark, domain_id="d") == first
    assert create("x", mark, domain_id="other").id != first.id
    with pytest.raises(errors.NameTaken):
        create("x", Mark("another-task"), domain_id="d")
    assert len(keystone.kept[f"{kind}s"]) == 2


def test_projects(fake, identity, keystone, mark):
    for number in range(40):
        identity.create_project(f"n{number}", mark, domain_id="d", parent_id="p")
    fake.calls.clear()
    assert len(identity.projects(parent_id="p", tags=mark.tags)) == 40
    assert len(fake.calls) == 1
    assert identity.projects(tags=["other"]) == ()


def test_update_project(fake, identity, keystone, mark):
    one = identity.create_project("one", mark, domain_id="d")
    identity.create_project("two", mark, domain_id="d")
    changed = identity.update_project(one.id, description="new", enabled=False)
    assert (changed.description, changed.enabled) == ("new", False)
    assert identity.project(one.id) == changed
    with pytest.raises(errors.NameTaken):
        identity.update_project(one.id, name="two")
    with pytest.raises(errors.NotFound):
        identity.update_project("none", name="x")


@pytest.mark.parametrize("kind", ["project", "user", "group"])
def test_delete(identity, keystone, mark, kind):
    made = getattr(identity, f"create_{kind}")("x", mark, domain_id="d")
    delete = getattr(identity, f"delete_{kind}")
    assert delete(made.id) is True
    assert delete(made.id) is False
    with pytest.raises(errors.NotFound):
        getattr(identity, kind)(made.id)


def test_a_project_with_projects_stays(fake, identity):
    message = "Cannot delete project: it is not a leaf in the project hierarchy."
    fake.on("identity", "DELETE", "/projects/p", keystone_error(403, message))
    fake.on("identity", "GET", "/projects", {"projects": [{"id": "p"}]})
    with pytest.raises(errors.Forbidden, match="leaf"):
        identity.delete_project("p")


# -- users and groups


def test_users(fake, identity, keystone, mark):
    made = identity.create_user(
        "alice", mark, domain_id="d", password="x", description="A", email="a@b"
    )
    assert fake.last().body == {
        "user": {
            "name": "alice",
            "domain_id": "d",
            "password": "x",
            "description": "A",
            "email": "a@b",
            "nova_multi_task": TASK,
        }
    }
    assert identity.user(made.id) == made
    assert identity.users(domain_id="d", name="alice") == (made,)
    assert identity.users(name="bob") == ()
    identity.create_user("bob", mark, domain_id="d")
    assert identity.update_user(made.id, enabled=False).enabled is False
    with pytest.raises(errors.NameTaken):
        identity.update_user(made.id, name="bob")


def test_groups(fake, identity, keystone, mark):
    made = identity.create_group("devs", mark, domain_id="d", description="D")
    assert identity.groups(domain_id="d") == (made,)
    assert identity.group(made.id) == made
    assert identity.update_group(made.id, name="ops").name == "ops"


def test_members(fake, identity):
    path = "/groups/g/users"
    fake.on("identity", "PUT", f"{path}/u", Answer(204))
    identity.add_member("g", "u")
    raw = {"users": [{"id": "u", "name": "alice", "domain_id": "d"}]}
    fake.on("identity", "GET", path, raw)
    assert [user.name for user in identity.members("g")] == ["alice"]
    raw = {"groups": [{"id": "g", "name": "devs", "domain_id": "d"}]}
    fake.on("identity", "GET", "/users/u/groups", raw)
    assert [group.name for group in identity.groups_of("u")] == ["devs"]
    fake.on("identity", "DELETE", f"{path}/u", Answer(204))
    assert identity.remove_member("g", "u") is True
    fake.on("identity", "DELETE", f"{path}/u", keystone_error(404))
    assert identity.remove_member("g", "u") is False
    fake.on("identity", "PUT", f"{path}/u", keystone_error(404))
    with pytest.raises(errors.NotFound):
        identity.add_member("g", "u")


# -- a manager of a domain hears 403 of what isn't there

NEW = {"name": "z"}


@pytest.mark.parametrize("kind", ["project", "user", "group"])
def test_what_is_hidden(fake, identity, keystone, kind):
    for method in ("GET", "PATCH", "DELETE"):
        fake.on("identity", method, f"/{kind}s/x", keystone_error(403))
    assert getattr(identity, f"delete_{kind}")("x") is False
    with pytest.raises(errors.NotFound):
        getattr(identity, kind)("x")
    with pytest.raises(errors.NotFound):
        getattr(identity, f"update_{kind}")("x", name="y")


@pytest.mark.parametrize("kind", ["project", "user", "group"])
def test_what_is_there_and_forbidden(fake, identity, keystone, mark, kind):
    made = getattr(identity, f"create_{kind}")("n", mark, domain_id="d")
    for method in ("GET", "PATCH", "DELETE"):
        fake.on("identity", method, f"/{kind}s/{made.id}", keystone_error(403))
    for ask, changes in ((f"delete_{kind}", {}), (kind, {}), (f"update_{kind}", NEW)):
        with pytest.raises(errors.Forbidden):
            getattr(identity, ask)(made.id, **changes)


def test_members_that_are_hidden(fake, identity, keystone):
    for method in ("PUT", "DELETE"):
        fake.on("identity", method, "/groups/g/users/u", keystone_error(403))
    assert identity.remove_member("g", "u") is False
    with pytest.raises(errors.NotFound):
        identity.add_member("g", "u")
