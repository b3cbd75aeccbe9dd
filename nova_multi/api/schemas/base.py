# SPDX-License-Identifier: Apache-2.0
"""What all schemas share: strictness, errors for people, and common kinds of values."""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self, TypeVar, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import (
    DEFAULT_REF_TEMPLATE,
    GenerateJsonSchema,
    JsonSchemaMode,
    JsonSchemaValue,
    models_json_schema,
)
from pydantic_core import PydanticCustomError, core_schema

from nova_multi.domain import names, sizes, times
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import DomainError, Invalid
from nova_multi.domain.host import HostType
from nova_multi.domain.permissions import Permissions
from nova_multi.domain.provisioner import check_variables

#: Default of a field that need not be given; whether it was is asked of the model.
UNSET: Any = None

_M = TypeVar("_M", bound="Schema")


class Schema(BaseModel):
    """No field that isn't listed, no type that isn't meant."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False
    )


class Body(Schema):
    """A request's body.

    :cvar RENAMED: names of the domain for fields that are called otherwise here.
    :cvar FIXED: fields that exist, but can't be changed later.
    """

    RENAMED: ClassVar[Mapping[str, str]] = {}
    FIXED: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="after")
    def _one_name_for_each(self) -> Self:
        seen: dict[str, str] = {}
        for field in sorted(self.model_fields_set):
            meant = self.RENAMED.get(field, field)
            if meant in seen:
                raise PydanticCustomError(
                    "given_twice",
                    "{one} and {other} mean the same: give one of them",
                    {"one": seen[meant], "other": field},
                )
            seen[meant] = field
        return self

    def fields(self) -> dict[str, Any]:
        """What was given, by the domain's names; lists are tuples."""
        return {
            self.RENAMED.get(field, field): _plain(getattr(self, field))
            for field in type(self).model_fields
            if field in self.model_fields_set
        }


class Change(Body):
    """A change of at least one field."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise PydanticCustomError("empty", "nothing to change was given")
        return self


class Nothing(Body):
    """The body of a request that needs none."""


class Answer(BaseModel):
    """An answer, or a part of one."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def of(cls, value: Any) -> Self:
        """The answer that shows a value of the domain."""
        raise NotImplementedError


class Data(Answer):
    """An answer whose fields depend on what was asked for."""

    model_config = ConfigDict(extra="allow")

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Self:
        """The data itself."""
        return cls(**value)


class Part(Schema):
    """An object within a body that stands for one value of the domain."""

    def value(self) -> Any:
        """The value."""
        raise NotImplementedError


def _plain(value: Any) -> Any:
    if isinstance(value, Part):
        return value.value()
    return tuple(value) if isinstance(value, list) else value


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Read:
    """A kind of field that a function of the domain reads; for ``Annotated``.

    :ivar schema: the same in the words of JSON Schema, for the document.
    """

    parse: Callable[[Any], Any]
    schema: JsonSchemaValue

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return dict(self.schema)

    def _read(self, value: Any) -> Any:
        try:
            return self.parse(value)
        except DomainError as error:
            code = cast(Any, error.code)
            raise PydanticCustomError(
                code, "{reason}", {"reason": error.message}
            ) from error


def name_of(kind: names.Kind, longest: int = 63) -> Read:
    """A name that something new is to have."""
    schema = {
        "type": "string",
        "minLength": 1,
        "maxLength": longest,
        "examples": [f"{kind}-1"],
    }
    return Read(lambda text: names.check_name(kind, text), schema)


def word_of(
    parse: Callable[[Any], Any], words: Iterable[str], description: str = ""
) -> Read:
    """One of several words."""
    schema: JsonSchemaValue = {"type": "string", "enum": [str(word) for word in words]}
    if description:
        schema["description"] = description
    return Read(parse, schema)


def _size(unit: Any) -> Read:
    return Read(
        lambda value: sizes.parse_size(value, unit),
        {
            "anyOf": [
                {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "maximum": sizes.MAX_MB if unit == "MB" else sizes.MAX_MB // 1024,
                },
                {
                    "type": "string",
                    "pattern": r"^[0-9]{1,12}(\.[0-9]{1,6})? ?([MGT](i?B)?)?$",
                },
            ],
            "description": f"A number of {unit}, or a text with a unit: 512MB, 2GB.",
        },
    )


