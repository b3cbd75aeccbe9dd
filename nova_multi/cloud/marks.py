# SPDX-License-Identifier: Apache-2.0
"""How objects in OpenStack tell which task made them, and what they belong to.

Servers, projects, images and Neutron's objects carry tags. What a search must find even
if the maker died right after the POST is in that same POST: a server's and a project's
tags, an image's property, the description of Neutron's objects (their tags take a
request of their own), the metadata of an aggregate, an attribute of users and groups.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

_PREFIX = "nova-multi:"
#: Name of the property, metadata key or attribute where there are no tags.
TASK_KEY = "nova_multi_task"


def tag(key: str, value: str) -> str:
    """``nova-multi:<key>=<value>``.

    With a UUID as value, keys up to 11 letters fit Nova's limit of 60.
    """
    return f"{_PREFIX}{key}={value}"


def task_tag(task_uuid: str) -> str:
    """The tag, or description, of everything that the task made."""
    return tag("task", task_uuid)


def read(tags: Iterable[str]) -> dict[str, str]:
    """Our tags by key; what others tagged is left out."""
    pairs = (each.removeprefix(_PREFIX) for each in tags if each.startswith(_PREFIX))
    return {key: value for key, found, value in map(_split, pairs) if found}


def _split(text: str) -> tuple[str, str, str]:
    return text.partition("=")


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """What an object is to carry.

    :ivar task: UUID of the task that makes it.
    :ivar environment: UUID of our record, where the object belongs to one; in a cloud
        of one project this alone tells environments apart.
    :ivar partition: the same for the partition.
    :ivar more: further pairs.
    """

    task: str
    environment: str | None = None
    partition: str | None = None
    more: tuple[tuple[str, str], ...] = ()

    @property
    def description(self) -> str:
        """For objects that are found by their description."""
        return task_tag(self.task)

    @property
    def tags(self) -> tuple[str, ...]:
        """For objects that have tags."""
        pairs = (
            ("task", self.task),
            ("environment", self.environment),
            ("partition", self.partition),
            *self.more,
        )
        return tuple(tag(key, value) for key, value in pairs if value)
