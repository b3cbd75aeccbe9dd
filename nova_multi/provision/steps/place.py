# SPDX-License-Identifier: Apache-2.0
"""The place and the size of an instance, and another place where one was refused."""

from __future__ import annotations

import dataclasses

from nova_multi.cloud.values import Action
from nova_multi.domain.driver import Driver
from nova_multi.domain.host import HostType
from nova_multi.domain.instance import Size
from nova_multi.domain.task import TaskStatus
from nova_multi.provision import placing, poll
from nova_multi.provision.steps.base import Step, Work, still_wanted

#: Machines that an instance is tried on, as many as Nova itself would.
_MAX_MACHINES = 3


def request(work: Work) -> placing.Request:
    """What is to be placed."""
    payload = work.payload
    kind = payload.get("host_type")
    return placing.Request(
        key=work.uuid,
        partition=payload.get("partition", ""),
        driver=Driver(payload["driver"]),
        size=Size(**payload["size"]),
        host_type=HostType(kind) if kind else None,
        node=payload.get("node"),
        refused=frozenset(work.state.get("refused", ())),
    )


def _place(work: Work) -> None:
    still_wanted(work)
    place = placing.place(work.tools, request(work))
    work.keep(machine=place.machine, compute_host=place.compute_host)


def _flavor(work: Work) -> None:
    size = Size(**work.payload["size"])
    kind = work.payload.get("host_type")
    wanted = (size.cpus, size.memory_mb, size.disk_gb)
    host_type = HostType(kind) if kind else None
    driver = Driver(work.payload["driver"])
    if work.tools.single:
        found = work.project().flavors.find_fitting(
            *wanted, host_type=host_type, driver=driver
        )
    else:
        found = work.tools.clouds.admin().flavors.find_or_make(
            *wanted, host_type=host_type, driver=driver
        )
    work.keep(flavor_id=found.id, flavor=[found.cpus, found.memory_mb, found.disk_gb])


PLACE = Step("place", "instance", _place)
FLAVOR = Step("flavor", "flavor of instance", _flavor)


# -- another place


def has_begun(action: Action | None) -> bool:
    """Whether a compute was ever asked to make the server of a boot."""
    return bool(action and any(e.name == poll.BUILD_EVENT for e in action.events))


def may_move(work: Work, action: Action | None) -> bool:
    """Whether a server in ERROR was refused by the host that it was demanded of, and
    another host may take it.

    Of what is demanded Nova has no alternates: a host that was filled by others between
    our choice and theirs would end it. What a compute has begun to set up was not
    refused: it would fail on others, too.
    """
    if work.payload.get("node") or not work.state.get("compute_host"):
        return False
    if len(work.state.get("refused", ())) + 1 >= _MAX_MACHINES:
        return False
    begun = {TaskStatus.SETTING_UP, TaskStatus.CREATING}
    if has_begun(action) and begun & {
        change.status for change in work.tools.store.task(work.uuid).history
    }:
        return False
    wanted = request(work)
    refused = wanted.refused | {work.state["machine"]}
    return placing.fits(work.tools, dataclasses.replace(wanted, refused=refused))
