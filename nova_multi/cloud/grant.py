# SPDX-License-Identifier: Apache-2.0
"""Who may do what in which project: Keystone's role assignments."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from openstack import exceptions as sdk

from nova_multi.cloud.connection import Connection
from nova_multi.cloud.errors import translated
from nova_multi.cloud.identity import project_value
from nova_multi.cloud.values import Grant, Project
from nova_multi.domain import errors

_PROJECT = "scope.project.id"


class Grants:
    """Roles on projects.

    :param connection: of the domain's manager.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._roles: dict[str, str] = {}
        self._lock = threading.Lock()

    def grant(
        self,
        project_id: str,
        role: str,
        *,
        user_id: str | None = None,
        group_id: str | None = None,
        inherited: bool = False,
    ) -> None:
        """Give a user or a group a role on a project; twice is no more than once.

        :param role: name.
        :param inherited: on the projects below it instead.
        :raises NotFound: there is no such role, project, user or group.
        """
        path = self._grant_path(project_id, role, user_id, group_id, inherited)
        with translated(f"grant role {role} on project {project_id}"):
            sdk.raise_from_response(self._connection.identity.put(path))

    def revoke(
        self,
        project_id: str,
        role: str,
        *,
        user_id: str | None = None,
        group_id: str | None = None,
        inherited: bool = False,
    ) -> bool:
        """Take a role away.

        :returns: False if it was not given.
        """
        path = self._grant_path(project_id, role, user_id, group_id, inherited)
        try:
            with translated(f"revoke role {role} on project {project_id}"):
                sdk.raise_from_response(self._connection.identity.delete(path))
        except errors.NotFound:
            return False
        except errors.Forbidden:
            # So a domain's manager hears of a project or user that isn't there.
            if self._assigned(project_id, user_id, group_id):
                raise
            return False
        return True

    def _assigned(
        self, project_id: str, user_id: str | None, group_id: str | None
    ) -> bool:
        found = self._assignments("the domain", {})
        wanted = (project_id, user_id, group_id)
        return any((g.project_id, g.user_id, g.group_id) == wanted for g in found)

    def grants(self, project_id: str) -> tuple[Grant, ...]:
        """Who has which role on a project, in one request; not what is inherited."""
        return self._assignments(f"project {project_id}", {_PROJECT: project_id})

    def roles_of(self, user_id: str, project_id: str) -> frozenset[str]:
        """Names of all roles that a user has on a project, by whatever way.

        One request.
        """
        found = self._assignments(
            f"user {user_id}",
            {_PROJECT: project_id, "user.id": user_id, "effective": "true"},
        )
        return frozenset(grant.role for grant in found)

    def projects_of(self, user_id: str) -> tuple[Project, ...]:
        """Projects that a user has any role on."""
        with translated(f"list the projects of user {user_id}"):
            found = self._connection.identity.user_projects(user_id)
            return tuple(project_value(project) for project in found)

    def _assignments(self, whose: str, query: dict[str, str]) -> tuple[Grant, ...]:
        with translated(f"list the roles of {whose}"):
            raw = self._get("/role_assignments", {**query, "include_names": "true"})
            return tuple(
                Grant(
                    role=each["role"]["name"],
                    project_id=each["scope"]["project"]["id"],
                    user_id=each.get("user", {}).get("id"),
                    user_name=each.get("user", {}).get("name"),
                    group_id=each.get("group", {}).get("id"),
                    group_name=each.get("group", {}).get("name"),
                )
                for each in raw["role_assignments"]
                if "project" in each["scope"]
            )

    def _grant_path(
        self,
        project_id: str,
        role: str,
        user_id: str | None,
        group_id: str | None,
        inherited: bool,
    ) -> str:
        if (user_id is None) == (group_id is None):
            raise ValueError("a grant is for a user or for a group")
        whom = f"users/{user_id}" if user_id else f"groups/{group_id}"
        path = f"/projects/{project_id}/{whom}/roles/{self._role_id(role)}"
        if inherited:
            path = f"/OS-INHERIT{path}/inherited_to_projects"
        return path

    def _role_id(self, name: str) -> str:
        with self._lock:
            known = self._roles.get(name)
        if known:
            return known
        with translated(f"find role {name}", field="role"):
            found = self._get("/roles", {"name": name})["roles"]
        if not found:
            raise errors.NotFound(f"there is no role {name}", field="role")
        with self._lock:
            self._roles[name] = str(found[0]["id"])
            return self._roles[name]

    def _get(self, path: str, query: Mapping[str, str]) -> Any:
        response = self._connection.identity.get(path, params=dict(query))
        sdk.raise_from_response(response)
        return response.json()
