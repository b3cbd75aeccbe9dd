# SPDX-License-Identifier: Apache-2.0
"""Plans: what stands in an environment, and what has to be done so that it is as its
definition says."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import DomainError
from nova_multi.domain.host import HostType
from nova_multi.domain.instance import Size
from nova_multi.domain.names import Kind
from nova_multi.domain.provisioner import Provisioner, Ways
from nova_multi.domain.publish import Publish
from nova_multi.domain.schedule import Schedule

# -- what there is


class Condition(enum.StrEnum):
    """How an instance is, as far as it matters to its environment."""

    STANDING = "standing"
    #: Its script has failed, or its making was left half-way.
    FAILED = "failed"
    #: Its server is not there any more, though nobody deleted it here.
    GONE = "gone"
    #: Nova says ERROR.
    BROKEN = "broken"


@dataclasses.dataclass(frozen=True, slots=True)
class PresentInstance:
    """An instance of an environment, as it is now.

    :ivar uuid: of its record.
    :ivar part: its name in the definition that it was made from; empty for one that
        no definition has made.
    :ivar index: which of that part's, from 0.
    :ivar words: what the definition said of it when it was made (:mod:`recipes`).
    :ivar size: what it was made with.
    :ivar actual: what Nova says now; None where that is not known.
    :ivar told: what references were worth when its script got them.
    :ivar needs: parts that it was made after.
    :ivar image_record: UUID of the record of the environment's own image that it was
        made of; empty for any other.
    :ivar networks: that it was asked to be on; none is the environment's own.
    :ivar addresses: in the first of them, IPv4 first.
    """

    uuid: str
    name: str
    part: str = ""
    index: int = 0
    condition: Condition = Condition.STANDING
    words: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    image: str = ""
    image_record: str = ""
    driver: Driver | None = None
    size: Size = Size(0, 0, 0)
    actual: Size | None = None
    host_type: HostType | None = None
    provisioner: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    publish: tuple[Publish, ...] = ()
    published: tuple[Publish, ...] = ()
    told: Mapping[str, str] = dataclasses.field(default_factory=dict)
    needs: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    host: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class PresentNetwork:
    """A network that a definition has made, as it is now.

    :ivar uuid: of its record.
    :ivar cidr: that it was made with, as is the rest.
    :ivar condition: failed where its making was left half-way.
    :ivar actual_dns: what Neutron says now, as ``actual_dhcp`` does; None where that is
        what it was made with.
    :ivar connected: whether it is as it should be with the environment's router.
    """

    uuid: str
    name: str
    cidr: str
    dhcp: str = ""
    dns: tuple[str, ...] = ()
    routed: bool = True
    condition: Condition = Condition.STANDING
    actual_dns: tuple[str, ...] | None = None
    actual_dhcp: str | None = None
    connected: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class PresentImage:
    """An image that a definition has made, as it is now.

    :ivar uuid: of its record.
    :ivar id: in Glance; empty while there is none.
    :ivar words: what the definition said of where it comes from (:mod:`imaging`).
    :ivar properties: that the definition has given it.
    :ivar actual: those that Glance has otherwise now, by name; empty for none.
    :ivar condition: failed where its making was left half-way.
    """

    uuid: str
    name: str
    id: str = ""
    words: Mapping[str, str] = dataclasses.field(default_factory=dict)
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)
    actual: Mapping[str, str] = dataclasses.field(default_factory=dict)
    condition: Condition = Condition.STANDING
    min_memory_mb: int = 0
    min_disk_gb: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class PresentEnvironment:
    """An environment, as it is now.

    :ivar made: whether an apply has made it.
    :ivar schedule: when it stands.
    """

    name: str
    partition: str
    description: str = ""
    users: tuple[str, ...] = ()
    publish_address: str = ""
    made: bool = False
    schedule: Schedule = Schedule()


@dataclasses.dataclass(frozen=True, slots=True)
class SavedDisk:
    """A disk that was kept when the environment was closed.

    :ivar part: of the definition.
    :ivar index: which of that part's.
    :ivar at: when it was saved.
    :ivar image: as the definition called what the instance was made from first.
    :ivar comes_back: the instance is made from it even if no schedule names it.
    """

    part: str
    index: int
    at: datetime.datetime
    image: str = ""
    driver: Driver | None = None
    disk_gb: int = 0
    comes_back: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Present:
    """All that stands.

    :ivar environment: None if there is none yet.
    :ivar instances: all in it, also those that no definition has made.
    :ivar saved: disks from which instances are made instead of from images.
    """

    environment: PresentEnvironment | None = None
    instances: tuple[PresentInstance, ...] = ()
    networks: tuple[PresentNetwork, ...] = ()
    images: tuple[PresentImage, ...] = ()
    saved: tuple[SavedDisk, ...] = ()


# -- what is known of what a definition names


@dataclasses.dataclass(frozen=True, slots=True)
class ImageFacts:
    """An image that a definition names.

    :ivar driver: what it is made for; None where it doesn't say.
    :ivar record: UUID of its record; empty where it is Glance's alone.
    :ivar without: programs that are known not to be in it.
    """

    id: str
    name: str
    driver: Driver | None = None
    min_memory_mb: int = 0
    min_disk_gb: int = 0
    record: str = ""
    without: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Ranges:
    """Addresses of networks.

    :ivar own: of the environment's own network.
    :ivar pool: that those are taken from which a definition leaves open.
    """

    own: str = "10.20.0.0/16"
    pool: str = "10.128.0.0/12"


#: What a definition calls an image, and the driver that it asks for.
ImageKey: TypeAlias = tuple[str, Driver | None]


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """What was found of the names in a definition.

    :ivar images: an error where one can't be used; it counts only if it is needed.
    :ivar provisioners: those that the service knows and the definition does not.
    :ivar secrets: for each input whose value is kept, how often that has changed.
    :ivar networks: ids of those that are neither the definition's nor the environment's
        own; an error where one can't be used, which counts only if it is needed.
    :ivar ranges: of networks' addresses.
    :ivar sources: what the definition's own images are made of: ``url``, or ``file``,
        a record's UUID, with its ``content``, a checksum; an error where that can't be
        had, which counts only if it is needed.
    :ivar room: what the value of an input's attribute takes in a script's user-data, in
        bytes; not kept with the rest.
    :ivar ways: how a script and secrets may come to a guest; not kept either.
    """

    images: Mapping[ImageKey, ImageFacts | DomainError] = dataclasses.field(
        default_factory=dict
    )
    provisioners: Mapping[str, Provisioner] = dataclasses.field(default_factory=dict)
    secrets: Mapping[str, int] = dataclasses.field(default_factory=dict)
    networks: Mapping[str, str | DomainError] = dataclasses.field(default_factory=dict)
    ranges: Ranges = Ranges()
    sources: Mapping[str, Mapping[str, str] | DomainError] = dataclasses.field(
        default_factory=dict
    )
    room: Mapping[tuple[str, str], int] = dataclasses.field(
        default_factory=dict, repr=False
    )
    ways: Ways = Ways()


# -- what is to be done


class Action(enum.StrEnum):
    """What is done with one thing."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """One respect in which something is not as it is to be.

    :ivar before: for people; empty where there is nothing to tell.
    :ivar in_place: whether it can be changed on what stands.
    :ivar drift: it is not the definition that has changed, but what stands.
    """

    field: str
    before: str = ""
    after: str = ""
    in_place: bool = False
    drift: bool = False

    def __str__(self) -> str:
        """As in ``memory 256 -> 512: replaced``."""
        values = f" {self.before} -> {self.after}" if self.before or self.after else ""
        end = "in place" if self.in_place else "replaced"
        return f"{self.field}{values}: {end}"


@dataclasses.dataclass(frozen=True, slots=True)
class PlanStep:
    """What is done with one thing; a sub-task of an apply, or two where it is replaced.

    :ivar kind: environment, network, image or instance.
    :ivar cidr: of a network that is made.
    :ivar name: that it has afterwards.
    :ivar record: UUID of what is there; empty for what is new.
    :ivar group: steps are waited for by groups: those of one part.
    :ivar needs: groups of which every step must have been done before.
    :ivar level: how many groups must have been done one after the other before.
    """

    action: Action
    kind: Kind
    name: str
    group: str
    part: str = ""
    index: int = 0
    record: str = ""
    differences: tuple[Difference, ...] = ()
    needs: tuple[str, ...] = ()
    level: int = 0
    cidr: str = ""

    @property
    def reason(self) -> str:
        """Why, in a few words."""
        if self.differences:
            return "; ".join(map(str, self.differences))
        if self.action is Action.CREATE:
            return "new"
        return "not in the definition any more"

    @property
    def drift(self) -> bool:
        """Whether something was changed by other hands."""
        return any(each.drift for each in self.differences)


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """Steps, each behind those that it needs.

    :ivar unchanged: how many instances stay as they are.
    """

    environment: str
    partition: str
    steps: tuple[PlanStep, ...] = ()
    unchanged: int = 0

    @property
    def is_empty(self) -> bool:
        """There is nothing to do."""
        return not self.steps

    @property
    def widths(self) -> tuple[int, ...]:
        """How many steps can be done at the same time, level by level."""
        levels = Counter(step.level for step in self.steps)
        return tuple(levels[level] for level in sorted(levels))

    @property
    def changed(self) -> frozenset[str]:
        """UUIDs of the records of instances that don't stay as they are."""
        return frozenset(step.record for step in self.steps if step.record)

    def count(self, action: Action) -> int:
        """How many steps do that."""
        return sum(step.action is action for step in self.steps)

    def of(self, name: str) -> Iterator[PlanStep]:
        """The steps of what has that name."""
        return (step for step in self.steps if step.name == name)
