# SPDX-License-Identifier: Apache-2.0
"""Which steps of a plan come before which. Pure, and without recursion.

Steps are waited for by groups, those of one part of a definition: the number of
dependencies is that of the parts', however many instances these have.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from nova_multi.domain.errors import Conflict, Invalid
from nova_multi.domain.names import Kind
from nova_multi.domain.plan import Action, PlanStep, PresentInstance

#: Of steps that can be done at the same time, in the order of a plan.
_KINDS = (Kind.ENVIRONMENT, Kind.NETWORK, Kind.IMAGE, Kind.INSTANCE)


def parts_in_order(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """Parts, each behind those that it needs; else in their order.

    :raises Invalid: they need each other in a circle.
    """
    levels, left = _levels({name: set(each) for name, each in needs.items()})
    if left:
        raise Invalid(
            f"these instances need each other in a circle: {', '.join(sorted(left))}",
            field="instances",
            code="dependency_circle",
        )
    # Python sorts stably.
    return sorted(needs, key=levels.__getitem__)


def of_deletions(
    leaving: Iterable[PresentInstance], group: Callable[[str], str]
) -> dict[str, set[str]]:
    """For each group of deletions those that come before: what needs it goes first."""
    parts: dict[str, set[str]] = {}
    for each in leaving:
        parts.setdefault(each.part, set()).update(each.needs)
    found: dict[str, set[str]] = {group(part): set() for part in parts}
    for part, needed in parts.items():
        for other in needed & parts.keys() - {part}:
            found[group(other)].add(group(part))
    return found


def arranged(
    steps: Iterable[PlanStep], needs: Mapping[str, Iterable[str]]
) -> tuple[PlanStep, ...]:
    """The steps with what they need, each behind all of that.

    :param needs: of groups; those without steps are as good as done, but what they
        need themselves must be done all the same.
    :raises Conflict: names or ports go round in a circle.
    """
    steps = list(steps)
    present = {step.group for step in steps}
    direct = _through(needs, present)
    levels, left = _levels({group: direct[group] for group in present})
    # Instances were made after each other by different definitions: any order will do.
    deletions = {s.group for s in steps if s.action is Action.DELETE} & left
    if left and deletions:
        for group in deletions:
            direct[group] -= deletions
        levels, left = _levels({group: direct[group] for group in present})
    if left:
        parts = sorted({s.part or s.name for s in steps if s.group in left})
        raise Conflict(
            f"{', '.join(parts)} take over each other's names, ports or addresses: do"
            " it in two steps",
            field="instances",
        )
    told = {group: tuple(sorted(direct[group])) for group in present}
    placed = [
        dataclasses.replace(step, needs=told[step.group], level=levels[step.group])
        for step in steps
    ]
    return tuple(sorted(placed, key=lambda s: (s.level, _KINDS.index(s.kind))))


def _through(
    needs: Mapping[str, Iterable[str]], present: set[str]
) -> dict[str, set[str]]:
    """What each group needs of those that are present, past the others."""
    found: dict[str, set[str]] = {}
    for group in present:
        seen: set[str] = set()
        waiting = list(needs.get(group, ()))
        direct: set[str] = set()
        while waiting:
            other = waiting.pop()
            if other in seen or other == group:
                continue
            seen.add(other)
            if other in present:
                direct.add(other)
            else:
                waiting += needs.get(other, ())
        found[group] = direct
    return found


def _levels(needs: Mapping[str, set[str]]) -> tuple[dict[str, int], set[str]]:
    """For each name how many come one after the other before it.

    :returns: also the names that are in a circle, or behind one.
    """
    waiting = {
        name: len({each for each in before if each in needs})
        for name, before in needs.items()
    }
    behind: dict[str, list[str]] = {}
    for name, before in needs.items():
        for each in before:
            if each in needs:
                behind.setdefault(each, []).append(name)
    levels = {name: 0 for name, count in waiting.items() if not count}
    free = list(levels)
    for name in free:
        for each in behind.get(name, ()):
            waiting[each] -= 1
            levels[each] = max(levels.get(each, 0), levels[name] + 1)
            if not waiting[each]:
                free.append(each)
    return levels, {name for name, count in waiting.items() if count}
