# SPDX-License-Identifier: Apache-2.0
"""Projects, users and groups, as the manager of a domain handles them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from openstack import exceptions as sdk
from openstack.identity.v3 import project as _project

from nova_multi.cloud import marks
from nova_multi.cloud.connection import Connection
from nova_multi.cloud.errors import translated
from nova_multi.cloud.values import Group, Project, User
from nova_multi.domain import errors


class Identity:
    """Keystone's objects.

    :param connection: of the domain's manager; lists of others need more.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # -- projects

    def create_project(
        self,
        name: str,
        mark: marks.Mark,
        *,
        domain_id: str,
        parent_id: str | None = None,
        description: str = "",
    ) -> Project:
        """Make a project; one that the task made before is it.

        :param parent_id: None puts it directly below the domain.
        :raises NameTaken: another one of the domain has that name.
        :raises Forbidden: projects can't be nested that deeply.
        """
        try:
            with translated(f"make project {name}", conflict=errors.NameTaken):
                made = self._connection.identity.create_project(
                    name=name,
                    domain_id=domain_id,
                    parent_id=parent_id or domain_id,
                    description=description,
                    tags=list(mark.tags),
                )
                return project_value(made)
        except errors.NameTaken:
            for found in self.projects(domain_id=domain_id, name=name):
                if mark.description in found.tags:
                    return found
            raise

    def project(self, project_id: str) -> Project:
        """One project.

        :raises NotFound: there is none.
        """
        with self._there("projects", project_id), translated("show a project"):
            return project_value(self._connection.identity.get_project(project_id))

    def projects(
        self,
        *,
        domain_id: str | None = None,
        parent_id: str | None = None,
        name: str | None = None,
        tags: Iterable[str] = (),
    ) -> tuple[Project, ...]:
        """Projects that meet all of these, in one request."""
        query = _given(domain_id=domain_id, parent_id=parent_id, name=name)
        if tags := tuple(tags):
            query["tags"] = ",".join(tags)
        with translated("list projects"):
            found = self._connection.identity.projects(**query)
            return tuple(project_value(project) for project in found)

    def update_project(self, project_id: str, **changes: Any) -> Project:
        """Change a project's ``name``, ``description`` or ``enabled``.

        :raises NotFound: there is none.
        :raises NameTaken: another one of the domain has that name.
        """
        if "enabled" in changes:
            changes["is_enabled"] = changes.pop("enabled")
        with (
            self._there("projects", project_id),
            translated(f"change project {project_id}", conflict=errors.NameTaken),
        ):
            return project_value(
                self._connection.identity.update_project(project_id, **changes)
            )

    def delete_project(self, project_id: str) -> bool:
        """Delete a project; Keystone does not look for servers in it.

        :returns: False if there is none any more.
        :raises Forbidden: it has projects of its own.
        """
        return self._delete("projects", project_id)

    # -- users

    def create_user(
        self,
        name: str,
        mark: marks.Mark,
        *,
        domain_id: str,
        password: str | None = None,
        description: str = "",
        email: str | None = None,
    ) -> User:
        """Make a user; one that the task made before is it.

        :param password: None makes one who can't log in with a password.
        :raises NameTaken: another one of the domain has that name.
        """
        body = _given(
            name=name,
            domain_id=domain_id,
            password=password,
            description=description,
            email=email,
        )
        raw = self._create("user", body, mark, self._raw_users)
        return _user_value(raw)

    def user(self, user_id: str) -> User:
        """One user.

        :raises NotFound: there is none.
        """
        with self._there("users", user_id), translated("show a user"):
            return _user_value(self._get(f"/users/{user_id}")["user"])

    def users(
        self, *, domain_id: str | None = None, name: str | None = None
    ) -> tuple[User, ...]:
        """Users, in one request."""
        with translated("list users"):
            return tuple(map(_user_value, self._raw_users(domain_id, name)))

    def update_user(self, user_id: str, **changes: Any) -> User:
        """Change ``name``, ``description``, ``email``, ``password`` or ``enabled``.

        :raises NotFound: there is none.
        :raises NameTaken: another one of the domain has that name.
        """
        with (
            self._there("users", user_id),
            translated(f"change user {user_id}", conflict=errors.NameTaken),
        ):
            response = self._connection.identity.patch(
                f"/users/{user_id}", json={"user": changes}
            )
            sdk.raise_from_response(response)
            return _user_value(response.json()["user"])

    def delete_user(self, user_id: str) -> bool:
        """Delete a user.

        :returns: False if there is none any more.
        """
        return self._delete("users", user_id)

    def groups_of(self, user_id: str) -> tuple[Group, ...]:
        """Groups that a user is in.

        :raises NotFound: there is no such user.
        """
        with self._there("users", user_id), translated("list a user's groups"):
            found = self._get(f"/users/{user_id}/groups")["groups"]
            return tuple(map(_group_value, found))

    # -- groups

    def create_group(
        self, name: str, mark: marks.Mark, *, domain_id: str, description: str = ""
    ) -> Group:
        """Make a group; one that the task made before is it.

        :raises NameTaken: another one of the domain has that name.
        """
        body = _given(name=name, domain_id=domain_id, description=description)
        return _group_value(self._create("group", body, mark, self._raw_groups))

    def group(self, group_id: str) -> Group:
        """One group.

        :raises NotFound: there is none.
        """
        with self._there("groups", group_id), translated("show a group"):
            return _group_value(self._get(f"/groups/{group_id}")["group"])

    def groups(
        self, *, domain_id: str | None = None, name: str | None = None
    ) -> tuple[Group, ...]:
        """Groups, in one request."""
        with translated("list groups"):
            return tuple(map(_group_value, self._raw_groups(domain_id, name)))

    def update_group(self, group_id: str, **changes: Any) -> Group:
        """Change ``name`` or ``description``.

        :raises NotFound: there is none.
        :raises NameTaken: another one of the domain has that name.
        """
        with (
            self._there("groups", group_id),
            translated(f"change group {group_id}", conflict=errors.NameTaken),
        ):
            response = self._connection.identity.patch(
                f"/groups/{group_id}", json={"group": changes}
            )
            sdk.raise_from_response(response)
            return _group_value(response.json()["group"])

    def delete_group(self, group_id: str) -> bool:
        """Delete a group; its users stay.

        :returns: False if there is none any more.
        """
        return self._delete("groups", group_id)

    def members(self, group_id: str) -> tuple[User, ...]:
        """Users in a group.

        :raises NotFound: there is no such group.
        """
        with self._there("groups", group_id), translated("list a group's users"):
            found = self._get(f"/groups/{group_id}/users")["users"]
            return tuple(map(_user_value, found))

    def add_member(self, group_id: str, user_id: str) -> None:
        """Put a user into a group; one who is in it stays.

        :raises NotFound: there is no such user or group.
        """
        with (
            self._there("groups", group_id),
            self._there("users", user_id),
            translated(f"put user {user_id} into group {group_id}"),
        ):
            sdk.raise_from_response(
                self._connection.identity.put(f"/groups/{group_id}/users/{user_id}")
            )

    def remove_member(self, group_id: str, user_id: str) -> bool:
        """Take a user out of a group.

        :returns: False if the user isn't in it.
        """
        try:
            with (
                self._there("groups", group_id),
                self._there("users", user_id),
                translated(f"take user {user_id} out of group {group_id}"),
            ):
                path = f"/groups/{group_id}/users/{user_id}"
                sdk.raise_from_response(self._connection.identity.delete(path))
        except errors.NotFound:
            return False
        return True

    # -- common to all

    def _create(
        self, kind: str, body: dict[str, Any], mark: marks.Mark, listed: Any
    ) -> Any:
        """Make a user or a group, which have no tags but take other attributes."""
        name, domain = body["name"], body["domain_id"]
        try:
            with translated(f"make {kind} {name}", conflict=errors.NameTaken):
                response = self._connection.identity.post(
                    f"/{kind}s", json={kind: {**body, marks.TASK_KEY: mark.task}}
                )
                sdk.raise_from_response(response)
                return response.json()[kind]
        except errors.NameTaken:
            with translated(f"list {kind}s"):
                for found in listed(domain, name):
                    if found.get(marks.TASK_KEY) == mark.task:
                        return found
            raise

    def _raw_users(self, domain_id: str | None, name: str | None) -> Any:
        return self._get("/users", _given(domain_id=domain_id, name=name))["users"]

    def _raw_groups(self, domain_id: str | None, name: str | None) -> Any:
        return self._get("/groups", _given(domain_id=domain_id, name=name))["groups"]

    def _get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        response = self._connection.identity.get(path, params=dict(query or {}))
        sdk.raise_from_response(response)
        return response.json()

    def _delete(self, collection: str, object_id: str) -> bool:
        path = f"/{collection}/{object_id}"
        try:
            with (
                self._there(collection, object_id),
                translated(f"delete {collection[:-1]} {object_id}"),
            ):
                sdk.raise_from_response(self._connection.identity.delete(path))
        except errors.NotFound:
            return False
        return True

    @contextlib.contextmanager
    def _there(self, collection: str, object_id: str) -> Iterator[None]:
        """Tell what may not be done from what isn't there.

        A domain's manager gets 403 from Keystone for both.
        """
        try:
            yield
        except errors.Forbidden:
            with translated(f"list {collection}"):
                present = self._get(f"/{collection}")[collection]
            if any(each["id"] == object_id for each in present):
                raise
            raise errors.NotFound(
                f"there is no {collection[:-1]} {object_id}"
            ) from None


def _given(**query: str | None) -> dict[str, Any]:
    return {key: value for key, value in query.items() if value is not None}


def project_value(project: _project.Project) -> Project:
    """A project of an answer."""
    return Project(
        id=project.id,
        name=project.name,
        domain_id=project.domain_id or "",
        # The domain itself is the parent of what is directly below it.
        parent_id=project.parent_id if project.parent_id != project.domain_id else None,
        description=project.description or "",
        enabled=bool(project.is_enabled),
        tags=tuple(project.tags or ()),
    )


def _user_value(raw: Mapping[str, Any]) -> User:
    return User(
        id=raw["id"],
        name=raw["name"],
        domain_id=raw.get("domain_id") or "",
        enabled=bool(raw.get("enabled", True)),
        description=raw.get("description") or "",
        task=raw.get(marks.TASK_KEY),
    )


def _group_value(raw: Mapping[str, Any]) -> Group:
    return Group(
        id=raw["id"],
        name=raw["name"],
        domain_id=raw.get("domain_id") or "",
        description=raw.get("description") or "",
        task=raw.get(marks.TASK_KEY),
    )