def _permissions(text: Any) -> Permissions:
    """Also in VirtShell's order of letters, ``xwr`` for ``rwx``."""
    if isinstance(text, str) and len(text) == 9:
        turned = "".join(text[start : start + 3][::-1] for start in (0, 3, 6))
        if "x" in text[0::3] or "r" in text[2::3]:
            text = turned
    return Permissions.parse(text if isinstance(text, str) else "")


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise Invalid(f"{value!r:.40} is neither true nor false")


def _variables(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Invalid("variables must be an object of names and values")
    found: dict[str, str] = {}
    for name, item in value.items():
        if isinstance(item, bool):
            item = "true" if item else "false"
        if not isinstance(item, str | int | float) or (
            isinstance(item, float) and not math.isfinite(item)
        ):
            raise Invalid(
                f"variable {name:.40} must be a text, a number, true or false"
            )
        found[name] = str(item)
    check_variables(found)
    return found


def check_finite(value: Any) -> Any:
    """The value itself, if JSON can say it: Python's reader takes NaN and 1e999, too.

    Not recursive: it may be nested deeply.
    """
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
        elif isinstance(item, float) and not math.isfinite(item):
            raise PydanticCustomError(
                "not_finite", "{number} is no number that JSON has", {"number": item}
            )
    return value


def named(*keys: str) -> Read:
    """A list of names, each as a text or as an object such as ``{"name": ...}``."""

    def read(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise Invalid("must be a list")
        found = []
        for item in value:
            if isinstance(item, dict) and len(item) == 1:
                key, name = next(iter(item.items()))
                item = name if key in keys else None
            if not isinstance(item, str) or not _is_reference(item):
                told = " or ".join(f'{{"{key}": ...}}' for key in keys)
                raise Invalid(f"each item must be a name or {told}")
            found.append(item)
        return tuple(dict.fromkeys(found))

    text = {"type": "string", "minLength": 1, "maxLength": 255}
    objects = [
        {
            "type": "object",
            "properties": {key: text},
            "required": [key],
            "additionalProperties": False,
        }
        for key in keys
    ]
    return Read(read, {"type": "array", "items": {"anyOf": [text, *objects]}})


def _is_reference(text: str) -> bool:
    return 0 < len(text) <= 255 and text.isprintable()


#: A name or UUID of something that is there.
Reference = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$"),
]
#: A line for people.
Line = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")]
#: Some lines for people.
Text = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00]*$")]
#: Content, such as a script or a key.
Content = Annotated[str, StringConstraints(max_length=100_000, pattern=r"^[^\x00]*$")]
#: Where something is fetched from; the service decides whether it goes there.
URL = Annotated[
    str, StringConstraints(max_length=2048, pattern=r"^[!-~]*$", min_length=0)
]
SizeMB = Annotated[Any, _size("MB")]
SizeGB = Annotated[Any, _size("GB")]
Count = Annotated[int, Field(ge=1, le=1000)]
CPUs = Annotated[int, Field(ge=1, le=4096)]
#: A week at most.
Seconds = Annotated[int, Field(ge=1, le=604_800)]
PermissionsText = Annotated[
    Any,
    Read(
        _permissions,
        {
            "type": "string",
            "pattern": "^([r-][w-][x-]){3}$",
            "description": "Owner, groups of the environment, others of the partition.",
            "examples": ["rwxr-x---"],
        },
    ),
]
DriverWord = Annotated[
    Any,
    word_of(Driver.parse, ("docker", "lxd", "lxc", "libvirt", "kvm", "qemu")),
]
HostTypeWord = Annotated[Any, word_of(HostType.parse, HostType)]
Flag = Annotated[Any, Read(_flag, {"enum": [True, False, "true", "false"]})]
Variables = Annotated[
    Any,
    Read(
        _variables,
        {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]{0,127}$"},
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        },
    ),
]
#: Names of users, groups and the like: texts or ``{"name": ...}``.
Names = Annotated[Any, named("name")]

#: A moment, as RFC 3339 in UTC.
Time = Annotated[
    datetime.datetime,
    PlainSerializer(times.format_time, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class Stamp(Answer):
    """When something was made, and by whom if that is known."""

    at: Time
    by: str | None = None


def stamp(at: datetime.datetime | None, by: str = "") -> Stamp | None:
    """The time of making, where it is known."""
    return Stamp(at=at, by=by or None) if at else None


class Accepted(Answer):
    """The work goes on; exactly one verb says which."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "additionalProperties": {"const": "in progress"},
            "examples": [
                {
                    "create": "in progress",
                    "task": "ab8076c0-db91-41e2-82ce-0002a5d5c51b",
                }
            ],
        },
    )

    task: str = Field(description="UUID of the task that tells how it goes on.")


class Done(Answer):
    """The work is done; exactly one verb says which."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "additionalProperties": {"const": "success"},
            "examples": [{"delete": "success"}],
        },
    )


