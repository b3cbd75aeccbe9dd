# SPDX-License-Identifier: Apache-2.0
"""What the REST interface asks of the provisioning service.

:class:`Service` is the whole border: a handler has checked the token, the caller's role
and the form of the request, and calls one method here. Each noun is one attribute with
the same five methods and a few of its own. All values are plain: domain values come
back, and what a caller wants goes in as a mapping of field names (see :data:`Fields`).

Every method may raise any :class:`nova_multi.domain.errors.DomainError`; the interface
turns it into an answer with the error's status. ``Unsupported`` is right for what isn't
there yet. What the caller has no right to see is ``NotFound``; ``Forbidden`` is for
objects that the caller may see. Neither tells more than the caller knew.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, Generic, Protocol, TypeAlias, TypeVar

from nova_multi.domain.environment import Environment
from nova_multi.domain.file import File
from nova_multi.domain.host import Host
from nova_multi.domain.image import Image
from nova_multi.domain.instance import Instance
from nova_multi.domain.partition import Partition
from nova_multi.domain.plan import Plan
from nova_multi.domain.provisioner import Provisioner
from nova_multi.domain.task import Task
from nova_multi.domain.usage import Usage
from nova_multi.domain.user import Group, User

T_co = TypeVar("T_co", covariant=True)

Fields: TypeAlias = Mapping[str, Any]
"""What a caller wants: only the fields that were given, checked, with plain values.

Names are those of the domain's values, amounts have their unit in the name:

* instances: ``memory_mb``, ``cpus``, ``disk_mb``, ``environment``, ``provisioner``,
  ``host_type``, ``driver``, ``permissions``, ``publish``, ``node``, ``count``...
* provisioners: ``memory_mb``, ``cpus``, ``hdsize_gb``; None takes one of them, or the
  ``driver``, away. ``depends`` are names.
* hosts: ``memory_mb``, ``capacity_mb``, ``drivers``...

``Driver``, ``HostType``, ``ImageType``, ``UserType``, ``Permissions`` and ``Publish``
are the domain's; lists are tuples; users, groups and networks are names or UUIDs.
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, from where; the token itself is not kept.

    :ivar user_id: Keystone's id.
    :ivar project_id: of the token's project; names resolve in it and below.
    :ivar roles: in that project, in lower case.
    :ivar request_id: ``req-<uuid>``, kept with the task and in the audit record.
    :ivar remote_address: of the client, empty if unknown.
    :ivar admin: whether the rule ``admin`` of the policy lets them see everything.
    :ivar member: whether its rule ``member`` lets them change things.
    :ivar user_name: as Keystone calls them; empty for a signed request.
    """

    user_id: str
    project_id: str
    roles: frozenset[str] = frozenset()
    request_id: str = ""
    remote_address: str = ""
    admin: bool = False
    member: bool = False
    user_name: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Scope:
    """Where a name is looked up or made, if the caller said so.

    :ivar partition: name or UUID.
    :ivar environment: name or UUID.
    """

    partition: str | None = None
    environment: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """Which part of a list is wanted.

    :ivar filters: ``field=value`` pairs, all of which must hold; fields of the noun.
    :ivar limit: largest number of items.
    :ivar marker: :attr:`Page.next_marker` of the page before.
    """

    filters: Mapping[str, str] = dataclasses.field(default_factory=dict)
    limit: int = 1000
    marker: str | None = None
    scope: Scope = Scope()


@dataclasses.dataclass(frozen=True, slots=True)
class Page(Generic[T_co]):
    """Some items of a list, and where the next page begins.

    :ivar next_marker: name or UUID of the last item if there are more, else None.
    """

    items: Sequence[T_co] = ()
    next_marker: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Accepted:
    """The work is stored as a task and goes on after the answer."""

    task_uuid: str


@dataclasses.dataclass(frozen=True, slots=True)
class Backend:
    """What was found of something that the service needs.

    :ivar name: ``database``, ``messaging``, ``keystone``, ``nova``...
    :ivar message: what is wrong; anybody may read it, so no address or secret in it.
    """

    name: str
    healthy: bool
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Pick:
    """Some instances: exactly one of the two is set.

    :ivar pattern: a name or a pattern of :class:`nova_multi.domain.names.Pattern`.
    :ivar tag: all instances with that tag.
    """

    pattern: str | None = None
    tag: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as VirtShell's clients sign it.

    :ivar access_key: of an EC2 credential.
    :ivar string_to_sign: the exact bytes that the HMAC was made of.
    :ivar signature: base64 of the HMAC-SHA1.
    """

    access_key: str
    string_to_sign: bytes
    signature: str


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """Whose signature it was, as Keystone says."""

    user_id: str
    project_id: str
    roles: frozenset[str]


