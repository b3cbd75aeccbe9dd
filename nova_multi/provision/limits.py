# SPDX-License-Identifier: Apache-2.0
"""Limits of partitions and environments, as records keep them.

What an environment may use is the quota of its project, which Nova enforces; a
partition's limit is for the sum. Each limit is written down before the sum is looked
at: of two that are changed at once at least one sees the other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from nova_multi.domain import partition
from nova_multi.domain.names import Kind
from nova_multi.domain.partition import Limits
from nova_multi.provision.store import Record, Store

#: Key of a record's data.
KEY = "limits"


def read(data: Mapping[str, Any]) -> Limits:
    """The limits in a record's data, or in a payload."""
    return Limits(**data.get(KEY, {}))


def written(limits: Limits | None) -> dict[str, int]:
    """Limits as JSON takes them; those that aren't there are left out."""
    found = dataclasses.asdict(limits or Limits())
    return {name: amount for name, amount in found.items() if amount is not None}


def check(
    store: Store,
    within: Record,
    *,
    of_partition: Limits | None = None,
    of_environments: Mapping[str, Limits] | None = None,
) -> None:
    """See that the sum over a partition's environments stays within its limits.

    :param within: the partition's record.
    :param of_partition: its limits as they would be; else as they are.
    :param of_environments: limits of environments, new ones as well, by their records'
        UUIDs as they would be; all others as they are.
    :raises Conflict: it doesn't.
    """
    whole = read(within.data) if of_partition is None else of_partition
    if whole == Limits():
        return
    records = store.list_records(Kind.ENVIRONMENT, scope=within.uuid)
    parts = {each.uuid: read(each.data) for each in records}
    parts.update(of_environments or {})
    partition.check_limits(within.name, whole, parts.values())
