# SPDX-License-Identifier: Apache-2.0
"""Finding LXD's records of our guests, and altering them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nova_multi import exception
from nova_multi.virt.engine import LABEL_UUID
from nova_multi.virt.lxd import mapping
from nova_multi.virt.lxd.client import ENGINE, NOT_FOUND, PRECONDITION_FAILED, LXDClient

#: How often a change is repeated that lost against another change of the same guest.
ATTEMPTS = 5

#: Parts of a record that LXD takes back.
_WRITABLE = (
    "architecture",
    "config",
    "description",
    "devices",
    "ephemeral",
    "profiles",
)

Record = dict[str, Any]


class Records:
    """Instances in LXD that are guests of one Nova host; no other is ever returned.

    :param client: connection to LXD.
    :param host: Nova host whose mark they carry.
    """

    def __init__(self, client: LXDClient, host: str) -> None:
        self._client = client
        self._host = host
        #: Where a guest was last found; LXD looks up by name only. Checked at each use.
        self._names: dict[str, str] = {}

    def all(self) -> list[Record]:
        """All guests, in one request."""
        records = self._client.get("instances", params={"recursion": "1"})
        ours = [record for record in records if mapping.is_ours(record, self._host)]
        for record in ours:
            self._names[mapping.label(record, LABEL_UUID)] = record["name"]
        return ours

    def get(self, uuid: str) -> Record:
        """One guest.

        :raises GuestNotFound: there is none, or it is not ours.
        """
        return self._tagged(uuid)[0]

    def _tagged(self, uuid: str) -> tuple[Record, str]:
        if uuid not in self._names:
            self.all()
        # A name that is no longer right means that the guest was renamed or remade.
        for _ in range(2):
            name = self._names.get(uuid)
            if name is None:
                break
            found = self._at(name)
            if found and mapping.label(found[0], LABEL_UUID) == uuid:
                return found
            self._names.pop(uuid, None)
            self.all()
        raise exception.GuestNotFound(
            f"LXD has no guest {uuid} of {self._host}", engine=ENGINE, status=NOT_FOUND
        )

    def _at(self, name: str) -> tuple[Record, str] | None:
        try:
            record, etag = self._client.get_tagged("instances", name)
        except exception.EngineError as error:
            if error.status != NOT_FOUND:
                raise
            return None
        return (record, etag) if mapping.is_ours(record, self._host) else None

    def is_taken(self, name: str) -> bool:
        """Whether there is an instance of that name, whoever's."""
        try:
            return bool(self._client.get("instances", name))
        except exception.EngineError as error:
            if error.status != NOT_FOUND:
                raise
            return False

    def note(self, uuid: str, name: str) -> None:
        """Remember where a new guest is found."""
        self._names[uuid] = name

    def forget(self, uuid: str) -> None:
        """A guest is gone."""
        self._names.pop(uuid, None)

    def update(self, uuid: str, change: Callable[[Record], Record]) -> Record:
        """Alter a guest's record; repeated if another change came in between.

        :param change: returns the wanted record, and may be called several times.
        :returns: the record as it is now.
        """
        for attempt in range(1, ATTEMPTS + 1):
            record, etag = self._tagged(uuid)
            wanted = change(record)
            if wanted == record:
                return record
            fields = {field: wanted[field] for field in _WRITABLE}
            try:
                self._client.change(
                    "put", "instances", record["name"], json=fields, etag=etag
                )
                return wanted
            except exception.EngineError as error:
                if error.status != PRECONDITION_FAILED or attempt == ATTEMPTS:
                    raise
        raise AssertionError("the loop above ends by itself")
