# SPDX-License-Identifier: Apache-2.0
"""What is to stand in an environment: its file, once it is read and checked.

Values refer to each other by ``${...}``. What an input is worth is known when the file
is read and stands in its place already, unless the input is secret; all other
references are kept as :class:`Reference` until there is something that they refer to.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from nova_multi.domain.driver import Driver
from nova_multi.domain.host import HostType
from nova_multi.domain.publish import Publish
from nova_multi.domain.schedule import Schedule


class InputType(enum.StrEnum):
    """What an input's value is."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"


class Generator(enum.StrEnum):
    """How a value that nobody gives is made, once, and then kept."""

    #: Letters and digits.
    PASSWORD = "password"
    #: A private key of OpenSSH; ``${inputs.NAME.public}`` is its public half.
    KEY = "key"


Scalar: TypeAlias = str | int | float | bool


@dataclasses.dataclass(frozen=True, slots=True)
class Input:
    """What a file can be given.

    :ivar default: None if a value must be given, or is generated.
    :ivar secret: its value is in no answer, log, plan or process list.
    :ivar length: of a generated password, in characters.
    :ivar minimum: of a number; None if there is none. ``maximum`` likewise.
    """

    name: str
    type: InputType = InputType.STRING
    description: str = ""
    default: Scalar | None = None
    choices: tuple[Scalar, ...] = ()
    secret: bool = False
    generate: Generator | None = None
    length: int = 24
    minimum: int | float | None = None
    maximum: int | float | None = None


class Root(enum.StrEnum):
    """What a reference begins with."""

    INPUTS = "inputs"
    INSTANCES = "instances"
    ENVIRONMENT = "environment"


@dataclasses.dataclass(frozen=True, slots=True)
class Reference:
    """``${...}`` of something that is known when it stands.

    :ivar name: of the input or instance; empty for the environment.
    :ivar index: which of an instance's ``count``, from 0; None for the first, or where
        there is but one.
    :ivar attribute: ``address``, ``addresses``, ``name``, ``host``, ``published``,
        ``outputs``; of an input ``value`` or ``public``; of the environment ``name``,
        ``partition``, ``publish_address``.
    :ivar key: the port of ``published``, the name of one of the ``outputs``.
    """

    root: Root
    name: str
    attribute: str
    index: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        """As it stands in a file."""
        start = self.root.value
        if self.name:
            place = "" if self.index is None else f"[{self.index}]"
            # A name with dots in it would have no end.
            start += f'["{self.name}"]' if "." in self.name else f".{self.name}"
            start += place
        parts = [start]
        if self.root is not Root.INPUTS or self.attribute != "value":
            parts.append(self.attribute)
        text = ".".join(parts)
        if self.key is not None:
            text += f"[{self.key}]" if self.attribute == "published" else f".{self.key}"
        return f"${{{text}}}"


@dataclasses.dataclass(frozen=True, slots=True)
class Template:
    """A text with references in it; ``$${`` in a file is a plain ``${``."""

    parts: tuple[str | Reference, ...]

    @property
    def references(self) -> Iterator[Reference]:
        """In their order."""
        return (part for part in self.parts if isinstance(part, Reference))

    @property
    def text(self) -> str | None:
        """The text, if it refers to nothing."""
        if any(self.references):
            return None
        return "".join(str(part) for part in self.parts)


@dataclasses.dataclass(frozen=True, slots=True)
class NetworkDefinition:
    """A network of the file, beside the environment's own.

    :ivar cidr: None leaves the choice to the service.
    :ivar routed: whether the environment's router is on it.
    :ivar dhcp: the addresses that guests get, ``FIRST-LAST``; empty for all of them.
    """

    name: str
    cidr: str | None = None
    dns: tuple[str, ...] = ()
    routed: bool = True
    dhcp: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class ImageDefinition:
    """An image of the file: made for the environment, or known by another name.

    It comes from one place: ``source``, ``download_url``, ``file`` or ``instance``.

    :ivar source: name or id of an image that is there; this is another name for it.
    :ivar download_url: where it is fetched from.
    :ivar file: name or id of a file that the service keeps.
    :ivar instance: of the file, of whose first one the image is made once it stands.
    :ivar type: of what is fetched, or in the file.
    :ivar checksum: ``sha256:<hex>`` of that, or empty.
    :ivar properties: in Glance, beside those of the fields and those that route it.
    """

    name: str
    source: str = ""
    download_url: str = ""
    file: str = ""
    instance: str = ""
    type: str = ""
    checksum: str = ""
    os: str = ""
    version: str = ""
    architecture: str = ""
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def is_made(self) -> bool:
        """Whether an apply makes it; another name for one is nothing of its own."""
        return not self.source


