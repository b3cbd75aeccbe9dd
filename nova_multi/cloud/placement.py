# SPDX-License-Identifier: Apache-2.0
"""What hosts have, what of it is given away, and why nothing fits.

For administrators.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from openstack import exceptions as sdk

from nova_multi.cloud import traits
from nova_multi.cloud.connection import Connection
from nova_multi.cloud.errors import translated
from nova_multi.cloud.values import Amount, Needs, Provider
from nova_multi.domain.host import HostType

CPUS, MEMORY, DISK = "VCPU", "MEMORY_MB", "DISK_GB"

#: Forbidden traits and aggregates, and the summary of a whole tree, are in it.
_VERSION = "1.36"
#: A change that collides with a compute's own is repeated so often.
_TRIES = 5

_AMOUNT, _TRAIT = "resources", "required"

#: What a query asks for: names and values of parameters; some come twice.
_Query = list[tuple[str, str]]


class Placement:
    """Resource providers and what may be allocated on them.

    :param connection: an administrator's.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def providers(self) -> tuple[Provider, ...]:
        """Every compute's provider with its amounts and traits.

        Two to four requests, whatever their number, and three more for each that has
        nothing at all left: candidates are the one answer that has all of them at once,
        with what they use.
        """
        with translated("list the resource providers"):
            known = self._get("/resource_providers")["resource_providers"]
            roots = {
                each["uuid"]: each["name"]
                for each in known
                if not each.get("parent_provider_uuid")
            }
            summaries: dict[str, Any] = {}
            # A cloud that is full has one of these left, mostly.
            for kind in (CPUS, MEMORY, DISK):
                if not roots.keys() <= summaries.keys():
                    summaries |= self._candidates([(_AMOUNT, f"{kind}:1")])
            return tuple(
                _summarized(uuid, name, summaries[uuid])
                if uuid in summaries
                else self._asked(uuid, name)
                for uuid, name in roots.items()
            )

    def provider(self, provider_id: str, name: str = "") -> Provider:
        """One provider, asked directly.

        :raises NotFound: there is none.
        """
        with translated(f"show resource provider {provider_id}"):
            return self._asked(provider_id, name)

    def fits(self, needs: Needs) -> bool:
        """Whether some host has what is needed, just now."""
        return self.missing(needs, explain=False) == ()

    def missing(self, needs: Needs, *, explain: bool = True) -> tuple[str, ...]:
        """Names of the requirements that leave no host; none if one fits.

        Placement is asked with one requirement less at a time. If leaving out a single
        one does not help, those are named that can't be met together with the others.

        :returns: of ``node``, ``enabled``, ``partition``, ``type``, ``driver``,
            ``disk``, ``memory``, ``cpus``; ``hosts`` where there is none at all.
        """
        with translated("ask for places"):
            known = self._known(needs)
            wanted = _requirements(needs)
            if self._any(wanted, known):
                return ()
            if not explain:
                return ("hosts",)
            # Amounts first: of a host that is full, to say that another driver's or
            # partition's has room would be true, and no help.
            for name in sorted(wanted, key=lambda name: name not in _AMOUNTS):
                if self._any(_without(wanted, {name}), known):
                    return (name,)
            if not self._any({}, known):
                return ("hosts",)
            # With none of them there is a host: take back what it can do with.
            gone = set(wanted)
            for name in reversed(wanted):
                if self._any(_without(wanted, gone - {name}), known):
                    gone.discard(name)
            return tuple(name for name in wanted if name in gone)

    def set_host_type(self, provider_id: str, host_type: HostType | None) -> None:
        """Make a provider one of a type, or of none; its other traits stay.

        :raises NotFound: there is no such provider.
        :raises Conflict: somebody else keeps changing it.
        """
        wanted = {host_type.trait} if host_type else set()
        with translated(f"set the type of resource provider {provider_id}"):
            for trait in wanted:
                self._put(f"/traits/{trait}", None)
            for left in reversed(range(_TRIES)):
                path = f"/resource_providers/{provider_id}/traits"
                found = self._get(path)
                present = set(found["traits"])
                changed = present - traits.host_type_traits() | wanted
                if changed == present:
                    return
                try:
                    self._put(path, {**found, "traits": sorted(changed)})
                except sdk.ConflictException:
                    if not left:
                        raise
                else:
                    return

    def has_allocations(self, provider_id: str) -> bool:
        """Whether anything is given away of a provider.

        :raises NotFound: there is no such provider.
        """
        with translated(f"list the allocations of {provider_id}"):
            found = self._get(f"/resource_providers/{provider_id}/allocations")
        return bool(found["allocations"])

    def _any(self, wanted: Mapping[str, _Query], known: Collection[str]) -> bool:
        """Whether there is a candidate.

        :param known: the traits that exist: Placement refuses to be asked for others.
        """
        pairs = [pair for query in wanted.values() for pair in query]
        demanded = [value for key, value in pairs if key == _TRAIT]
        if any(v not in known for v in demanded if not v.startswith("!")):
            return False
        demanded = [v for v in demanded if v.removeprefix("!") in known]
        amounts = [value for key, value in pairs if key == _AMOUNT]
        query = [pair for pair in pairs if pair[0] not in (_TRAIT, _AMOUNT)]
        # Something has to be asked for; everybody who has anything has this.
        query.append((_AMOUNT, ",".join(amounts) or f"{CPUS}:1"))
        if demanded:
            query.append((_TRAIT, ",".join(demanded)))
        return bool(self._candidates([*query, ("limit", "1")]))

    def _known(self, needs: Needs) -> frozenset[str]:
        """Those of the traits that are needed, or not wanted, that exist at all."""
        names = {
            value.removeprefix("!")
            for pairs in _requirements(needs).values()
            for key, value in pairs
            if key == _TRAIT
        }
        if not names:
            return frozenset()
        found = self._get("/traits", [("name", f"in:{','.join(sorted(names))}")])
        return frozenset(found["traits"])

    def _asked(self, uuid: str, name: str) -> Provider:
        path = f"/resource_providers/{uuid}"
        inventories = self._get(f"{path}/inventories")["inventories"]
        used = self._get(f"{path}/usages")["usages"]
        found = self._get(f"{path}/traits")["traits"]
        return Provider(
            id=uuid,
            name=name,
            amounts={
                kind: Amount(_capacity(inventory), used.get(kind, 0))
                for kind, inventory in inventories.items()
            },
            traits=frozenset(found),
        )

    def _candidates(self, query: _Query) -> dict[str, Any]:
        found = self._get("/allocation_candidates", query)
        if not found["allocation_requests"]:
            return {}
        summaries: dict[str, Any] = found["provider_summaries"]
        return summaries

    def _get(self, path: str, query: _Query | None = None) -> Any:
        response = self._connection.placement.get(
            path, params=query or [], microversion=_VERSION
        )
        sdk.raise_from_response(response)
        return response.json()

    def _put(self, path: str, body: Any) -> None:
        response = self._connection.placement.put(
            path, json=body, microversion=_VERSION
        )
        sdk.raise_from_response(response)


