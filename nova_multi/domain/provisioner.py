# SPDX-License-Identifier: Apache-2.0
"""Provisioners: what becomes of an image, and what must stand before."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Collection, Iterable, Mapping

from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import DomainError, Invalid
from nova_multi.domain.permissions import Permissions

#: Instances that one request may launch.
MAX_LAUNCH = 1000

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_BUILDER = re.compile(
    r"(?:https?|ssh|git)://[^\s/@]*(?:@[^\s/@]+)?/\S+|[\w.-]+@[\w.-]+:[^\s:]\S*",
    re.ASCII,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Provisioner:
    """A provisioner.

    :ivar launch: instances that a request makes if it doesn't say how many.
    :ivar memory_mb: None leaves it to the instance, as with cpus and hdsize_gb.
    :ivar image: name or id.
    :ivar builder: URL of a git repository that the guest clones.
    :ivar ref: branch, tag or commit of it.
    :ivar script: inline, in place of a builder.
    :ivar executor: command that is run in the clone, or that the script's file is
        given to.
    :ivar timeout: seconds that the script may take; None leaves it to the operator.
    :ivar depends: names of the provisioners that must stand in the environment before.
    :ivar variables: for the script, as environment variables.
    """

    uuid: str
    name: str
    description: str = ""
    launch: int = 1
    memory_mb: int | None = None
    cpus: int | None = None
    hdsize_gb: int | None = None
    image: str = ""
    driver: Driver | None = None
    builder: str = ""
    ref: str = ""
    script: str = ""
    executor: str = ""
    timeout: int | None = None
    tag: str = ""
    depends: tuple[str, ...] = ()
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)
    permissions: Permissions = Permissions()
    owner_id: str = ""
    project_id: str = ""
    created: datetime.datetime | None = None
    modified: datetime.datetime | None = None

    @property
    def runs_something(self) -> bool:
        """Whether there is anything to provision; else it is an image with SSH."""
        return bool(self.script or self.builder)


@dataclasses.dataclass(frozen=True, slots=True)
class Ways:
    """How a script, and what it is told, may come to a guest.

    :ivar metadata: whether Nova's metadata service asks for what is not in user-data.
    :ivar secrets_in_user_data: whether secrets may be there, where whoever is in the
        guest, and whoever administers Nova, can read them.
    """

    metadata: bool = False
    secrets_in_user_data: bool = False


def check_variables(variables: Mapping[str, str], field: str = "variables") -> None:
    """See that a shell can have variables of these names and values.

    :raises Invalid: all that it can't have.
    """
    wrong: list[DomainError] = []
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name):
            told = f"variable {name!r:.40} is no name that a shell takes"
            wrong.append(Invalid(told, field=f"{field}.{name:.40}"))
        elif "\0" in value:
            told = f"variable {name} has a NUL character"
            wrong.append(Invalid(told, field=f"{field}.{name}"))
    if wrong:
        raise Invalid.together(wrong)


def check(provisioner: Provisioner) -> None:
    """See that the fields of a provisioner go together.

    :raises Invalid: all that is wrong.
    """
    wrong: list[DomainError] = []

    def expect(fine: bool, field: str, told: str) -> None:
        if not fine:
            told = f"provisioner {provisioner.name}: {told}"
            wrong.append(Invalid(told, field=field))

    builder, script = provisioner.builder, provisioner.script
    expect(
        1 <= provisioner.launch <= MAX_LAUNCH,
        "launch",
        f"launch must be between 1 and {MAX_LAUNCH}",
    )
    for field in ("memory_mb", "cpus", "hdsize_gb", "timeout"):
        amount = getattr(provisioner, field)
        name = field.split("_")[0]
        expect(amount is None or amount > 0, name, f"{name} must be above zero")
    expect(not (builder and script), "script", "either a builder or a script")
    expect(
        not builder or bool(_BUILDER.fullmatch(builder)),
        "builder",
        f"builder {builder!r:.80} is no URL of a git repository",
    )
    # git takes a ref that begins so for an option.
    expect(not provisioner.ref.startswith("-"), "ref", "ref must not begin with '-'")
    expect(
        provisioner.timeout is None or provisioner.runs_something,
        "timeout",
        "timeout needs a script or a builder",
    )
    expect(not provisioner.ref or bool(builder), "ref", "ref needs a builder")
    expect(
        not provisioner.executor or provisioner.runs_something,
        "executor",
        "executor needs a builder or a script",
    )
    expect(
        not builder or bool(provisioner.executor),
        "executor",
        "a builder needs an executor: the command to run in the clone",
    )
    expect(
        provisioner.name not in provisioner.depends,
        "depends",
        "it can't depend on itself",
    )
    expect(
        len(set(provisioner.depends)) == len(provisioner.depends),
        "depends",
        "depends names one provisioner twice",
    )
    by_prefix: dict[str, str] = {}
    for each in dict.fromkeys(provisioner.depends):
        other = by_prefix.setdefault(variable_prefix(each), each)
        expect(
            other == each,
            "depends",
            f"{other} and {each} give the script variables of one name",
        )
    try:
        check_variables(provisioner.variables)
    except Invalid as error:
        wrong.append(error)
    if wrong:
        raise Invalid.together(wrong)


def check_image(provisioner: Provisioner, image: str, without: Collection[str]) -> None:
    """See that an image has what a provisioner can't do without.

    :param image: its name, for people.
    :param without: programs that are known not to be in it.
    :raises Invalid: it lacks one.
    """
    if provisioner.builder and "git" in without:
        raise Invalid(
            f"image {image} has no git, with which a guest clones the builder of"
            f" provisioner {provisioner.name}: take one that has it, or a script",
            field="image",
            code="image_without_program",
        )


def variable_prefix(name: str) -> str:
    """What names of variables that tell of a provisioner begin with.

    Capitals, and ``_`` for whatever a shell does not take.
    """
    prefix = re.sub(r"[^A-Z0-9]", "_", name.upper())
    return f"_{prefix}" if prefix[0].isdigit() else prefix


def in_order(
    wanted: Iterable[str], known: Mapping[str, Provisioner]
) -> tuple[Provisioner, ...]:
    """Provisioners with all that they depend on, each after its own dependencies.

    :param wanted: names.
    :param known: every provisioner that may be used, by name.
    :raises Invalid: one is unknown, or they depend on each other in a circle.
    """
    found: dict[str, Provisioner] = {}
    # Not recursive: a chain may be longer than Python's stack.
    waiting: list[tuple[str, bool]] = [(name, False) for name in reversed([*wanted])]
    path: dict[str, None] = {}
    while waiting:
        name, finished = waiting.pop()
        if finished:
            del path[name]
            found[name] = known[name]
            continue
        if name in found:
            continue
        if name in path:
            circle = [*path][[*path].index(name) :]
            raise Invalid(
                f"provisioners depend in a circle: {' → '.join([*circle, name])}",
                field="depends",
                code="dependency_circle",
            )
        if name not in known:
            by = f", needed by {[*path][-1]}" if path else ""
            raise Invalid(
                f"provisioner {name} is unknown{by}", field="depends", code="not_found"
            )
        path[name] = None
        waiting.append((name, True))
        waiting += [(needed, False) for needed in reversed(known[name].depends)]
    return tuple(found.values())
