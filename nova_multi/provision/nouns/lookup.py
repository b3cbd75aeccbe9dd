# SPDX-License-Identifier: Apache-2.0
"""Finds what a caller means by a name, among what the caller may know of.

Environments belong to a project of their own below their partition's. Instances belong
to environments. Provisioners, images and files belong to a partition, and all of its
environments see them as far as their permissions allow. Images of definitions and of
instances belong to environments, as what they are made of and for does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import Literal

from nova_multi.domain.errors import Ambiguous, Forbidden, NotFound
from nova_multi.domain.names import Kind
from nova_multi.domain.permissions import Action, Relation
from nova_multi.provision.service import Caller, Scope
from nova_multi.provision.store import Record
from nova_multi.provision.tools import Tools

_TOLD: dict[Action, str] = {
    "r": "see",
    "w": "change",
    "x": "start, stop or use",
}
_Shared = Literal[Kind.PROVISIONER, Kind.IMAGE, Kind.FILE]


class Lookup:
    """Finds records."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._store = tools.store

    def is_admin(self, caller: Caller) -> bool:
        """Whether the caller sees everything."""
        return caller.admin or self._tools.single

    # -- partitions and environments

    def partitions(self, caller: Caller, called: str | None = None) -> list[Record]:
        """Partitions that the caller's project is, or is in.

        :param called: only these; for those of a member it makes no difference.
        """
        if self.is_admin(caller):
            return self._store.list_records(Kind.PARTITION, called=called)
        found = self._store.list_records(
            Kind.PARTITION, openstack_ids=[caller.project_id]
        )
        environments = self._store.list_records(
            Kind.ENVIRONMENT, openstack_ids=[caller.project_id]
        )
        found += [
            self._store.record(Kind.PARTITION, each.scope) for each in environments
        ]
        return found

    def partition(self, caller: Caller, name: str) -> Record:
        """A partition by name or UUID.

        :raises NotFound: there is none that the caller may know of.
        """
        found = [r for r in self.partitions(caller, name) if _is(r, name)]
        return _one(Kind.PARTITION, name, found)

    def environments(
        self, caller: Caller, scope: Scope | None = None, called: str | None = None
    ) -> list[Record]:
        """Environments that the caller may see.

        :param called: only these; for those of a member it makes no difference.
        """
        scope = scope or Scope()
        called = called or scope.environment
        if self.is_admin(caller):
            found = self._store.list_records(Kind.ENVIRONMENT, called=called)
        else:
            own = self._store.list_records(
                Kind.PARTITION, openstack_ids=[caller.project_id]
            )
            found = self._store.list_records(
                Kind.ENVIRONMENT, openstack_ids=[caller.project_id]
            )
            for partition in own:
                found += self._store.list_records(
                    Kind.ENVIRONMENT, scope=partition.uuid
                )
        if scope.partition:
            within = self.partition(caller, scope.partition)
            found = [each for each in found if each.scope == within.uuid]
        if scope.environment:
            found = [each for each in found if _is(each, scope.environment)]
        return list({each.uuid: each for each in found}.values())

    def environment(
        self, caller: Caller, name: str, scope: Scope | None = None
    ) -> Record:
        """An environment by name or UUID.

        :raises NotFound: there is none that the caller may see.
        :raises Ambiguous: the scope must say in which partition.
        """
        scope = Scope(partition=scope.partition if scope else None)
        found = [r for r in self.environments(caller, scope, name) if _is(r, name)]
        return _one(Kind.ENVIRONMENT, name, found, "?partition=")

    def home(self, caller: Caller, scope: Scope) -> tuple[Record | None, Record | None]:
        """Partition and environment in which a caller makes something.

        Both are None for an administrator who names neither.
        """
        if scope.environment:
            environment = self.environment(caller, scope.environment, scope)
            return self._store.record(Kind.PARTITION, environment.scope), environment
        if scope.partition:
            return self.partition(caller, scope.partition), None
        own = self._store.list_records(
            Kind.ENVIRONMENT, openstack_ids=[caller.project_id]
        )
        if own and not self._tools.single:
            return self._store.record(Kind.PARTITION, own[0].scope), own[0]
        partitions = self._store.list_records(
            Kind.PARTITION, openstack_ids=[caller.project_id]
        )
        return (partitions[0] if partitions else None), None

    # -- what belongs to environments

    def instances(
        self, caller: Caller, scope: Scope, called: str | None = None
    ) -> list[Record]:
        """Instances that the caller may see.

        :param called: only these, by name or UUID.
        """
        environments = self.environments(caller, scope)
        found = self._store.list_records(
            Kind.INSTANCE, scopes=[each.uuid for each in environments], called=called
        )
        projects = {each.uuid: each.openstack_id for each in environments}
        return [
            each
            for each in found
            if self.may(caller, each, "r", projects.get(each.scope, ""))
        ]

    def instance(
        self, caller: Caller, name: str, scope: Scope, action: Action = "r"
    ) -> Record:
        """An instance by name or UUID, with which the caller may do that.

        :raises NotFound: there is none that the caller may see.
        :raises Forbidden: the caller may see it, but no more.
        :raises Ambiguous: the scope must say in which environment.
        """
        found = [r for r in self.instances(caller, scope, name) if _is(r, name)]
        record = _one(Kind.INSTANCE, name, found, "?environment=")
        environment = self._store.record(Kind.ENVIRONMENT, record.scope)
        self.check(caller, record, action, environment.openstack_id)
        return record

    def hidden_instances(self, caller: Caller, environment: Record) -> list[Record]:
        """An environment's instances that the caller may not see."""
        return [
            each
            for each in self._store.list_records(Kind.INSTANCE, scope=environment.uuid)
            if not self.may(caller, each, "r", environment.openstack_id)
        ]

    def check_instances(
        self, caller: Caller, environment: Record, uuids: Set[str]
    ) -> None:
        """See that the caller may change or delete some of an environment's instances.

        :param uuids: of their records.
        :raises Forbidden: one is not left to the caller.
        """
        if caller.admin or not uuids:
            return
        for each in self._store.list_records(Kind.INSTANCE, scope=environment.uuid):
            if each.uuid in uuids:
                self.check(caller, each, "w", environment.openstack_id)

    # -- what belongs to partitions

    def shared(
        self,
        kind: Kind,
        caller: Caller,
        scope: Scope | None = None,
        called: str | None = None,
    ) -> list[Record]:
        """Provisioners, images or files that the caller may see.

        :param called: only these, by name or UUID.
        """
        scope = scope or Scope()
        if self.is_admin(caller) and not (scope.partition or scope.environment):
            found = self._store.list_records(kind, called=called)
        else:
            if scope.partition or scope.environment:
                partition, environment = self.home(caller, scope)
                scopes = {partition.uuid if partition else "", ""}
                scopes |= {environment.uuid} if environment else set()
            else:
                own = {each.uuid for each in self.partitions(caller)}
                # Images of definitions and of instances belong to environments.
                own |= {each.uuid for each in self.environments(caller)}
                scopes = own | {caller.project_id, ""}
            found = self._store.list_records(kind, scopes=scopes, called=called)
        return [each for each in found if self.may(caller, each, "r")]

    def one_shared(
        self,
        kind: Kind,
        caller: Caller,
        name: str,
        scope: Scope | None = None,
        action: Action = "r",
    ) -> Record:
        """One of them by name or UUID, with which the caller may do that.

        :raises NotFound: there is none that the caller may see.
        :raises Forbidden: the caller may see it, but no more.
        :raises Ambiguous: the scope must say in which partition.
        """
        found = [r for r in self.shared(kind, caller, scope, name) if _is(r, name)]
        record = _one(kind, name, found, "?partition=")
        self.check(caller, record, action)
        return record

    def image(
        self, caller: Caller, name: str, environment: Record, action: Action = "x"
    ) -> Record:
        """An image by name or UUID that an environment's instances may be made of.

        The environment's own go before the partition's, and these before those for all.

        :raises NotFound: there is none that the caller may see.
        :raises Forbidden: the caller may see it, but no more.
        """
        scopes = [environment.uuid, environment.scope, ""]
        found = [
            each
            for each in self._store.list_records(Kind.IMAGE, scopes=scopes, called=name)
            if _is(each, name) and self.may(caller, each, "r")
        ]
        nearest = min((scopes.index(each.scope) for each in found), default=0)
        exact = [each for each in found if each.name != name]
        near = [each for each in found if each.scope == scopes[nearest]]
        record = _one(Kind.IMAGE, name, exact or near, "?partition=")
        self.check(caller, record, action)
        return record

    def hidden_images(
        self, caller: Caller, *scopes: str, action: Action = "r"
    ) -> set[str]:
        """Ids in Glance of what permissions don't leave to the caller.

        Records of other partitions say nothing here: who takes up a public image there
        must not take it away from all others.

        :param scopes: UUIDs of the partition and of the environment in which images are
            looked for.
        """
        records = self._store.list_records(Kind.IMAGE, scopes={*scopes, ""})
        left = {each.openstack_id for each in records if self.may(caller, each, action)}
        return {each.openstack_id for each in records} - left

    # -- permissions

    def relation(self, caller: Caller, record: Record, project_id: str) -> Relation:
        """How a caller stands to an object.

        :param project_id: of the environment that the object is in.
        """
        if caller.user_id == record.owner_id:
            return "owner"
        own = project_id or record.project_id
        return "group" if own and caller.project_id == own else "other"

    def may(
        self, caller: Caller, record: Record, action: Action, project_id: str = ""
    ) -> bool:
        """Whether an object's permissions leave that to the caller.

        What belongs to no partition is for all, and the administrator's to change.
        """
        if caller.admin:
            return True
        if action == "w" and not (record.scope or self.is_admin(caller)):
            return False
        return record.permissions.allows(
            action, self.relation(caller, record, project_id)
        )

    def check(
        self, caller: Caller, record: Record, action: Action, project_id: str = ""
    ) -> None:
        """See that an object's permissions leave that to the caller.

        :raises Forbidden: they don't.
        """
        if not self.may(caller, record, action, project_id):
            if action == "w" and not record.scope:
                raise Forbidden(
                    f"{record.kind} {record.name} is for all partitions: only an"
                    " administrator may change it"
                )
            raise Forbidden(
                f"the permissions of {record.kind} {record.name}"
                f" ({record.permissions}) don't let you {_TOLD[action]} it"
            )


def _is(record: Record, name: str) -> bool:
    return name in (record.name, record.uuid) or (
        bool(record.openstack_id) and name == record.openstack_id
    )


def _one(kind: str, name: str, found: Sequence[Record], decide: str = "") -> Record:
    # An id goes before a name.
    exact = [each for each in found if each.name != name]
    found = exact or found
    if not found:
        raise NotFound(f"there is no {kind} {name}", field=kind)
    if len(found) > 1:
        raise Ambiguous(
            f"there are {len(found)} {kind}s called {name}: say which by its UUID"
            f" or with {decide}",
            field=kind,
        )
    return found[0]


def ids(records: Iterable[Record]) -> list[str]:
    """Ids in OpenStack."""
    return [each.openstack_id for each in records if each.openstack_id]