class Readable(Protocol[T_co]):
    """A noun that can be listed and shown."""

    def list(self, caller: Caller, query: Query) -> Page[T_co]:
        """What the caller may see, in the order of names (tasks: newest first).

        :raises Invalid: a filter that the noun doesn't have, or an unknown marker.
        """

    def show(self, caller: Caller, name: str, scope: Scope) -> T_co:
        """One of them by name or UUID.

        :raises NotFound: there is none that the caller may see.
        :raises Ambiguous: the name is there more than once; the scope must decide.
        """


class Collection(Readable[T_co], Protocol[T_co]):
    """A noun with the usual methods; each change is done, or accepted as a task."""

    def create(self, caller: Caller, fields: Fields, scope: Scope) -> T_co | Accepted:
        """Make one.

        :raises NameTaken: the name is in use where it must be unique.
        """

    def change(
        self, caller: Caller, name: str, fields: Fields, scope: Scope
    ) -> T_co | Accepted:
        """Set the fields that are given, leave the others."""

    def delete(self, caller: Caller, name: str, scope: Scope) -> Accepted | None:
        """Delete it; None if that is done already.

        :raises Conflict: something still uses it, which the message names.
        """


class Partitions(Collection[Partition], Protocol):
    """Partitions and the hosts in them."""

    def hosts(self, caller: Caller, name: str) -> Sequence[Host]:
        """The hosts in a partition."""

    def add_host(self, caller: Caller, name: str, hostname: str) -> Accepted | None:
        """Put a host into a partition; nothing happens if it is in there.

        :raises Conflict: it is in another one, or carries foreign servers.
        """

    def remove_host(self, caller: Caller, name: str, hostname: str) -> Accepted | None:
        """Take a host out of a partition."""


class Environments(Collection[Environment], Protocol):
    """Environments, and what is to stand in them."""

    def hosts(self, caller: Caller, name: str, scope: Scope) -> Sequence[Host]:
        """The hosts that instances of the environment may run on."""

    def partition(self, caller: Caller, name: str, scope: Scope) -> Partition:
        """The partition that the environment is in."""

    def plan(self, caller: Caller, fields: Fields, scope: Scope) -> Plan:
        """What applying a definition would do; changes nothing.

        :param fields: ``definition``, as plain data, and ``values`` of its inputs.
        :raises Forbidden: values of secrets are given for an environment that is there,
            by who may not change it: a plan tells whether they are right.
        """

    def define(
        self, caller: Caller, name: str, fields: Fields, scope: Scope
    ) -> Environment:
        """Store what is to stand in the environment.

        :param fields: as for :meth:`plan`.
        """

    def apply(
        self, caller: Caller, name: str, fields: Fields, scope: Scope
    ) -> Accepted:
        """Make the environment as its definition says; itself, too, if need be.

        :param fields: ``definition`` and ``values``, to be stored before; ``wait``,
            where another apply goes on; ``width``, how much is done at a time.
        :raises Conflict: another apply goes on (``being_applied``).
        """

    def destroy(
        self, caller: Caller, name: str, fields: Fields, scope: Scope
    ) -> Accepted:
        """Delete what definitions have made in the environment.

        The environment goes, too, if an apply has made it and nothing else is in it.

        :param fields: ``wait`` and ``width``, as for :meth:`apply`.
        :raises Conflict: an apply goes on (``being_applied``).
        """

    def outputs(self, caller: Caller, name: str, scope: Scope) -> Fields:
        """What the definition's outputs are now; None for what is not known."""

    def usage(
        self,
        caller: Caller,
        name: str,
        scope: Scope,
        begin: datetime.datetime | None = None,
        end: datetime.datetime | None = None,
    ) -> Usage:
        """What the environment has used, and what its working hours have saved.

        :param begin: of the period; None for the environment's own begin.
        :param end: of the period; None for the present.
        """


class Images(Collection[Image], Protocol):
    """Images, which may come with the request."""

    def create(
        self,
        caller: Caller,
        fields: Fields,
        scope: Scope,
        content: BinaryIO | None = None,
    ) -> Image | Accepted:
        """Make one: of what is uploaded, fetched, installed, or of an instance.

        :param content: read to its end, once.
        :raises NameTaken: the name is in use where it must be unique.
        """


class Files(Readable[File], Protocol):
    """Files with their content."""

    def create(
        self, caller: Caller, fields: Fields, content: BinaryIO, scope: Scope
    ) -> File:
        """Store a file (``name``, ``folder_name``, ``permissions``).

        :param content: read to its end, once.
        """

    def change(
        self,
        caller: Caller,
        name: str,
        fields: Fields,
        content: BinaryIO | None,
        scope: Scope,
    ) -> File:
        """Replace the fields that are given, and the content if there is one."""

    def delete(self, caller: Caller, name: str, scope: Scope) -> None:
        """Delete a file."""

    def open(self, caller: Caller, name: str, scope: Scope) -> tuple[File, BinaryIO]:
        """A file and its content, which the caller closes."""


