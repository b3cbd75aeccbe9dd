# SPDX-License-Identifier: Apache-2.0
"""Servers: Nova's, and what is done to them."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Literal

from openstack import exceptions as sdk

from nova_multi.cloud import marks
from nova_multi.cloud.connection import Connection
from nova_multi.cloud.errors import translated
from nova_multi.cloud.server import action_value, pattern, request, server_value
from nova_multi.cloud.values import Action, NewServer, Server
from nova_multi.domain import errors

#: createImage answers with the image's id from here on.
_SNAPSHOT_VERSION = "2.45"
#: What is read of servers is all there from 2.47 on.
_SERVER_VERSION = "2.96"
#: Events have details from here on.
_ACTIONS_VERSION = "2.84"
#: Projects whose servers are asked for one by one.
_FEW = 4
#: Any quota of Nova's that is not limited.
_NO_LIMIT = -1


class Servers:
    """Servers that the account sees.

    :param connection: in the servers' project; as administrator for all of them.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, new: NewServer, mark: marks.Mark, *, again: bool = False) -> str:
        """Ask for a server; it is built later.

        :param again: this may have been asked before, and the answer lost: look for it.
        :returns: its id.
        :raises Invalid: Nova can't take a value.
        :raises Forbidden: a quota of the project is used up, or a host is demanded
            without an administrator's token.
        """
        if again:
            made = self.servers(tags=[mark.description])
            for server in made:
                if server.name == new.name:
                    return server.id
        body = request(new, mark)
        with translated(f"create server {new.name}"):
            created = self._connection.compute.create_server(**body)
        return str(created.id)

    def server(self, server_id: str) -> Server:
        """One server.

        :raises NotFound: there is none.
        """
        with translated(f"show server {server_id}"):
            return server_value(self._get(f"/servers/{server_id}")["server"])

    def servers(
        self,
        *,
        project_ids: Collection[str] | None = None,
        everywhere: bool = False,
        tags: Iterable[str] = (),
        name: str | None = None,
        host: str | None = None,
        changed_since: datetime.datetime | None = None,
        limit: int | None = None,
        marker: str | None = None,
    ) -> tuple[Server, ...]:
        """Servers, newest first; one request for each 1,000.

        A few projects are asked for one by one. Nova filters by one of them only, and
        what all others have may be much more.

        :param project_ids: only theirs; an administrator's privilege, like
            ``everywhere``. None leaves it at the account's project.
        :param tags: only those that carry all of them.
        :param name: only those called exactly so.
        :param changed_since: also deleted ones, then, with the status DELETED.
        :param limit: at most so many, after the server ``marker``; a filter by several
            projects or by name applies afterwards.
        """
        tags = tuple(tags)
        several = len(project_ids or ()) > 1 and (limit or marker) is None
        if project_ids is not None and several and len(project_ids) <= _FEW:
            found = [
                server
                for project_id in project_ids
                for server in self.servers(
                    project_ids=(project_id,),
                    tags=tags,
                    name=name,
                    host=host,
                    changed_since=changed_since,
                )
            ]
            return tuple(sorted(found, key=_made, reverse=True))
        query: dict[str, str] = {}
        if tags:
            query["tags"] = ",".join(tags)
        if name is not None:
            query["name"] = f"^{pattern(name)}$"
        if host is not None:
            query["host"] = host
        if changed_since is not None:
            query["changes-since"] = changed_since.isoformat()
        if limit is not None:
            query["limit"] = str(limit)
        if marker is not None:
            query["marker"] = marker
        if everywhere or project_ids is not None:
            query["all_tenants"] = "True"
        if project_ids is not None and len(project_ids) == 1:
            query["project_id"] = next(iter(project_ids))
        with translated("list servers"):
            values = [server_value(raw) for raw in self._pages(query, limit is None)]
        return tuple(
            value
            for value in values
            if (project_ids is None or value.project_id in project_ids)
            and (name is None or value.name == name)
        )

    def _pages(self, query: dict[str, str], every: bool) -> Iterator[dict[str, Any]]:
        # Not by openstacksdk's Server: it takes 3 ms for each.
        while True:
            body = self._get("/servers/detail", query)
            yield from body["servers"]
            links = body.get("servers_links", ())
            if not every or not body["servers"]:
                return
            if not any(link["rel"] == "next" for link in links):
                return
            query = {**query, "marker": body["servers"][-1]["id"]}

    def _get(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        version: str = _SERVER_VERSION,
    ) -> Any:
        response = self._connection.compute.get(
            path,
            params=dict(query or {}),
            microversion=self._connection.newest("compute", version),
        )
        sdk.raise_from_response(response)
        return response.json()

    def delete(self, server_id: str) -> bool:
        """Have a server deleted.

        :returns: False if there is none any more.
        """
        with translated(f"delete server {server_id}"):
            try:
                self._connection.compute.delete_server(server_id, ignore_missing=False)
            except sdk.NotFoundException:
                return False
        return True

    def start(self, server_id: str) -> None:
        """Start a server; nothing is done to one that runs.

        :raises NotFound: there is none.
        :raises Conflict: its state forbids it.
        """
        self._power(server_id, "start", "ACTIVE", "powering-on")

    def stop(self, server_id: str) -> None:
        """Stop a server; nothing is done to one that is off.

        :raises NotFound: there is none.
        :raises Conflict: its state forbids it.
        """
        self._power(server_id, "stop", "SHUTOFF", "powering-off")

    def _power(self, server_id: str, verb: str, status: str, doing: str) -> None:
        compute = self._connection.compute
        try:
            with translated(f"{verb} server {server_id}"):
                if verb == "start":
                    compute.start_server(server_id)
                else:
                    compute.stop_server(server_id)
        except errors.Conflict:
            # Nova refuses what is done already: a repeated request is none.
            server = self.server(server_id)
            if server.task_state != doing and (
                server.status != status or server.task_state
            ):
                raise

    def reboot(self, server_id: str, kind: Literal["SOFT", "HARD"] = "SOFT") -> None:
        """Reboot a server.

        :param kind: SOFT asks the guest, HARD switches it off and on.
        :raises NotFound: there is none.
        :raises Conflict: its state forbids it.
        """
        with translated(f"reboot server {server_id}"):
            self._connection.compute.reboot_server(server_id, kind)

    def snapshot(self, server_id: str, name: str, mark: marks.Mark) -> str:
        """Have an image made of a server.

        An image that this task made before under that name is it.

        :returns: the image's id; it is filled later.
        :raises Conflict: the server's state forbids it.
        """
        image = self._connection.image
        with translated(f"look for image {name}"):
            response = image.get(
                "/images", params={marks.TASK_KEY: mark.task, "name": name}
            )
            sdk.raise_from_response(response)
            for made in response.json()["images"]:
                return str(made["id"])
        with translated(f"take a snapshot of server {server_id}"):
            body = {"name": name, "metadata": {marks.TASK_KEY: mark.task}}
            response = self._connection.compute.post(
                f"/servers/{server_id}/action",
                json={"createImage": body},
                microversion=_SNAPSHOT_VERSION,
            )
            sdk.raise_from_response(response)
            return str(response.json()["image_id"])

    def set_tags(self, server_id: str, tags: Iterable[str]) -> None:
        """Replace the tags of a server; ours have to be among them."""
        with translated(f"set the tags of server {server_id}"):
            response = self._connection.compute.put(
                f"/servers/{server_id}/tags",
                json={"tags": sorted(set(tags))},
                microversion="2.26",
            )
            sdk.raise_from_response(response)

    def rename(
        self, server_id: str, name: str | None = None, description: str | None = None
    ) -> None:
        """Change what a server is called, or its description."""
        changes = {"name": name, "description": description}
        with translated(f"change server {server_id}"):
            self._connection.compute.update_server(
                server_id, **{k: v for k, v in changes.items() if v is not None}
            )

    def console_log(self, server_id: str, lines: int | None = None) -> str:
        """What a guest wrote on its console.

        :param lines: only the last ones.
        :raises Conflict: there is no console yet.
        """
        with translated(f"read the console of server {server_id}"):
            found = self._connection.compute.get_server_console_output(
                server_id, length=lines
            )
        return str(found.get("output") or "")

    def console_url(self, server_id: str) -> str:
        """Where its serial console is to be had; holds a token, good for a while.

        :raises Invalid: the server has no serial console.
        """
        with translated(f"open the console of server {server_id}"):
            console = self._connection.compute.create_server_remote_console(
                server_id, protocol="serial", type="serial"
            )
        return str(console.url)

    def actions(self, server_id: str) -> tuple[Action, ...]:
        """What was done to a server, newest first, without events.

        :raises NotFound: there is none, not even a deleted one.
        """
        with translated(f"list the actions of server {server_id}"):
            found = self._instance_actions(server_id)["instanceActions"]
        return tuple(action_value(action) for action in found)

    def action(self, server_id: str, request_id: str) -> Action:
        """One action with its events.

        :raises NotFound: there is none.
        """
        with translated(f"show an action of server {server_id}"):
            found = self._instance_actions(server_id, f"/{request_id}")
        return action_value(found["instanceAction"])

    def _instance_actions(self, server_id: str, which: str = "") -> Any:
        # openstacksdk leaves out when an action last changed.
        path = f"/servers/{server_id}/os-instance-actions{which}"
        return self._get(path, version=_ACTIONS_VERSION)

    def set_limits(
        self,
        project_id: str,
        *,
        instances: int | None,
        cpus: int | None,
        memory_mb: int | None,
    ) -> None:
        """Set the quota of a project; None is no limit. For administrators."""
        amounts = {"instances": instances, "cores": cpus, "ram": memory_mb}
        limits = {k: _NO_LIMIT if v is None else v for k, v in amounts.items()}
        with translated(f"set the quota of project {project_id}"):
            response = self._connection.compute.put(
                f"/os-quota-sets/{project_id}", json={"quota_set": limits}
            )
            sdk.raise_from_response(response)


def _made(server: Server) -> datetime.datetime:
    return server.created or datetime.datetime.min.replace(tzinfo=datetime.UTC)
