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
    Flag,
    InScope,
    ListQuery,
    Read,
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
from nova_multi.domain import times
from nova_multi.domain.environment import Environment, EnvironmentState
from nova_multi.domain.names import Kind
from nova_multi.domain.plan import Action, Difference, Plan, PlanStep
from nova_multi.domain.schedule import Now
from nova_multi.domain.usage import Amounts, InstanceUsage, Usage

_Name = Annotated[Any, name_of(Kind.ENVIRONMENT)]
_Users = Annotated[Any, named("login")]
_Schedule = Annotated[
    dict[str, Any],
    AfterValidator(check_finite),
    Field(
        description="When the environment stands, as a definition's section of that"
        " name says it: timezone, days, hours, closed, save, unsaved; {} is always.",
        max_length=20,
    ),
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


_Data = Annotated[dict[str, Any], AfterValidator(check_finite)]
_Values = Annotated[
    dict[str, str | int | float | bool],
    Field(
        description="Values of inputs by their names; secrets are told nowhere.",
        max_length=1000,
    ),
]
_Wait = Annotated[
    Flag,
    Field(description="Wait where another apply or destroy goes on, instead of 409."),
]
_Width = Annotated[
    int,
    Field(ge=1, le=1000, description="Steps that go on at the same time."),
]


class Definition(Body):
    """What is to stand in an environment, as its YAML says it, in JSON."""

    model_config = ConfigDict(extra="allow")

    values: _Values = UNSET

    @model_validator(mode="after")
    def _finite(self) -> Self:
        check_finite(self.model_extra)
        return self

    def fields(self) -> dict[str, Any]:
        found: dict[str, Any] = {"definition": dict(self.model_extra or {})}
        if self.values is not None:
            found["values"] = self.values
        return found


class Apply(Body):
    """How an environment is made; without a definition by the one that is stored."""

    definition: _Data = Field(UNSET, description="As for /environments/plan.")
    values: _Values = UNSET
    wait: _Wait = UNSET
    width: _Width = UNSET


class Destroy(Body):
    """How what stands in an environment is deleted."""

    wait: _Wait = UNSET
    width: _Width = UNSET


class PlanChange(Answer):
    """One respect in which something is not as it is to be."""

    field: str
    before: str
    after: str
    in_place: bool = Field(description="It can be changed on what stands.")
    drift: bool = Field(description="Not the definition has changed, but what stands.")

    @classmethod
    def of(cls, value: Difference) -> Self:
        return cls(
            field=value.field,
            before=value.before,
            after=value.after,
            in_place=value.in_place,
            drift=value.drift,
        )


class PlanStepAnswer(Answer):
    """What is done with one thing."""

    action: Action
    kind: str
    name: str
    part: str = Field(description="Its name in the definition, without a number.")
    reason: str
    changes: list[PlanChange]
    group: str
    needs: list[str] = Field(description="Groups that are done before.")
    level: int = Field(description="How many groups are done one by one before.")

    @classmethod
    def of(cls, value: PlanStep) -> Self:
        return cls(
            action=value.action,
            kind=value.kind,
            name=value.name,
            part=value.part,
            reason=value.reason,
            changes=[PlanChange.of(each) for each in value.differences],
            group=value.group,
            needs=list(value.needs),
            level=value.level,
        )


class PlanAnswer(Answer):
    """What an apply would do."""

    environment: str
    partition: str
    changes: bool = Field(description="Whether there is anything to do.")
    create: int
    update: int
    replace: int
    delete: int
    unchanged: int = Field(description="Instances that stay as they are.")
    widths: list[int] = Field(description="Steps that can be done at once, by level.")
    steps: list[PlanStepAnswer]

    @classmethod
    def of(cls, value: Plan) -> Self:
        return cls(
            environment=value.environment,
            partition=value.partition,
            changes=not value.is_empty,
            **{each.value: value.count(each) for each in Action},
            unchanged=value.unchanged,
            widths=list(value.widths),
            steps=[PlanStepAnswer.of(step) for step in value.steps],
        )


class HoursAnswer(Answer):
    """What an environment's schedule says now."""

    open: bool = Field(description="Whether it is to stand.")
    until: Time | None = Field(description="When that changes.")
    task: str | None = Field(description="What last saw to a change.")

    @classmethod
    def of(cls, value: Now) -> Self:
        return cls(open=value.is_open, until=value.until, task=value.task or None)


class EnvironmentAnswer(Answer):
    """An environment."""

    uuid: str
    name: str
    description: str
    partition: str
    users: list[Login]
    schedule: dict[str, Any]
    hours: HoursAnswer | None = Field(
        description="Of one environment with a schedule; null otherwise."
    )
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
            hours=HoursAnswer.of(value.hours) if value.hours else None,
            definition=value.definition,
            state=value.state,
            limits=LimitsAnswer.of(value.limits),
            publish_address=value.publish_address,
            created=stamp(value.created),
            modified=value.modified,
        )


_Moment = Annotated[
    Any, Read(times.parse_time, {"type": "string", "format": "date-time"})
]


class UsageQuery(InScope):
    """The period of a report."""

    begin: _Moment = Field(
        UNSET, alias="from", description="The environment's begin if left out."
    )
    end: _Moment = Field(UNSET, alias="to", description="The present if left out.")


class AmountsAnswer(Answer):
    """Sizes times hours."""

    instance_hours: float
    vcpu_hours: float
    memory_mb_hours: float
    disk_gb_hours: float

    @classmethod
    def of(cls, value: Amounts) -> Self:
        return cls(
            instance_hours=round(value.instance_hours, 4),
            vcpu_hours=round(value.cpu_hours, 4),
            memory_mb_hours=round(value.memory_mb_hours, 2),
            disk_gb_hours=round(value.disk_gb_hours, 4),
        )


class InstanceUsageAnswer(Answer):
    """What the instances of one name have used, one after the other."""

    name: str
    part: str = Field(description="Its name in the definition; empty without one.")
    driver: str
    began: Time
    ended: Time | None = Field(description="Null while it is there.")
    lives: int = Field(description="How many there were in the period.")
    used: AmountsAnswer
    saved: AmountsAnswer

    @classmethod
    def of(cls, value: InstanceUsage) -> Self:
        return cls(
            name=value.name,
            part=value.part,
            driver=value.driver,
            began=value.began,
            ended=value.ended,
            lives=value.lives,
            used=AmountsAnswer.of(value.used),
            saved=AmountsAnswer.of(value.saved),
        )


class UsageAnswer(Answer):
    """What an environment has used, and what its working hours have saved."""

    model_config = ConfigDict(frozen=True, serialize_by_alias=True)

    environment: str
    begin: Time = Field(alias="from")
    end: Time = Field(alias="to")
    used: AmountsAnswer
    saved: AmountsAnswer
    instances: list[InstanceUsageAnswer]

    @classmethod
    def of(cls, value: Usage) -> Self:
        return cls(
            environment=value.environment,
            used=AmountsAnswer.of(value.used),
            saved=AmountsAnswer.of(value.saved),
            instances=[InstanceUsageAnswer.of(each) for each in value.instances],
            **{"from": value.begin, "to": value.end},
        )


class EnvironmentQuery(ListQuery, InScope):
    """Filters of a list of environments."""

    name: Reference = UNSET
    description: Reference = UNSET
    state: Annotated[Any, word_of(str, EnvironmentState)] = UNSET