class Instances(Collection[Instance], Protocol):
    """Instances and what is done with them."""

    def start(self, caller: Caller, name: str, scope: Scope) -> Accepted:
        """Start it; done at once if it runs."""

    def stop(self, caller: Caller, name: str, scope: Scope) -> Accepted:
        """Shut it down."""

    def restart(self, caller: Caller, name: str, scope: Scope) -> Accepted:
        """Shut it down and start it."""

    def clone(
        self, caller: Caller, name: str, fields: Fields, scope: Scope
    ) -> Accepted:
        """Make another one from a snapshot of it.

        :param fields: ``name`` of the new one; without it one is made up.
        """

    def execute(
        self, caller: Caller, command: str, picks: Sequence[Pick], scope: Scope
    ) -> Accepted:
        """Run a command in each of the instances."""

    def copy(
        self,
        caller: Caller,
        source: Fields,
        destination: str,
        picks: Sequence[Pick],
        scope: Scope,
    ) -> Accepted:
        """Copy into each of the instances.

        :param source: ``file`` (name or UUID) or ``folder_name``.
        """


class Packages(Protocol):
    """Packages of distributions, in guests."""

    def install(
        self,
        caller: Caller,
        packages: Sequence[str],
        picks: Sequence[Pick],
        scope: Scope,
    ) -> Accepted:
        """Install packages in each of the instances."""

    def upgrade(
        self,
        caller: Caller,
        packages: Sequence[str],
        picks: Sequence[Pick],
        scope: Scope,
    ) -> Accepted:
        """Upgrade packages, or all of them if none is named."""

    def remove(
        self,
        caller: Caller,
        packages: Sequence[str],
        picks: Sequence[Pick],
        scope: Scope,
    ) -> Accepted:
        """Remove packages from each of the instances."""


class Deliveries(Protocol):
    """What guests fetch besides their user-data."""

    def hand_out(self, caller: Caller, server_id: str, project_id: str) -> Fields:
        """What a server's guest is told now; secrets are told once.

        :param project_id: the server's, as Nova says.
        :raises Unsupported: nothing is given to guests this way.
        """


class Properties(Protocol):
    """What guests tell about themselves."""

    def read(
        self,
        caller: Caller,
        properties: Sequence[str],
        picks: Sequence[Pick],
        scope: Scope,
    ) -> Sequence[Fields]:
        """One mapping for each instance: ``id``, ``name`` and the properties."""


class Tasks(Readable[Task], Protocol):
    """Tasks; the service makes them itself."""

    def delete(self, caller: Caller, uuid: str) -> None:
        """Forget a task that has ended.

        :raises Conflict: it goes on.
        """


class Service(Protocol):
    """All that the REST interface asks for."""

    @property
    def users(self) -> Collection[User]:
        """Keystone's users."""

    @property
    def groups(self) -> Collection[Group]:
        """Keystone's groups."""

    @property
    def partitions(self) -> Partitions:
        """Partitions."""

    @property
    def hosts(self) -> Collection[Host]:
        """Machines."""

    @property
    def environments(self) -> Environments:
        """Environments."""

    @property
    def images(self) -> Images:
        """Images."""

    @property
    def files(self) -> Files:
        """Files."""

    @property
    def provisioners(self) -> Collection[Provisioner]:
        """Provisioners."""

    @property
    def instances(self) -> Instances:
        """Instances."""

    @property
    def packages(self) -> Packages:
        """Packages in guests."""

    @property
    def deliveries(self) -> Deliveries:
        """What guests fetch."""

    @property
    def properties(self) -> Properties:
        """Properties of guests."""

    @property
    def tasks(self) -> Tasks:
        """Tasks."""

    def health(self) -> Sequence[Backend]:
        """What the service needs and how it is, without waiting long.

        Called without a token, often: keep what was found for some seconds.
        """

    def session(self) -> AbstractContextManager[None]:
        """What the present thread asks in the block is of one moment, until it changes
        something; cheaper than asking piece by piece. Not for what takes minutes."""

    def waited(self) -> float:
        """Seconds that the present thread has waited for OpenStack so far."""

    def admits(self, caller: Caller) -> bool:
        """Whether a caller may use the service at all; policies tell what for."""

    def identify(self, signed: SignedRequest) -> Identity | None:
        """Whose signature it is, asked of Keystone; None if it isn't right."""

    def first_use(self, signature: str, until: datetime.datetime) -> bool:
        """Keep a signature until then; False if it is kept already.

        :param signature: a digest, the same however the signature was written.
        """
