# SPDX-License-Identifier: Apache-2.0
"""What the references of a definition are worth, given what stands. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from nova_multi.domain.definition import Reference, Root, Template
from nova_multi.domain.plan import PresentEnvironment, PresentInstance
from nova_multi.domain.publish import Publish

#: In place of a secret, wherever people may read it.
HIDDEN = "(secret)"
#: Instances of one part whose addresses are told together: a script's room is limited.
MAX_TOLD = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """What references may refer to.

    :ivar instances: of each part, by their index; None for one whose values are not
        known until it is made.
    """

    environment: PresentEnvironment | None
    instances: Mapping[str, Sequence[PresentInstance | None]]

    def value(self, reference: Reference) -> str | None:
        """What a reference is worth; None as long as that is not known.

        What inputs are worth is not known here.
        """
        match reference.root:
            case Root.ENVIRONMENT:
                return self._of_environment(reference.attribute)
            case Root.INSTANCES:
                return self._of_instances(reference)
            case _:
                return None

    def addresses(self, parts: Iterable[str]) -> str | None:
        """The first addresses of all instances of these parts, in one text."""
        found = [each for part in parts for each in self.instances.get(part, ())]
        found = found[:MAX_TOLD]
        firsts = [each.addresses[0] for each in found if each and each.addresses]
        return " ".join(firsts) if len(firsts) == len(found) and found else None

    def _of_environment(self, attribute: str) -> str | None:
        if self.environment is None:
            return None
        match attribute:
            case "name":
                return self.environment.name
            case "partition":
                return self.environment.partition
            case "publish_address":
                return self.environment.publish_address or None
        return None

    def _of_instances(self, reference: Reference) -> str | None:
        found = self.instances.get(reference.name, ())
        if reference.attribute == "addresses" and reference.index is None:
            return self.addresses([reference.name])
        index = reference.index or 0
        one = found[index] if index < len(found) else None
        if one is None:
            return None
        if reference.attribute == "published":
            address = self._of_environment("publish_address")
            outside = _outside(one, Publish.parse(reference.key or ""))
            return f"{address}:{outside}" if address and outside else None
        return _attribute(one, reference.attribute)


def _attribute(one: PresentInstance, attribute: str) -> str | None:
    match attribute:
        case "name":
            return one.name
        case "address":
            return one.addresses[0] if one.addresses else None
        case "addresses":
            return " ".join(one.addresses) or None
        case "host":
            return one.host or None
    return None


def _outside(one: PresentInstance, wanted: Publish) -> int | None:
    """The outside number of a guest's port, once it has one."""
    for each in one.published:
        if (each.inside, each.protocol) == (wanted.inside, wanted.protocol):
            return each.outside
    return None


def written(template: Template) -> str:
    """A template as it may stand in a definition."""
    return "".join(
        str(part) if isinstance(part, Reference) else part.replace("${", "$${")
        for part in template.parts
    )


def filled(template: Template, value: Callable[[Reference], str]) -> str:
    """The text that becomes of a template."""
    return "".join(
        value(part) if isinstance(part, Reference) else part for part in template.parts
    )


def is_secret(reference: Reference) -> bool:
    """Whether nobody may see its value: such inputs alone are still references."""
    return reference.root is Root.INPUTS