class Problem(Answer):
    """One thing that is wrong."""

    model_config = ConfigDict(extra="allow")

    code: str | None = None
    field: str | None = None
    message: str | None = None


class ErrorBody(Answer):
    """What is wrong."""

    code: str = Field(description="Stable word for programs.")
    message: str = Field(description="A sentence for people.")
    details: list[Problem]


class Error(Answer):
    """Every error."""

    error: ErrorBody


class ScopeQuery(Schema):
    """The part of an address after the question mark; nothing may be in it."""

    # Everything is a text there.
    model_config = ConfigDict(strict=False)

    def given(self) -> dict[str, str]:
        """What was given, as texts."""
        fields = type(self).model_fields
        return {
            name: str(getattr(self, name))
            for name in fields
            if name in self.model_fields_set
        }


class InScope(ScopeQuery):
    """Where names are looked up, where one name is there more than once."""

    partition: Reference = Field(UNSET, description="Partition of what is named.")
    environment: Reference = Field(UNSET, description="Environment of what is named.")


class ListQuery(ScopeQuery):
    """A page of a list."""

    limit: int = Field(
        UNSET,
        ge=1,
        description="Largest number of items; the service has a limit, too.",
    )
    marker: Reference = Field(
        UNSET, description="Name or UUID of the last item of the page before."
    )

    def filters(self) -> dict[str, str]:
        """The fields that items must have."""
        given = self.given()
        others = {"limit", "marker"}
        if isinstance(self, InScope):
            others |= InScope.model_fields.keys()
        return {name: given[name] for name in given if name not in others}


def read_json(model: type[_M], raw: bytes) -> _M:
    """Check a body; an empty one is an empty object.

    :raises Invalid: all that is wrong with it.
    """
    try:
        return model.model_validate_json(raw.strip() or b"{}")
    except ValidationError as error:
        raise _told(model, error) from error


def read_texts(model: type[_M], values: Iterable[tuple[str, str]]) -> _M:
    """Check a query or the texts of a form, each of which may be given once.

    :raises Invalid: all that is wrong with it.
    """
    found: dict[str, str] = {}
    for name, value in values:
        if name in found:
            raise Invalid(f"{name:.40} is given more than once", field=name[:40])
        found[name] = value
    try:
        return model.model_validate_strings(found)
    except ValidationError as error:
        raise _told(model, error) from error


#: Words of ours for pydantic's commonest errors.
_CODES = {"extra_forbidden": "unknown_field", "missing": "missing_field"}


def _told(model: type[Schema], error: ValidationError) -> Invalid:
    fixed: frozenset[str] = getattr(model, "FIXED", frozenset())
    problems: list[DomainError] = []
    for entry in error.errors(include_url=False, include_context=False):
        field = ".".join(str(part)[:80] for part in entry["loc"]) or None
        kind, message = entry["type"], entry["msg"]
        match kind:
            case "extra_forbidden" if field in fixed:
                message = f"{field} can't be changed"
            case "extra_forbidden":
                message = f"there is no field {field}"
            case "missing":
                message = f"{field} is needed"
            case "json_invalid":
                kind, message = "bad_json", f"the body is not JSON: {message}"
            case "model_type" if field is None:
                message = "the body must be a JSON object"
            case _ if field:
                message = f"{field}: {message}"
        problems.append(Invalid(message, field=field, code=_CODES.get(kind, kind)))
    first = problems[0]
    if len(problems) == 1:
        return Invalid(first.message, field=first.field, code=first.code)
    return Invalid.together(problems)


class DocumentSchema(GenerateJsonSchema):
    """JSON Schema where a default of None means that there is none."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default", "") is None and schema["schema"]["type"] != "nullable":
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


def json_schemas(
    models: Sequence[tuple[type[BaseModel], JsonSchemaMode]], template: str
) -> tuple[dict[tuple[type[BaseModel], str], JsonSchemaValue], JsonSchemaValue]:
    """JSON Schemas of many models: a reference for each, and all definitions.

    :param template: of references, with ``{model}``.
    """
    found, definitions = models_json_schema(
        models,
        ref_template=template or DEFAULT_REF_TEMPLATE,
        schema_generator=DocumentSchema,
    )
    return cast(Any, found), definitions.get("$defs", {})
