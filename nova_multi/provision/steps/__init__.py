# SPDX-License-Identifier: Apache-2.0
"""The steps of each type of task, in their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from nova_multi.domain.task import TaskType
from nova_multi.provision.steps import (
    apply,
    changing,
    environment,
    host,
    image,
    instance,
    network,
    partition,
    power,
    removal,
)
from nova_multi.provision.steps.base import Step, Wait, Work

__all__ = ["PROCEDURES", "Step", "Wait", "Work"]

#: The steps of a task; they depend on what was asked for only.
Procedure = Callable[[Work], Sequence[Step]]

PROCEDURES: Mapping[TaskType, Procedure] = {
    TaskType.CREATE_PARTITION: partition.create,
    TaskType.DELETE_PARTITION: partition.delete,
    TaskType.ADD_HOST: host.add,
    TaskType.REMOVE_HOST: host.remove,
    TaskType.CREATE_ENVIRONMENT: environment.create,
    TaskType.UPDATE_ENVIRONMENT: environment.update,
    TaskType.DELETE_ENVIRONMENT: environment.delete,
    TaskType.APPLY_ENVIRONMENT: apply.apply,
    TaskType.DESTROY_ENVIRONMENT: apply.destroy,
    TaskType.CLOSE_ENVIRONMENT: apply.close,
    TaskType.CREATE_IMAGE: image.create,
    TaskType.UPDATE_IMAGE: image.update,
    TaskType.DELETE_IMAGE: image.delete,
    TaskType.CREATE_NETWORK: network.create,
    TaskType.UPDATE_NETWORK: network.update,
    TaskType.DELETE_NETWORK: network.delete,
    TaskType.CREATE_INSTANCE: instance.create,
    TaskType.CLONE_INSTANCE: instance.clone,
    TaskType.UPDATE_INSTANCE: changing.update,
    TaskType.DELETE_INSTANCE: removal.delete,
    TaskType.START_INSTANCE: power.start,
    TaskType.STOP_INSTANCE: power.stop,
    TaskType.RESTART_INSTANCE: power.restart,
}
