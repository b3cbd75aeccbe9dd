# SPDX-License-Identifier: Apache-2.0
"""Users and groups: Keystone's, in the domain that the service manages."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from nova_multi.cloud import values
from nova_multi.cloud.identity import Identity
from nova_multi.cloud.marks import Mark
from nova_multi.domain.errors import (
    DomainError,
    Forbidden,
    Invalid,
    NameTaken,
    NotFound,
)
from nova_multi.domain.names import Kind
from nova_multi.domain.user import Group, User, UserType
from nova_multi.provision.nouns.base import Noun, attributes, page
from nova_multi.provision.service import Caller, Fields, Page, Query, Scope
from nova_multi.provision.store import Record

LOG = logging.getLogger(__name__)

_USER_FILTERS = attributes("username", "type", "login", "groups")
_GROUP_FILTERS = attributes("name", "users")


class _Keystone(Noun):
    """What users and groups have in common."""

    kind: Kind

    @property
    def _identity(self) -> Identity:
        return self._tools.clouds.manager().identity

    @property
    def _domain(self) -> str:
        return self._tools.settings.domain_id

    def _notes(self) -> dict[str, Record]:
        """What Keystone has no home for, by its ids."""
        records = self._store.list_records(self.kind)
        return {each.openstack_id: each for each in records}

    def _users(self) -> tuple[values.User, ...]:
        """Users of the domain but the service's own, which are nobody's to change."""
        own = self._tools.own_users()
        found = self._identity.users(domain_id=self._domain)
        return tuple(user for user in found if user.id not in own)

    def _logins(self) -> dict[str, str]:
        """Ids of users by their logins."""
        records = self._store.list_records(Kind.USER)
        return {
            each.data["login"]: each.openstack_id
            for each in records
            if each.data.get("login")
        }

    def ids(self, names: Iterable[str]) -> Sequence[str]:
        """Keystone's ids of users.

        :param names: ids, names or logins; an id goes before a name, and that before a
            login.
        :raises Invalid: one is unknown.
        """
        names = list(names)
        if not names:
            return []
        known = self._known(self._users())
        unknown = [each for each in names if each not in known]
        if unknown:
            raise Invalid(f"there is no user {', '.join(unknown)}", field="users")
        return [known[each] for each in names]

    def _known(self, users: Iterable[values.User]) -> dict[str, str]:
        """Ids of users by all that they may be called."""
        users = list(users)
        there = {each.id: each.id for each in users}
        logins = {login: id for login, id in self._logins().items() if id in there}
        return logins | {each.name: each.id for each in users} | there

    def _members_of(self, group_id: str) -> tuple[values.User, ...]:
        """A group's users but the service's own."""
        own = self._tools.own_users()
        found = self._identity.members(group_id)
        return tuple(user for user in found if user.id not in own)

    def _groups(self) -> tuple[values.Group, ...]:
        return self._identity.groups(domain_id=self._domain)

    def _told(self, caller: Caller, verb: str, object_id: str, name: str) -> None:
        self._tools.audit.change(
            verb,
            self.kind,
            user_id=caller.user_id,
            project_id=caller.project_id,
            request_id=caller.request_id,
            remote_address=caller.remote_address,
            object_uuid=object_id,
            name=name,
        )


class Users(_Keystone):
    """See :class:`nova_multi.provision.service.Service.users`."""

    kind = Kind.USER

    def list(self, caller: Caller, query: Query) -> Page[User]:
        """Users of the domain with their groups.

        Keystone tells the groups of one user, or the users of one group: as many
        requests are made as there are groups, or users on the page if these are fewer.
        """
        notes, groups = self._notes(), self._groups()
        users = [_user(each, notes, {}) for each in self._users()]
        if "groups" in query.filters:
            # One group decides, and tells who is looked at.
            named = {g.id for g in groups if g.name == query.filters["groups"]}
            inside = {u.id for each in named for u in self._identity.members(each)}
            rest = {k: v for k, v in query.filters.items() if k != "groups"}
            query = dataclasses.replace(query, filters=rest)
            users = [each for each in users if each.uuid in inside]
        shown = page(users, query, lambda each: each.username, _USER_FILTERS)
        members = self._members(groups, [each.uuid for each in shown.items])
        items = [
            dataclasses.replace(each, groups=members.get(each.uuid, ()))
            for each in shown.items
        ]
        return dataclasses.replace(shown, items=items)

    def show(self, caller: Caller, name: str, scope: Scope) -> User:
        """One of them."""
        user = self._one(name)
        groups = tuple(each.name for each in self._identity.groups_of(user.id))
        return _user(user, self._notes(), {user.id: groups})

    def create(self, caller: Caller, fields: Fields, scope: Scope) -> User:
        """Make one, without a password: whoever manages Keystone sets it."""
        name = fields["username"]
        self._check_free(fields)
        group_ids = self._group_ids(fields.get("groups") or ())
        mark = Mark(task=self._tools.new_uuid())
        user = self._identity.create_user(name, mark, domain_id=self._domain)
        with _taken_back() as undo:
            undo(self._identity.delete_user, user.id)
            for group_id in group_ids:
                self._identity.add_member(group_id, user.id)
            self._note(caller, user.id, name, fields)
        self._told(caller, "create", user.id, name)
        return self.show(caller, user.id, scope)

    def change(self, caller: Caller, name: str, fields: Fields, scope: Scope) -> User:
        """Change what is given, all of it or nothing."""
        user = self._one(name)
        self._check_free(fields, user.id)
        group_ids = self._group_ids(fields.get("groups") or ())
        identity, new_name = self._identity, fields.get("username") or user.name
        with _taken_back() as undo:
            if new_name != user.name:
                identity.update_user(user.id, name=new_name)
                undo(identity.update_user, user.id, name=user.name)
            if "groups" in fields:
                before = {each.id for each in identity.groups_of(user.id)}
                for group_id in set(group_ids) - before:
                    identity.add_member(group_id, user.id)
                    undo(identity.remove_member, group_id, user.id)
                for group_id in before - set(group_ids):
                    identity.remove_member(group_id, user.id)
                    undo(identity.add_member, group_id, user.id)
            self._note(caller, user.id, new_name, fields)
        self._told(caller, "update", user.id, user.name)
        return self.show(caller, user.id, scope)

    def delete(self, caller: Caller, name: str, scope: Scope) -> None:
        """Delete one."""
        user = self._one(name)
        self._identity.delete_user(user.id)
        note = self._notes().get(user.id)
        if note:
            self._store.delete_record(self.kind, note.uuid)
        self._told(caller, "delete", user.id, user.name)

    def _one(self, name: str) -> values.User:
        users = self._users()
        user_id = self._known(users).get(name)
        for user in users:
            if user.id == user_id:
                return user
        raise NotFound(f"there is no user {name}", field="user")

    def _check_free(self, fields: Fields, user_id: str = "") -> None:
        """See that names and logins mean one user each.

        :param user_id: whose they are to be; a new user's otherwise.
        :raises NameTaken: another user has one of them.
        """
        others = {
            login: id for login, id in self._logins().items() if id != user_id
        } | {each.name: each.id for each in self._users() if each.id != user_id}
        for field in ("username", "login"):
            if fields.get(field) in others:
                raise NameTaken(
                    f"there is already a user called {fields[field]}", field=field
                )

    def _members(
        self, groups: Sequence[values.Group], user_ids: Sequence[str]
    ) -> dict[str, tuple[str, ...]]:
        """Names of the groups of at least these users."""
        if len(user_ids) < len(groups):
            return {
                each: tuple(group.name for group in self._identity.groups_of(each))
                for each in user_ids
            }
        found: dict[str, tuple[str, ...]] = {}
        for group in groups:
            for user in self._identity.members(group.id):
                found[user.id] = (*found.get(user.id, ()), group.name)
        return found

    def _group_ids(self, names: Iterable[str]) -> Sequence[str]:
        by_name: dict[str, str] = {}
        names = list(names)
        if names:
            groups = self._groups()
            by_name = {each.name: each.id for each in groups}
            by_name |= {each.id: each.id for each in groups}
        unknown = [each for each in names if each not in by_name]
        if unknown:
            raise Invalid(f"there is no group {', '.join(unknown)}", field="groups")
        return [by_name[each] for each in names]

    def _note(self, caller: Caller, user_id: str, name: str, fields: Fields) -> None:
        data = {key: fields[key] for key in ("type", "login") if fields.get(key)}
        data = {key: str(each) for key, each in data.items()}
        note = self._notes().get(user_id)
        if note:
            self._store.update_record(self.kind, note.uuid, name=user_id, merge=data)
        else:
            self._keep(
                self._new(self.kind, user_id, caller, data=data, openstack_id=user_id)
            )


class Groups(_Keystone):
    """See :class:`nova_multi.provision.service.Service.groups`."""

    kind = Kind.GROUP

    def list(self, caller: Caller, query: Query) -> Page[Group]:
        """Groups of the domain with their users: a request for each on the page."""
        groups = self._groups()
        if "users" in query.filters:
            # Whose groups are asked for tells at once which they are.
            named = [u for u in self._users() if u.name == query.filters["users"]]
            inside = {g.id for u in named for g in self._identity.groups_of(u.id)}
            rest = {k: v for k, v in query.filters.items() if k != "users"}
            query = dataclasses.replace(query, filters=rest)
            groups = tuple(each for each in groups if each.id in inside)
        found = [Group(each.id, each.name) for each in groups]
        shown = page(found, query, lambda each: each.name, _GROUP_FILTERS)
        by_id = {each.id: each for each in groups}
        items = [self._value(by_id[each.uuid]) for each in shown.items]
        return dataclasses.replace(shown, items=items)

    def show(self, caller: Caller, name: str, scope: Scope) -> Group:
        """One of them."""
        return self._value(self._one(name))

    def create(self, caller: Caller, fields: Fields, scope: Scope) -> Group:
        """Make one."""
        user_ids = self.ids(fields.get("users") or ())
        mark = Mark(task=self._tools.new_uuid())
        group = self._identity.create_group(
            fields["name"], mark, domain_id=self._domain
        )
        with _taken_back() as undo:
            undo(self._identity.delete_group, group.id)
            for user_id in user_ids:
                self._identity.add_member(group.id, user_id)
        self._told(caller, "create", group.id, group.name)
        return self._value(group)

    def change(self, caller: Caller, name: str, fields: Fields, scope: Scope) -> Group:
        """Change what is given, all of it or nothing."""
        group = self._one(name)
        user_ids = self.ids(fields.get("users") or ())
        identity, old_name = self._identity, group.name
        with _taken_back() as undo:
            if fields.get("name") and fields["name"] != old_name:
                group = identity.update_group(group.id, name=fields["name"])
                undo(identity.update_group, group.id, name=old_name)
            if "users" in fields:
                before = {each.id for each in self._members_of(group.id)}
                for user_id in set(user_ids) - before:
                    identity.add_member(group.id, user_id)
                    undo(identity.remove_member, group.id, user_id)
                for user_id in before - set(user_ids):
                    identity.remove_member(group.id, user_id)
                    undo(identity.add_member, group.id, user_id)
        self._told(caller, "update", group.id, group.name)
        return self._value(group)

    def delete(self, caller: Caller, name: str, scope: Scope) -> None:
        """Delete one; its users stay."""
        group = self._one(name)
        own = self._tools.own_users()
        if any(user.id in own for user in self._identity.members(group.id)):
            raise Forbidden(f"the service itself is in group {name}")
        self._identity.delete_group(group.id)
        self._told(caller, "delete", group.id, group.name)

    def _one(self, name: str) -> values.Group:
        for group in self._groups():
            if name in (group.name, group.id):
                return group
        raise NotFound(f"there is no group {name}", field="group")

    def _value(self, group: values.Group) -> Group:
        users = tuple(each.name for each in self._members_of(group.id))
        return Group(group.id, group.name, users)


@contextlib.contextmanager
def _taken_back() -> Iterator[Callable[..., None]]:
    """Take back what was changed in Keystone, the last first, if what follows fails.

    Gives what to call with each change's opposite.
    """
    changes: list[Callable[[], object]] = []
    try:
        yield lambda call, *a, **named: changes.append(partial(call, *a, **named))
    except Exception:
        for opposite in reversed(changes):
            try:
                opposite()
            except DomainError as error:
                LOG.warning("a change could not be taken back: %s", error)
        raise


def _user(
    user: values.User, notes: dict[str, Record], members: dict[str, tuple[str, ...]]
) -> User:
    note = notes.get(user.id)
    data: Any = note.data if note else {}
    return User(
        uuid=user.id,
        username=user.name,
        type=UserType(data.get("type", "regular")),
        login=data.get("login", ""),
        groups=members.get(user.id, ()),
        created=note.created if note else None,
        created_by=note.owner_id if note else "",
        modified=note.modified if note else None,
    )
