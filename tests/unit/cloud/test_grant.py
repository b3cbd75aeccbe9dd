# SPDX-License-Identifier: Apache-2.0
"""Roles on projects: repeatable, and read in one request."""

from __future__ import annotations

import pytest

from nova_multi.cloud.values import Grant
from nova_multi.domain import errors

from .fake import Answer, keystone_error


@pytest.fixture
def grants(manager):
    return manager.grants


@pytest.fixture
def roles(fake):
    def listed(call):
        name = call.query["name"][0]
        known = {"member": "r1"}
        return {"roles": [{"id": known[name], "name": name}] if name in known else []}

    fake.on("identity", "GET", "/roles", listed)


def test_grant_and_revoke(fake, grants, roles):
    user = "/projects/p/users/u/roles/r1"
    group = "/OS-INHERIT/projects/p/groups/g/roles/r1/inherited_to_projects"
    fake.on("identity", "PUT", user, Answer(204))
    fake.on("identity", "PUT", group, Answer(204))
    fake.on("identity", "DELETE", user, Answer(204))
    grants.grant("p", "member", user_id="u")
    grants.grant("p", "member", group_id="g", inherited=True)
    assert grants.revoke("p", "member", user_id="u") is True
    fake.on("identity", "DELETE", user, keystone_error(404))
    assert grants.revoke("p", "member", user_id="u") is False
    # The role's id is asked for once.
    assert fake.lines().count("GET identity/roles") == 1


def test_a_role_that_is_not_there(grants, roles):
    with pytest.raises(errors.NotFound) as caught:
        grants.grant("p", "emperor", user_id="u")
    assert caught.value.field == "role"


@pytest.mark.parametrize("whom", [{}, {"user_id": "u", "group_id": "g"}])
def test_a_grant_is_for_one(grants, whom):
    with pytest.raises(ValueError, match="user or for a group"):
        grants.grant("p", "member", **whom)


def test_grants(fake, grants):
    role = {"id": "r1", "name": "member"}
    scope = {"project": {"id": "p", "name": "dev"}}
    raw = [
        {"role": role, "scope": scope, "user": {"id": f"u{n}", "name": f"user{n}"}}
        for n in range(30)
    ]
    raw.append({"role": role, "scope": scope, "group": {"id": "g", "name": "devs"}})
    fake.on("identity", "GET", "/role_assignments", {"role_assignments": raw})
    found = grants.grants("p")
    assert found[0] == Grant("member", "p", user_id="u0", user_name="user0")
    assert found[-1] == Grant("member", "p", group_id="g", group_name="devs")
    assert fake.last().query == {"scope.project.id": ["p"], "include_names": ["true"]}
    assert len(fake.calls) == 1


def test_roles_of(fake, grants):
    scope = {"project": {"id": "p"}}
    raw = [
        {"role": {"name": name}, "scope": scope, "user": {"id": "u"}}
        for name in ("member", "reader")
    ]
    fake.on("identity", "GET", "/role_assignments", {"role_assignments": raw})
    assert grants.roles_of("u", "p") == {"member", "reader"}
    assert fake.last().query["effective"] == ["true"]
    assert fake.last().query["user.id"] == ["u"]


def test_projects_of(fake, grants):
    raw = {"projects": [{"id": "p", "name": "dev", "domain_id": "d"}]}
    fake.on("identity", "GET", "/users/u/projects", raw)
    assert [project.id for project in grants.projects_of("u")] == ["p"]


@pytest.mark.parametrize(("whose", "fine"), [("u", False), ("other", True)])
def test_revoke_what_is_hidden(fake, grants, roles, whose, fine):
    path = "/projects/p/users/u/roles/r1"
    fake.on("identity", "DELETE", path, keystone_error(403))
    scope = {"project": {"id": "p"}}
    raw = [{"role": {"name": "member"}, "scope": scope, "user": {"id": whose}}]
    fake.on("identity", "GET", "/role_assignments", {"role_assignments": raw})
    if fine:
        assert grants.revoke("p", "member", user_id="u") is False
    else:
        with pytest.raises(errors.Forbidden):
            grants.revoke("p", "member", user_id="u")
