# SPDX-License-Identifier: Apache-2.0
"""Networks of a definition: which are made, changed, made anew and deleted. Pure.

A network is deleted only when no instance is on it any more, and its range is free for
another one only then: instances in between go first, and are made again afterwards.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from nova_multi.domain import ranges
from nova_multi.domain.definition import Definition, NetworkDefinition
from nova_multi.domain.errors import Conflict, DomainError, Invalid
from nova_multi.domain.names import Kind
from nova_multi.domain.plan import (
    Action,
    Condition,
    Difference,
    Facts,
    PlanStep,
    Present,
    PresentInstance,
    PresentNetwork,
)

_CONDITIONS = {Condition.FAILED: "failed", Condition.GONE: "gone"}


def make_group(network: str) -> str:
    """Group of the step that makes or changes a network."""
    return f"make network {network}"


def delete_group(network: str) -> str:
    """Group of the step that deletes a network."""
    return f"delete network {network}"


@dataclasses.dataclass(frozen=True, slots=True)
class Wiring:
    """What is to be done with networks.

    :ivar needs: of the steps' groups, as far as networks need each other.
    :ivar cleared: networks that no instance may be on before others are made, and why.
    :ivar leaving: those that go, or are made anew, with the group of that step.
    :ivar wrong: why it can't be done.
    """

    steps: tuple[PlanStep, ...]
    needs: Mapping[str, set[str]]
    cleared: Mapping[str, Difference]
    leaving: Mapping[str, str]
    wrong: tuple[DomainError, ...]


def wiring(definition: Definition, present: Present, facts: Facts) -> Wiring:
    """What has to be done so that networks are as a definition says."""
    there = {each.name: each for each in present.networks}
    leaving = [each for name, each in there.items() if name not in definition.networks]
    found = _Found(definition, facts, there, leaving)
    for name, wanted in definition.networks.items():
        found.take(wanted, there.get(name))
    for each in leaving:
        found.delete(each)
    found.check_users(present.instances)
    return Wiring(
        tuple(found.steps),
        found.needs,
        found.cleared,
        found.leaving,
        tuple(found.wrong),
    )


def deletions(networks: Iterable[PresentNetwork]) -> list[PlanStep]:
    """The steps that delete networks."""
    return [_step(Action.DELETE, each.name, each.uuid) for each in networks]


def _step(
    action: Action,
    name: str,
    record: str = "",
    differences: Iterable[Difference] = (),
    cidr: str = "",
) -> PlanStep:
    group = delete_group(name) if action is Action.DELETE else make_group(name)
    return PlanStep(
        action,
        Kind.NETWORK,
        name,
        group,
        record=record,
        differences=tuple(differences),
        cidr=cidr,
    )


class _Found:
    """What was found so far."""

    def __init__(
        self,
        definition: Definition,
        facts: Facts,
        there: Mapping[str, PresentNetwork],
        leaving: Iterable[PresentNetwork],
    ) -> None:
        self.steps: list[PlanStep] = []
        self.needs: dict[str, set[str]] = {}
        self.cleared: dict[str, Difference] = {}
        self.leaving: dict[str, str] = {}
        self.wrong: list[DomainError] = []
        self._ranges = facts.ranges
        self._there = there
        self._wanted = definition.networks
        self._going = list(leaving)
        #: Ranges of all that there will be, and those that are still there.
        self._taken = [self._ranges.own]
        self._taken += [each.cidr for each in there.values()]
        self._taken += [each.cidr for each in definition.networks.values() if each.cidr]

    def take(self, wanted: NetworkDefinition, there: PresentNetwork | None) -> None:
        """One network of the definition."""
        self._check(wanted)
        if there is None:
            cidr = self._cidr(wanted)
            self.steps.append(_step(Action.CREATE, wanted.name, cidr=cidr))
            self._after_those_in_the_way(wanted, cidr)
            return
        found = tuple(_differences(wanted, there))
        if not found:
            return
        if all(each.in_place for each in found):
            step = _step(Action.UPDATE, wanted.name, there.uuid, found, there.cidr)
            self.steps.append(step)
            return
        cidr = wanted.cidr or there.cidr
        step = _step(Action.REPLACE, wanted.name, there.uuid, found, cidr)
        self.steps.append(step)
        self.leaving[wanted.name] = make_group(wanted.name)
        self._clear(wanted.name, found[0])
        self._after_those_in_the_way(wanted, cidr)

    def delete(self, there: PresentNetwork) -> None:
        """One that the definition has no more."""
        self.steps += deletions([there])
        self.leaving[there.name] = delete_group(there.name)

    def _clear(self, name: str, why: Difference) -> None:
        told = f"network {name} {why.field}"
        self.cleared[name] = dataclasses.replace(why, field=told, in_place=False)

    def _check(self, wanted: NetworkDefinition) -> None:
        where = f"networks.{wanted.name}.cidr"
        if any(":" in each for each in wanted.dns):
            told = f"{wanted.name}: its name servers need IPv4 addresses, as it has"
            self.wrong.append(Invalid(told, field=f"networks.{wanted.name}.dns"))
        if wanted.cidr and ":" in wanted.cidr:
            told = f"{wanted.name}: networks have IPv4 addresses here"
            self.wrong.append(Invalid(told, field=where))
        elif wanted.cidr and int(wanted.cidr.partition("/")[2]) > ranges.SMALLEST:
            told = f"{wanted.name}: {wanted.cidr} has no room for guests"
            told += f"; a /{ranges.SMALLEST} is the least"
            self.wrong.append(Invalid(told, field=where))
        elif wanted.cidr and wanted.routed:
            for whose, cidr in self._kept(wanted):
                if ranges.overlap(wanted.cidr, cidr):
                    told = f"{wanted.name}: {wanted.cidr} overlaps {cidr}, {whose}"
                    self.wrong.append(
                        Invalid(f"{told}, and both are routed", field=where)
                    )

    def _kept(self, wanted: NetworkDefinition) -> Iterator[tuple[str, str]]:
        """Ranges that the file does not say, and that stay as they are."""
        yield "the environment's own network", self._ranges.own
        for name, each in self._wanted.items():
            there = self._there.get(name)
            if there and name != wanted.name and not each.cidr and each.routed:
                yield f"network {name}", there.cidr

    def _cidr(self, wanted: NetworkDefinition) -> str:
        if wanted.cidr:
            return wanted.cidr
        found = ranges.free(self._ranges.pool, self._taken)
        if found is None:
            told = f"{wanted.name}: no range of {self._ranges.pool} is free"
            self.wrong.append(Conflict(told, field=f"networks.{wanted.name}"))
            return ""
        self._taken.append(found)
        return found

    def _after_those_in_the_way(self, wanted: NetworkDefinition, cidr: str) -> None:
        """A router takes no ranges that overlap: the old one goes before."""
        if not wanted.routed or not cidr or ":" in cidr:
            return
        group = make_group(wanted.name)
        for each in self._going:
            if each.routed and ranges.overlap(each.cidr, cidr):
                self.needs.setdefault(group, set()).add(delete_group(each.name))
                told = f"gives {each.cidr} to {wanted.name}"
                self._clear(each.name, Difference(told))
        for name, each in self._there.items():
            if name == wanted.name or each in self._going or not each.routed:
                continue
            # It has another range afterwards: the file's own don't overlap.
            if ranges.overlap(each.cidr, cidr):
                self.needs.setdefault(group, set()).add(make_group(name))

    def check_users(self, instances: Iterable[PresentInstance]) -> None:
        """See that nothing else is on what goes."""
        for one in instances:
            for name in one.networks if not one.part else ():
                if name in self.leaving:
                    told = (
                        f"network {name} is used by instance {one.name}, which this"
                        " definition did not make"
                    )
                    self.wrong.append(Conflict(told, field=f"networks.{name}"))


def _differences(
    wanted: NetworkDefinition, there: PresentNetwork
) -> Iterator[Difference]:
    if there.condition is not Condition.STANDING:
        yield Difference(_CONDITIONS[there.condition], drift=True)
    if wanted.cidr and wanted.cidr != there.cidr:
        yield Difference("cidr", there.cidr, wanted.cidr)
    if wanted.routed != there.routed:
        yield Difference("routed", _flag(there.routed), _flag(wanted.routed))
    pairs = (
        ("dns", ", ".join(there.dns), ", ".join(wanted.dns)),
        ("dhcp", there.dhcp, wanted.dhcp),
    )
    for field, before, after in pairs:
        if before != after:
            yield Difference(field, before or "default", after or "default", True)
    if there.actual_dns is not None and wanted.dns == there.dns:
        before = ", ".join(there.actual_dns) or "none"
        after = ", ".join(there.dns) or "default"
        yield Difference("dns", before, after, in_place=True, drift=True)
    if there.actual_dhcp is not None and wanted.dhcp == there.dhcp:
        after = there.dhcp or "default"
        yield Difference("dhcp", there.actual_dhcp, after, in_place=True, drift=True)
    if not there.connected:
        yield Difference("router", "not connected", "connected", True, True)


def _flag(value: bool) -> str:
    return "true" if value else "false"
