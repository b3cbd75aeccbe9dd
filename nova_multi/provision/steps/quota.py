# SPDX-License-Identifier: Apache-2.0
"""What an environment may use: the quota of its project."""

from __future__ import annotations

from nova_multi.domain.names import Kind
from nova_multi.domain.partition import Limits
from nova_multi.provision import limits
from nova_multi.provision.steps.base import Step, Work


def _set(work: Work) -> None:
    """Make the limits Nova's quota, if the partition still has as much."""
    wanted = limits.read(work.payload)
    store = work.tools.store
    partition = work.record(Kind.PARTITION, work.payload["partition"])
    # They are written down already: of two at once one at least sees the other's.
    limits.check(store, partition)
    changes = "limits_before" in work.payload
    if not changes and wanted == Limits():
        # Nova's usual quota.
        return
    _set_quota(work, wanted)


def _set_quota(work: Work, wanted: Limits) -> None:
    project_id = (
        work.state.get("project_id") or work.record(Kind.ENVIRONMENT).openstack_id
    )
    work.tools.clouds.admin().servers.set_limits(
        project_id,
        instances=wanted.instances,
        cpus=wanted.cpus,
        memory_mb=wanted.memory_mb,
    )


def _as_before(work: Work) -> None:
    before = work.payload["limits_before"]
    if work.find_record(Kind.ENVIRONMENT) is None:
        return
    work.tools.store.update_record(
        Kind.ENVIRONMENT, work.payload["record"], merge={limits.KEY: before}
    )
    _set_quota(work, Limits(**before))


SET = Step("limits", "limits of environment", _set)
CHANGE = Step("limits", "limits of environment", _set, _as_before)