#: Requirements that other instances take away.
_AMOUNTS = frozenset({"disk", "memory", "cpus"})


def _requirements(needs: Needs) -> dict[str, _Query]:
    """What to ask for each requirement; the most particular first."""
    found: dict[str, _Query] = {}
    if needs.node:
        found["node"] = [("in_tree", needs.node)]
    # Nova keeps it on the providers of services that are disabled.
    found["enabled"] = [(_TRAIT, "!COMPUTE_STATUS_DISABLED")]
    groups: _Query = []
    if needs.aggregates is not None:
        groups.append(("member_of", f"in:{','.join(sorted(needs.aggregates))}"))
    if needs.outside:
        groups.append(("member_of", f"!in:{','.join(sorted(needs.outside))}"))
    if groups:
        found["partition"] = groups
    if needs.host_type:
        found["type"] = [(_TRAIT, needs.host_type.trait)]
    if needs.driver:
        own = traits.driver_trait(needs.driver)
        others = sorted(traits.foreign_traits(needs.driver))
        found["driver"] = [(_TRAIT, f"!{other}") for other in others]
        if own:
            found["driver"].append((_TRAIT, own))
    for name, kind, amount in (
        ("disk", DISK, needs.disk_gb),
        ("memory", MEMORY, needs.memory_mb),
        ("cpus", CPUS, needs.cpus),
    ):
        if amount > 0:
            found[name] = [(_AMOUNT, f"{kind}:{amount}")]
    return found


def _without(wanted: Mapping[str, _Query], names: set[str]) -> dict[str, _Query]:
    return {name: query for name, query in wanted.items() if name not in names}


def _capacity(inventory: Mapping[str, Any]) -> int:
    left = inventory["total"] - inventory.get("reserved", 0)
    return int(left * inventory.get("allocation_ratio", 1.0))


def _summarized(uuid: str, name: str, summary: Mapping[str, Any]) -> Provider:
    return Provider(
        id=uuid,
        name=name,
        amounts={
            kind: Amount(each["capacity"], each["used"])
            for kind, each in summary["resources"].items()
        },
        traits=frozenset(summary.get("traits") or ()),
    )
