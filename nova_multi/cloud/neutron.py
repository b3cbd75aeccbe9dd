# SPDX-License-Identifier: Apache-2.0
"""Requests that are alike for all of Neutron's collections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openstack import exceptions as sdk

from nova_multi.cloud import marks
from nova_multi.cloud.connection import Connection
from nova_multi.cloud.errors import translated


class Neutron:
    """Neutron by openstacksdk's proxy, with plain mappings for objects.

    Its resources don't know the forwardings in an address, and ask for an object before
    they tag it.

    :param connection: of the project.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def listed(
        self, collection: str, query: Mapping[str, Any], path: str | None = None
    ) -> list[dict[str, Any]]:
        """All objects that meet the query; one request unless the cloud sets pages.

        :param path: where it differs from the collection's name.
        """
        found: list[dict[str, Any]] = []
        key, params = _key(collection), dict(query)
        with translated(f"list {collection}"):
            while True:
                response = self._connection.network.get(
                    path or f"/{collection}", params=params
                )
                sdk.raise_from_response(response)
                body = response.json()
                found += body[key]
                more = any(x["rel"] == "next" for x in body.get(f"{key}_links", ()))
                if not more or not body[key]:
                    return found
                params["marker"] = body[key][-1]["id"]

    def shown(self, collection: str, object_id: str) -> dict[str, Any]:
        """One object.

        :raises NotFound: there is none.
        """
        with translated(f"show {_noun(collection)} {object_id}"):
            response = self._connection.network.get(f"/{collection}/{object_id}")
            sdk.raise_from_response(response)
            return _bare(response.json())

    def made(
        self, collection: str, body: Mapping[str, Any], path: str | None = None
    ) -> dict[str, Any]:
        """A new object.

        :param path: where it differs from the collection's name.
        """
        name = body.get("name", "")
        with translated(f"make {_noun(collection)} {name}".rstrip()):
            response = self._connection.network.post(
                path or f"/{collection}", json={_singular(collection): dict(body)}
            )
            sdk.raise_from_response(response)
            return _bare(response.json())

    def ensured(
        self,
        collection: str,
        mark: marks.Mark,
        body: Mapping[str, Any],
        *,
        name: str | None = None,
    ) -> dict[str, Any]:
        """An object with its mark and tags; what the task made before is it.

        :param name: of several that the task makes, the one called so.
        """
        query: dict[str, Any] = {"description": mark.description}
        if name is not None:
            query["name"] = name
        found = self.listed(collection, query)
        raw = found[0] if found else None
        if raw is None:
            raw = self.made(collection, {**body, "description": mark.description})
        missing = set(mark.tags) - set(raw.get("tags") or ())
        if missing:
            tags = sorted(missing | set(raw.get("tags") or ()))
            self.put(
                f"tag {_noun(collection)} {raw['id']}",
                f"/{collection}/{raw['id']}/tags",
                {"tags": tags},
            )
            raw = {**raw, "tags": tags}
        return raw

    def changed(
        self,
        collection: str,
        object_id: str,
        changes: Mapping[str, Any],
        *,
        revision: int | None = None,
    ) -> dict[str, Any]:
        """An object with changes.

        :param revision: only if nobody has changed it since.
        """
        headers = (
            {} if revision is None else {"If-Match": f"revision_number={revision}"}
        )
        what = f"change {_noun(collection)} {object_id}"
        body = {_singular(collection): dict(changes)}
        return _bare(self.put(what, f"/{collection}/{object_id}", body, headers))

    def put(
        self,
        what: str,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """A PUT with its answer."""
        with translated(what):
            response = self._connection.network.put(
                path, json=dict(body), headers=dict(headers or {})
            )
            sdk.raise_from_response(response)
            return response.json()

    def deleted(self, collection: str, object_id: str, path: str | None = None) -> bool:
        """Have an object deleted.

        :returns: False if there is none any more.
        """
        with translated(f"delete {_noun(collection)} {object_id}"):
            response = self._connection.network.delete(
                path or f"/{collection}/{object_id}"
            )
            if response.status_code == 404:
                return False
            sdk.raise_from_response(response)
        return True

    def has_extension(self, alias: str) -> bool:
        """Whether the cloud's Neutron has an extension."""
        with translated(f"ask for Neutron's extension {alias}"):
            response = self._connection.network.get(f"/extensions/{alias}")
            if response.status_code == 404:
                return False
            sdk.raise_from_response(response)
        return True


def _key(collection: str) -> str:
    return collection.replace("-", "_")


def _singular(collection: str) -> str:
    return _key(collection).removesuffix("s")


def _noun(collection: str) -> str:
    return collection.removesuffix("s").replace("-", " ")


def _bare(body: Mapping[str, Any]) -> dict[str, Any]:
    (value,) = body.values()
    return dict(value)
