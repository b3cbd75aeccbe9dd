# SPDX-License-Identifier: Apache-2.0
"""Ports of a guest that are reachable at its environment's publishing address."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Literal, cast

from nova_multi.domain.errors import Conflict, Invalid

Protocol = Literal["tcp", "udp"]
#: A published port, as it is unique on one address.
Place = tuple[Protocol, int]

#: Where a port comes from that was asked for without an outside number.
FREE_PORTS = range(20000, 30000)

_FORM = re.compile(r"(?:(\d{1,5}):)?(\d{1,5})(?:/(tcp|udp))?", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True)
class Publish:
    """One port of a guest, reachable from outside.

    :ivar outside: port of the publishing address; None takes a free one.
    :ivar inside: port of the guest.
    """

    outside: int | None
    inside: int
    protocol: Protocol = "tcp"

    @classmethod
    def parse(cls, value: str | int, field: str = "publish") -> Publish:
        """Read ``8080:80``, ``80``, ``53:53/udp``.

        :raises Invalid: it is not of that form, or a port is out of range.
        """
        found = None
        if isinstance(value, str | int) and not isinstance(value, bool):
            found = _FORM.fullmatch(str(value))
        if not found:
            raise Invalid(
                f"{value!r:.40} is no port to publish: outside:inside or inside, with "
                "or without /tcp or /udp",
                field=field,
            )
        outside, inside = (int(port) if port else None for port in found.group(1, 2))
        for port in (outside, inside):
            if port is not None and not 1 <= port <= 65535:
                raise Invalid(
                    f"port {port} of {value!r} is not between 1 and 65535", field=field
                )
        return cls(outside, cast(int, inside), cast(Protocol, found[3] or "tcp"))

    @property
    def place(self) -> Place | None:
        """What it takes of the address, if that is known yet."""
        return None if self.outside is None else (self.protocol, self.outside)

    def __str__(self) -> str:
        text = str(self.inside)
        if self.outside is not None:
            text = f"{self.outside}:{text}"
        return text if self.protocol == "tcp" else f"{text}/{self.protocol}"


def parse_all(values: Iterable[str | int], field: str = "publish") -> list[Publish]:
    """Read the ports of one guest.

    :raises Invalid: as :meth:`Publish.parse`, or one port is there twice, outside or
        inside: OpenStack forwards each port of a guest but once.
    """
    found = [Publish.parse(value, field) for value in values]
    taken: set[Place] = set()
    inside: set[Place] = set()
    for publish in found:
        if (publish.protocol, publish.inside) in inside:
            raise Invalid(
                f"{publish.protocol} port {publish.inside} of the guest is published"
                " twice",
                field=field,
            )
        inside.add((publish.protocol, publish.inside))
        if publish.place in taken:
            raise Invalid(
                f"{publish.protocol} port {publish.outside} is published twice",
                field=field,
            )
        if publish.place:
            taken.add(publish.place)
    return found


def assign(
    wanted: Iterable[Publish],
    taken: Mapping[Place, str],
    free: Iterable[int] = FREE_PORTS,
) -> tuple[Publish, ...]:
    """The same ports, all with an outside number.

    :param taken: what the address carries already, and whose it is.
    :param free: numbers for those that come without one, first fit.
    :raises Conflict: a port is taken, and by whom; or no free one is left.
    """
    wanted = list(wanted)
    used = dict(taken)
    for publish in wanted:
        if publish.place is None:
            continue
        if publish.place in used:
            raise Conflict(
                f"{publish.protocol} port {publish.outside} is already published by "
                f"{used[publish.place]}",
                field="publish",
                code="port_taken",
            )
        used[publish.place] = "this request"
    numbers = list(free)
    return tuple(
        publish if publish.outside is not None else _with_free(publish, used, numbers)
        for publish in wanted
    )


def _with_free(publish: Publish, used: dict[Place, str], free: list[int]) -> Publish:
    for number in free:
        place = (publish.protocol, number)
        if place not in used:
            used[place] = "this request"
            return dataclasses.replace(publish, outside=number)
    raise Conflict(
        f"no free {publish.protocol} port is left for port {publish.inside}",
        field="publish",
        code="no_free_port",
    )
