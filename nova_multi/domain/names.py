# SPDX-License-Identifier: Apache-2.0
"""Names, the kinds of things that have them, and patterns that pick several."""

from __future__ import annotations

import dataclasses
import enum
import itertools
import re
from collections.abc import Iterator

from nova_multi.domain.errors import Invalid


class Kind(enum.StrEnum):
    """What has a name."""

    PARTITION = "partition"
    HOST = "host"
    ENVIRONMENT = "environment"
    IMAGE = "image"
    FILE = "file"
    PROVISIONER = "provisioner"
    INSTANCE = "instance"
    #: Beside an environment's own; those that definitions make.
    NETWORK = "network"
    USER = "user"
    GROUP = "group"

    @property
    def plural(self) -> str:
        """As in routes: ``environments``."""
        return f"{self.value}s"


@dataclasses.dataclass(frozen=True, slots=True)
class _Rule:
    form: re.Pattern[str]
    longest: int
    told: str


_WORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)
_LOGIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._@+ -]*[A-Za-z0-9_-])?", re.ASCII)
_FILE = re.compile(r"[A-Za-z0-9._](?:[A-Za-z0-9._@+ -]*[A-Za-z0-9._-])?", re.ASCII)
_WORD_TOLD = "letters, digits, '.', '_' and '-', with a letter or digit at both ends"

#: 63 is a DNS label, which an instance's name becomes, and a Keystone project's, which
#: is no longer than 64.
_ORDINARY = _Rule(_WORD, 63, _WORD_TOLD)
_RULES = {
    Kind.HOST: _Rule(_WORD, 253, _WORD_TOLD),
    Kind.IMAGE: _Rule(_WORD, 255, _WORD_TOLD),
    Kind.FILE: _Rule(_FILE, 255, "letters, digits, spaces and any of '._@+-'"),
    Kind.USER: _Rule(_LOGIN, 255, "letters, digits, spaces and any of '._@+-'"),
    Kind.GROUP: _Rule(_LOGIN, 64, "letters, digits, spaces and any of '._@+-'"),
}

#: Wherever a name is taken, an id is too: a name must not look like one.
_ID = re.compile(
    r"[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    re.ASCII | re.IGNORECASE,
)


def is_id(text: str) -> bool:
    """Whether a text is an id of OpenStack's (a UUID, with or without dashes)."""
    return _ID.fullmatch(text) is not None


def check_name(kind: Kind | str, text: str, field: str = "name") -> str:
    """The name itself, if something of that kind may have it.

    :raises Invalid: it may not, and why.
    """
    rule = _RULES.get(Kind(kind), _ORDINARY)
    if not isinstance(text, str) or not text:
        raise Invalid(f"the name of the {kind} is missing", field=field)
    if len(text) > rule.longest:
        raise Invalid(
            f"{kind} name {text[:20]!r}... has {len(text)} characters, at most "
            f"{rule.longest} are possible",
            field=field,
        )
    if not rule.form.fullmatch(text) or text in (".", ".."):
        raise Invalid(f"{kind} name {text!r}: only {rule.told}", field=field)
    if is_id(text):
        raise Invalid(f"{kind} name {text!r} looks like an id", field=field)
    return text


#: A pattern stands for no more names than this.
MAX_NAMES = 10_000

_RANGE = re.compile(r"\[(\d{1,9})[:-](\d{1,9})\]", re.ASCII)
_LITERAL = re.compile(r"[A-Za-z0-9._@+ -]+", re.ASCII)
_MAX_PATTERN = 255


@dataclasses.dataclass(frozen=True, slots=True)
class _Numbers:
    """``[first:last]``; a first number with leading zeros gives the width of all."""

    first: int
    last: int
    width: int

    def texts(self) -> Iterator[str]:
        for number in range(self.first, self.last + 1):
            yield str(number).zfill(self.width)

    def ends(self, name: str, start: int) -> Iterator[int]:
        """Where a number of this range that begins at ``start`` ends."""
        longest = max(self.width, len(str(self.last)))
        for end in range(start + 1, min(start + longest, len(name)) + 1):
            digits = name[start:end]
            if not (digits.isascii() and digits.isdecimal()):
                return
            number = int(digits)
            fits = self.first <= number <= self.last
            if fits and digits == str(number).zfill(self.width):
                yield end


_STAR = "*"


@dataclasses.dataclass(frozen=True, slots=True)
class Pattern:
    """Picks instances by name: ``web*``, ``grid_[1:5]``, ``db[1-3]``, ``web``.

    :ivar text: as it was written.
    """

    text: str
    _parts: tuple[str | _Numbers, ...] = dataclasses.field(repr=False)

    @classmethod
    def parse(cls, text: str, field: str = "pattern") -> Pattern:
        """Read a pattern.

        :raises Invalid: it is none, or stands for too many names.
        """
        if not isinstance(text, str) or not text or len(text) > _MAX_PATTERN:
            raise Invalid(
                f"a pattern has 1 to {_MAX_PATTERN} characters, not {text!r:.40}",
                field=field,
            )
        parts: list[str | _Numbers] = []
        at = 0
        while at < len(text):
            if text[at] == _STAR:
                parts.append(_STAR)
                at += 1
            elif found := _RANGE.match(text, at):
                parts.append(_numbers(text, found, field))
                at = found.end()
            elif found := _LITERAL.match(text, at):
                parts.append(found[0])
                at = found.end()
            else:
                raise Invalid(
                    f"pattern {text!r}: {text[at:]!r} is neither '*', a range such as "
                    "[1:5], nor part of a name",
                    field=field,
                )
        pattern = cls(text, tuple(parts))
        if pattern._count() > MAX_NAMES:
            raise Invalid(
                f"pattern {text!r} stands for more than {MAX_NAMES} names", field=field
            )
        return pattern

    @property
    def is_open(self) -> bool:
        """Only the names that there are can tell what it stands for (``*``)."""
        return _STAR in self._parts

    def expand(self) -> tuple[str, ...]:
        """Every name that it stands for, in order.

        :raises Invalid: it is open.
        """
        if self.is_open:
            raise Invalid(
                f"pattern {self.text!r} has a '*': it can pick names, not make them"
            )
        choices = [
            list(part.texts()) if isinstance(part, _Numbers) else [part]
            for part in self._parts
        ]
        return tuple("".join(words) for words in itertools.product(*choices))

    def matches(self, name: str) -> bool:
        """Whether it stands for ``name``."""
        # The positions that can be reached after each part: linear where a regular
        # expression with several '*' would try everything.
        reached = {0}
        for part in self._parts:
            if isinstance(part, _Numbers):
                reached = {end for start in reached for end in part.ends(name, start)}
            elif part == _STAR:
                reached = set(range(min(reached), len(name) + 1))
            else:
                reached = {
                    start + len(part)
                    for start in reached
                    if name.startswith(part, start)
                }
            if not reached:
                return False
        return len(name) in reached

    def _count(self) -> int:
        count = 1
        for part in self._parts:
            if isinstance(part, _Numbers):
                count *= part.last - part.first + 1
        return count


def _numbers(text: str, found: re.Match[str], field: str) -> _Numbers:
    first, last = found[1], found[2]
    if int(first) > int(last):
        raise Invalid(
            f"pattern {text!r}: range {found[0]} ends before it begins", field=field
        )
    return _Numbers(int(first), int(last), len(first) if first[0] == "0" else 0)
