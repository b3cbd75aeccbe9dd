# SPDX-License-Identifier: Apache-2.0
"""What a driver doesn't do yet is refused before anything is touched.

Nova finds out late for some actions: it has shut the guest down, or puts the server in
ERROR, when the driver turns out to have no such method. Here the manager asks first, by
looking whether the driver has the method at all; the day a driver gets it, the refusal
is gone by itself.
"""

from __future__ import annotations

from typing import Any

from nova import exception as nova_exception
from nova.compute import manager
from nova.virt import driver as nova_driver


def implements(driver: Any, method: str) -> bool:
    """Whether a driver has its own version of a method of Nova's ComputeDriver."""
    return getattr(type(driver), method, None) is not getattr(
        nova_driver.ComputeDriver, method
    )


def _reason(compute: manager.ComputeManager, action: str) -> str:
    driver = type(compute.driver).__name__
    return f"{driver} on host {compute.host} can't {action} servers"


# Named and decorated as Nova's own, so that the server's event is recorded as ever.
@manager.wrap_exception()
@manager.reverts_task_state
@manager.wrap_instance_event(prefix="compute")
@manager.wrap_instance_fault
def rescue_instance(
    compute: manager.ComputeManager, context: Any, instance: Any
) -> None:
    """Refuse a rescue; the server goes on as it is.

    :raises InstanceNotRescuable: always.
    """
    raise nova_exception.InstanceNotRescuable(
        instance_id=instance.uuid, reason=_reason(compute, "rescue")
    )


class Refusals(manager.ComputeManager):
    """Part of the compute manager: early answers to what the driver can't do."""

    def rescue_instance(
        self, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> Any:
        if implements(self.driver, "rescue"):
            return super().rescue_instance(context, instance, *args, **kwargs)
        return rescue_instance(self, context, instance)

    def _prep_resize(self, *args: Any, **kwargs: Any) -> Any:
        if not implements(self.driver, "finish_migration"):
            # Other hosts may be tried; then the server is as it was, not in ERROR.
            raise nova_exception.InstanceFaultRollback(
                nova_exception.MigrationPreCheckError(reason=_reason(self, "resize"))
            )
        return super()._prep_resize(*args, **kwargs)