@dataclasses.dataclass(frozen=True, slots=True)
class ProvisionerDefinition:
    """What becomes of an image; either a script or a builder, or neither.

    :ivar script: the text itself: paths were read by whoever read the file.
    :ivar executor: command that is run in the clone, or that the script's file is
        given to.
    :ivar depends: provisioners of the file that must stand before.
    :ivar timeout: seconds that the script may take; None for the service's own limit.
    """

    name: str
    description: str = ""
    image: str = ""
    driver: Driver | None = None
    memory_mb: int | None = None
    cpus: int | None = None
    disk_mb: int | None = None
    script: str = ""
    builder: str = ""
    ref: str = ""
    executor: str = ""
    tag: str = ""
    depends: tuple[str, ...] = ()
    variables: Mapping[str, Template] = dataclasses.field(default_factory=dict)
    timeout: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class InstanceDefinition:
    """Instances that differ in their number only.

    :ivar count: 0 is possible: none now. More than one are ``name-1``, ``name-2``...
    :ivar image: empty for the provisioner's, then the driver's default.
    :ivar provisioner: of the file, or one that the service knows; empty for none.
    :ivar depends_on: instances of the file that must stand before; those that
        variables refer to are added by :attr:`Definition.needs`.
    """

    name: str
    count: int = 1
    driver: Driver | None = None
    image: str = ""
    memory_mb: int | None = None
    cpus: int | None = None
    disk_mb: int | None = None
    provisioner: str = ""
    description: str = ""
    host_type: HostType | None = None
    publish: tuple[Publish, ...] = ()
    networks: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    variables: Mapping[str, Template] = dataclasses.field(default_factory=dict)
    depends_on: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Definition:
    """A whole file.

    :ivar partition: empty for the one that the environment is in.
    :ivar users: logins, if the file says them; None leaves them as they are.
    :ivar schedule: when it stands, if the file says it; None leaves it as it is.
    """

    name: str
    partition: str = ""
    description: str = ""
    users: tuple[str, ...] | None = None
    schedule: Schedule | None = None
    inputs: Mapping[str, Input] = dataclasses.field(default_factory=dict)
    networks: Mapping[str, NetworkDefinition] = dataclasses.field(default_factory=dict)
    images: Mapping[str, ImageDefinition] = dataclasses.field(default_factory=dict)
    provisioners: Mapping[str, ProvisionerDefinition] = dataclasses.field(
        default_factory=dict
    )
    instances: Mapping[str, InstanceDefinition] = dataclasses.field(
        default_factory=dict
    )
    outputs: Mapping[str, Template] = dataclasses.field(default_factory=dict)

    def needs(self, name: str) -> tuple[str, ...]:
        """Instances of the file that must stand before an instance of it.

        Those that it names, those that its or its provisioner's variables refer to, and
        those of the provisioners that its provisioner depends on, in the file's order.
        """
        instance = self.instances[name]
        provisioner = self.provisioners.get(instance.provisioner)
        templates = [*instance.variables.values()]
        wanted = set(instance.depends_on)
        if provisioner is not None:
            templates += provisioner.variables.values()
            wanted |= {
                each.name
                for each in self.instances.values()
                if each.provisioner in provisioner.depends
            }
        wanted |= {
            reference.name
            for template in templates
            for reference in template.references
            if reference.root is Root.INSTANCES
        }
        return tuple(each for each in self.instances if each in wanted - {name})

    def all_needs(self) -> dict[str, tuple[str, ...]]:
        """What :meth:`needs` says, of every instance: faster where there are many."""
        places = {name: place for place, name in enumerate(self.instances)}
        of_provisioner: dict[str, list[str]] = {}
        for each in self.instances.values():
            of_provisioner.setdefault(each.provisioner, []).append(each.name)
        found: dict[str, tuple[str, ...]] = {}
        for name, instance in self.instances.items():
            provisioner = self.provisioners.get(instance.provisioner)
            templates = [*instance.variables.values()]
            wanted = set(instance.depends_on)
            if provisioner is not None:
                templates += provisioner.variables.values()
                for needed in provisioner.depends:
                    wanted.update(of_provisioner.get(needed, ()))
            wanted |= {
                reference.name
                for template in templates
                for reference in template.references
                if reference.root is Root.INSTANCES
            }
            known = (each for each in wanted - {name} if each in places)
            found[name] = tuple(sorted(known, key=places.__getitem__))
        return found
