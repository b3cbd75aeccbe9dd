# SPDX-License-Identifier: Apache-2.0
"""Environments."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from nova_multi.api.schemas.base import (
    UNSET,
    Answer,
    Body,
    Change,
    InScope,
    ListQuery,
    Reference,
    Stamp,
    Text,
    Time,
    check_finite,
    name_of,
    named,
    stamp,
    word_of,
)
from nova_multi.api.schemas.limits import Limits, LimitsAnswer
from nova_multi.api.schemas.refs import Login
from nova_multi.domain.environment import Environment, EnvironmentState
from nova_multi.domain.names import Kind

_Name = Annotated[Any, name_of(Kind.ENVIRONMENT)]
_Users = Annotated[Any, named("login")]
_Schedule = Annotated[
    dict[str, Any],
    AfterValidator(check_finite),
    Field(description="When the environment stands; empty for always.", max_length=20),
]


class EnvironmentCreate(Body):
    """A new environment; ``users`` may use it."""

    name: _Name
    description: Text = UNSET
    partition: Reference
    users: _Users = UNSET
    schedule: _Schedule = UNSET
    limits: Limits = UNSET


class EnvironmentChange(Change):
    """What is to change of an environment; ``users`` are all that may use it."""

    FIXED = frozenset({"partition"})

    name: _Name = UNSET
    description: Text = UNSET
    users: _Users = UNSET
    schedule: _Schedule = UNSET
    limits: Limits = Field(UNSET, description="In place of all that there were.")


class Definition(Body):
    """What is to stand in an environment, as its YAML says it, in JSON."""

    model_config = ConfigDict(extra="allow")

    @model_validator(mode="after")
    def _finite(self) -> Self:
        check_finite(self.model_extra)
        return self

    def fields(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class EnvironmentAnswer(Answer):
    """An environment."""

    uuid: str
    name: str
    description: str
    partition: str
    users: list[Login]
    schedule: dict[str, Any]
    definition: str
    state: EnvironmentState
    limits: LimitsAnswer
    publish_address: str
    created: Stamp | None
    modified: Time | None

    @classmethod
    def of(cls, value: Environment) -> Self:
        return cls(
            uuid=value.uuid,
            name=value.name,
            description=value.description,
            partition=value.partition,
            users=[Login(login=login) for login in value.users],
            schedule=dict(value.schedule),
            definition=value.definition,
            state=value.state,
            limits=LimitsAnswer.of(value.limits),
            publish_address=value.publish_address,
            created=stamp(value.created),
            modified=value.modified,
        )


class EnvironmentQuery(ListQuery, InScope):
    """Filters of a list of environments."""

    name: Reference = UNSET
    description: Reference = UNSET
    state: Annotated[Any, word_of(str, EnvironmentState)] = UNSET
