# SPDX-License-Identifier: Apache-2.0
"""What a route is, what its handler gets, and the five usual routes of a noun."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, TypeAlias, TypeVar

from nova_multi.api.schemas.base import (
    Answer,
    Body,
    InScope,
    ListQuery,
    Nothing,
    ScopeQuery,
)
from nova_multi.provision.service import (
    Caller,
    Collection,
    Page,
    Query,
    Scope,
    Service,
)

_B = TypeVar("_B", bound=Body)


@dataclasses.dataclass(frozen=True, slots=True)
class Raw:
    """An answer that is written piece by piece instead of through a schema."""

    pieces: Iterator[bytes]


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """An answer whose status depends on what it says."""

    answer: Answer
    status: int


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """One request, checked.

    :ivar names: the parts of the path that stand in braces in the route.
    :ivar max_limit: largest page of a list.
    :ivar upload: the file of a request that is a form.
    """

    service: Service
    caller: Caller
    names: Mapping[str, str]
    query: ScopeQuery
    body: Body
    max_limit: int
    upload: BinaryIO | None = None

    @property
    def name(self) -> str:
        """Name or UUID in the path."""
        return self.names["name"]

    @property
    def scope(self) -> Scope:
        """Where names are looked up."""
        given = self.query.given()
        return Scope(given.get("partition"), given.get("environment"))

    @property
    def page(self) -> Query:
        """Which part of the list is wanted."""
        assert isinstance(self.query, ListQuery)
        return Query(
            filters=self.query.filters(),
            limit=min(self.query.limit or self.max_limit, self.max_limit),
            marker=self.query.marker,
            scope=self.scope,
        )

    def body_as(self, kind: type[_B]) -> _B:
        """The body as the schema that the route names."""
        assert isinstance(self.body, kind)
        return self.body


Handler: TypeAlias = Callable[[Call], Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """One method on one path: all that there is to know of it.

    :ivar path: canonical, with ``{name}`` for what varies.
    :ivar policy: rule that the caller must meet; None needs no token.
    :ivar verb: word of an answer such as ``{"create": "in progress"}``.
    :ivar answer: schema of one object, or of one item if there is a plural.
    :ivar plural: key of a list.
    :ivar status: of an answer that is ready; work that goes on is 202.
    :ivar accepts: whether the answer may be a task.
    :ivar multipart: the body is a form, with a file in it or not.
    :ivar form_too: the body may be one, and is JSON otherwise.
    :ivar hidden: another spelling that the documentation leaves out.
    :ivar field_policies: further rules, for fields that not every member may give.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    policy: str | None
    body: type[Body] = Nothing
    query: type[ScopeQuery] = ScopeQuery
    answer: type[Answer] | None = None
    plural: str = ""
    verb: str = ""
    status: int = 200
    accepts: bool = False
    multipart: bool = False
    form_too: bool = False
    hidden: bool = False
    field_policies: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        """Unique name."""
        return f"{self.method} {self.path}"


@dataclasses.dataclass(frozen=True, slots=True)
class Noun:
    """What the five usual routes of a noun differ in.

    :ivar collection: of the service.
    :ivar query: of the routes for one object.
    :ivar field_policies: as of a route; for create, and for change if it has the field.
    """

    noun: str
    plural: str
    collection: Callable[[Service], Collection[Any]]
    create: type[Body]
    change: type[Body]
    answer: type[Answer]
    filters: type[ListQuery]
    query: type[ScopeQuery] = InScope
    field_policies: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def policy(self, verb: str) -> str:
        """Name of the rule for a verb."""
        return f"multi:{self.noun}:{verb}"

    def routes(self) -> list[Route]:
        """List, create, show, change and delete."""
        one = f"/{self.plural}/{{name}}"
        an = "an" if self.noun[0] in "aeio" else "a"
        return [
            Route(
                "GET",
                f"/{self.plural}",
                self._list,
                f"List {self.plural}",
                self.policy("list"),
                query=self.filters,
                answer=self.answer,
                plural=self.plural,
            ),
            Route(
                "POST",
                f"/{self.plural}",
                self._create,
                f"Create {an} {self.noun}",
                self.policy("create"),
                body=self.create,
                field_policies=self.field_policies,
                query=self.query,
                answer=self.answer,
                verb="create",
                status=201,
                accepts=True,
            ),
            Route(
                "GET",
                one,
                self._show,
                f"Show {an} {self.noun}",
                self.policy("show"),
                query=self.query,
                answer=self.answer,
            ),
            Route(
                "PUT",
                one,
                self._change,
                f"Change {an} {self.noun}",
                self.policy("set"),
                body=self.change,
                field_policies={
                    field: policy
                    for field, policy in self.field_policies.items()
                    if field in self.change.model_fields
                },
                query=self.query,
                answer=self.answer,
                verb="update",
                accepts=True,
            ),
            Route(
                "DELETE",
                one,
                self._delete,
                f"Delete {an} {self.noun}",
                self.policy("delete"),
                query=self.query,
                verb="delete",
                accepts=True,
            ),
        ]

    def _list(self, call: Call) -> Page[Any]:
        return self.collection(call.service).list(call.caller, call.page)

    def _create(self, call: Call) -> Any:
        fields = call.body.fields()
        return self.collection(call.service).create(call.caller, fields, call.scope)

    def _show(self, call: Call) -> Any:
        return self.collection(call.service).show(call.caller, call.name, call.scope)

    def _change(self, call: Call) -> Any:
        return self.collection(call.service).change(
            call.caller, call.name, call.body.fields(), call.scope
        )

    def _delete(self, call: Call) -> Any:
        return self.collection(call.service).delete(call.caller, call.name, call.scope)
