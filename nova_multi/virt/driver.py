# SPDX-License-Identifier: Apache-2.0
"""The compute driver of both container engines: a table of contents.

Each method says what Nova asks and where it is done. What an engine can't do (yet) has
its capability flag False and no method here: Nova then refuses it, and
:mod:`nova_multi.virt.manager` sees to it that the server keeps its state.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import nova.conf
import os_resource_classes as orc
from nova import exception as nova_exception
from nova.compute import task_states
from nova.image import glance
from nova.virt import driver, hardware
from nova.virt import node as virt_node
from oslo_log import log as logging

from nova_multi import exception
from nova_multi.conf import base as conf_base
from nova_multi.privsep import files as privsep_files
from nova_multi.virt import capacity, events, image, reconcile, spawn
from nova_multi.virt import host as host_module
from nova_multi.virt.engine import ContainerState, Engine, EngineInfo
from nova_multi.virt.power import NOVA_STATES

LOG = logging.getLogger(__name__)
CONF = nova.conf.CONF

#: As much as libvirt's console log gives.
MAX_CONSOLE_BYTES = 100 * 1024
STAGING_FOLDER = "_staging"


@contextmanager
def _translated(
    instance: Any, failure: type[nova_exception.NovaException] | None = None
) -> Iterator[None]:
    """Errors of engines as the ones that Nova's manager knows.

    :param failure: for all others, with the reason: of an exception that is not its own
        Nova shows the user nothing but the name of the class.
    """
    try:
        yield
    except exception.GuestNotFound as error:
        raise nova_exception.InstanceNotFound(instance_id=instance.uuid) from error
    except (exception.EngineUnavailable, exception.EngineTimeout) as error:
        raise nova_exception.HypervisorUnavailable(f"{CONF.host}: {error}") from error
    except exception.NovaMultiError as error:
        if failure is None:
            raise
        raise failure(reason=f"{CONF.host}: {error}") from error


class ContainerDriver(driver.ComputeDriver):
    """Nova's driver for the guests of one container engine on one host.

    A subclass names its hypervisor, its image formats and makes the engine.
    """

    #: Value of ``img_hv_type`` and hypervisor type.
    hypervisor_type: ClassVar[str]
    #: Pairs of container format and disk format of Glance that the engine takes.
    image_formats: ClassVar[frozenset[tuple[str, str]]]

    capabilities: ClassVar[dict[str, bool]] = {
        **driver.ComputeDriver.capabilities,
        "has_imagecache": True,
        "supports_attach_interface": True,
        "supports_image_type_raw": True,
    }

    def __init__(self, virtapi: Any) -> None:
        super().__init__(virtapi)
        conf_base.register_opts(CONF)
        self._host: str = CONF.host
        self.engine = self.make_engine()
        self.images = image.ImageStore(
            self.engine,
            glance.API(),
            os.path.join(CONF.instances_path, STAGING_FOLDER),
            self.hypervisor_type,
            self.image_formats,
        )
        self.guests = spawn.Guests(
            engine=self.engine,
            images=self.images,
            host=self._host,
            pids_limit=CONF.nova_multi.pids_limit,
            folder_of=self._folder_of,
            remove_folder=self._remove_folder,
            wait_for_ports=self._wait_for_ports,
            bound_ports=lambda instance: self.bound_ports(instance),
        )
        #: See spawn.Guests; set by the manager, which has Nova's client of Neutron.
        self.bound_ports: Callable[[Any], Sequence[Any] | None] = spawn.none_known
        self._status = host_module.ServiceStatus(self._host, virtapi)
        self._node_uuid: str | None = None

    def make_engine(self) -> Engine:
        """The engine, from this service's configuration."""
        raise NotImplementedError

    # -- host -----------------------------------------------------------------

    def init_host(self, host: str) -> None:
        info = host_module.wait_for_engine(
            self.engine, CONF.nova_multi.engine_poll_interval
        )
        self.images.clean_staging()
        reconcile.Host(
            self._host, self.engine, CONF.instances_path, self._remove_folder
        ).reconcile()
        LOG.info(
            "%s %s, storage %s (%s disk limits), %d guests of ours; %s",
            info.name,
            ".".join(str(part) for part in info.version),
            info.storage,
            "with" if info.disk_limits else "without",
            len(self.engine.guests()),
            ", ".join(f"{k}={v}" for k, v in sorted(info.settings.items())),
        )

    def get_available_nodes(self, refresh: bool = False) -> list[str]:
        return [self._host]

    def get_nodenames_by_uuid(self, refresh: bool = False) -> dict[str, str]:
        if self._node_uuid is None:
            self._node_uuid = str(virt_node.get_local_node_uuid())
        return {self._node_uuid: self._host}

    def get_available_resource(self, nodename: str) -> dict[str, Any]:
        info = self._engine_info()
        measured = capacity.measure(info, CONF.nova_multi.share)
        return capacity.available_resource(measured, info, nodename)

    def update_provider_tree(
        self, provider_tree: Any, nodename: str, allocations: Any = None
    ) -> None:
        info = self._engine_info()
        present = provider_tree.data(nodename).inventory
        share = CONF.nova_multi.share
        reserved = {
            orc.VCPU: CONF.reserved_host_cpus,
            orc.MEMORY_MB: CONF.reserved_host_memory_mb,
            orc.DISK_GB: self._get_reserved_host_disk_gb_from_config(),
        }
        provider_tree.update_inventory(
            nodename,
            capacity.inventory(
                capacity.measure(info, share),
                capacity.allocation_ratios(present, CONF, share),
                reserved,
            ),
        )
        wanted, unwanted = capacity.traits(info)
        provider_tree.add_traits(nodename, *wanted)
        provider_tree.remove_traits(nodename, *unwanted)

    def _engine_info(self) -> EngineInfo:
        try:
            info = self.engine.info()
        except exception.EngineError as error:
            self._status.report(f"{self.hypervisor_type} does not answer: {error}")
            raise nova_exception.HypervisorUnavailable(str(error)) from error
        self._status.report(None)
        return info

    def get_host_uptime(self) -> str:
        return host_module.uptime()

    def get_host_ip_addr(self) -> str:
        return str(CONF.my_ip)

    # -- what is there --------------------------------------------------------

    def list_instances(self) -> list[str]:
        return [guest.name for guest in self.engine.guests()]

    def list_instance_uuids(self) -> list[str]:
        return [guest.uuid for guest in self.engine.guests()]

    def get_num_instances(self) -> int:
        return len(self.engine.guests())

    def instance_exists(self, instance: Any) -> bool:
        try:
            self.engine.guest(instance.uuid)
        except exception.GuestNotFound:
            return False
        return True

    def get_info(self, instance: Any, use_cache: bool = True) -> Any:
        guest = self._guest(instance)
        return hardware.InstanceInfo(
            state=NOVA_STATES[guest.state], internal_id=guest.name
        )

    def _guest(self, instance: Any) -> ContainerState:
        with _translated(instance):
            return self.engine.guest(instance.uuid)

    def get_console_output(self, context: Any, instance: Any) -> bytes:
        try:
            with _translated(instance):
                return self.engine.console(instance.uuid, MAX_CONSOLE_BYTES)
        except nova_exception.HypervisorUnavailable as error:
            # A conflict that the user may try again, where the other would be a 500.
            raise nova_exception.InstanceNotReady(instance_id=instance.uuid) from error

    # -- life -----------------------------------------------------------------

    def spawn(
        self,
        context: Any,
        instance: Any,
        image_meta: Any,
        injected_files: Any,
        admin_password: str | None,
        allocations: Any,
        network_info: Any = None,
        block_device_info: Any = None,
        power_on: bool = True,
        accel_info: Any = None,
    ) -> None:
        self.guests.boot(
            spawn.Request(
                context,
                instance,
                image_meta,
                injected_files,
                admin_password,
                network_info,
                power_on,
            )
        )

    def destroy(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        destroy_disks: bool = True,
        destroy_secrets: bool = True,
    ) -> None:
        if destroy_disks:
            with _translated(instance):
                self.engine.remove(instance.uuid)
        else:
            # The root file system lives in the engine: keep it, end what runs.
            self._stop_if_there(instance)
        self.cleanup(context, instance, network_info, destroy_disks=destroy_disks)

    def cleanup(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        destroy_disks: bool = True,
        migrate_data: Any = None,
        destroy_vifs: bool = True,
        destroy_secrets: bool = True,
    ) -> None:
        if destroy_vifs:
            self.unplug_vifs(instance, network_info)
        if destroy_disks:
            self._remove_folder(instance)

    def reboot(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        reboot_type: str,
        block_device_info: Any = None,
        bad_volumes_callback: Any = None,
        accel_info: Any = None,
        share_info: Any = None,
    ) -> None:
        with _translated(instance, nova_exception.InstanceRebootFailure):
            if reboot_type == "SOFT":
                try:
                    self.engine.restart(instance.uuid, CONF.nova_multi.stop_timeout)
                    return
                except exception.EngineConflict as error:
                    LOG.info("Rebooting hard: %s", error, instance=instance)
            self.engine.stop(instance.uuid, 0)
            self.guests.start(instance, network_info)

    def power_off(
        self, instance: Any, timeout: int = 0, retry_interval: int = 0
    ) -> None:
        with _translated(instance):
            self.engine.stop(instance.uuid, timeout)

    def power_on(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        accel_info: Any = None,
        share_info: Any = None,
    ) -> None:
        with _translated(instance, nova_exception.InstancePowerOnFailure):
            self.guests.start(instance, network_info)

    def resume_state_on_host_boot(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        share_info: Any,
        block_device_info: Any = None,
    ) -> None:
        self.power_on(context, instance, network_info)

    def pause(self, instance: Any) -> None:
        with _translated(instance):
            self.guests.pause(instance)

    def unpause(self, instance: Any) -> None:
        with _translated(instance):
            self.guests.unpause(instance)

    def check_can_live_migrate_destination(
        self,
        context: Any,
        instance: Any,
        src_compute_info: Any,
        dst_compute_info: Any,
        block_migration: bool = False,
        disk_over_commit: bool = False,
    ) -> Any:
        # Refused here, before the conductor has bound a port anywhere.
        raise nova_exception.MigrationPreCheckError(
            reason=f"{self.hypervisor_type} containers can't be migrated live"
        )

    # -- network --------------------------------------------------------------

    def plug_vifs(self, instance: Any, network_info: Any) -> None:
        try:
            self.guests.heal_network(instance, network_info)
        except (exception.NovaMultiError, OSError) as error:
            # Asked for at the start of the service: any other error than this would
            # keep the whole service from starting, for the sake of one server.
            raise nova_exception.VirtualInterfacePlugException(str(error)) from error

    def unplug_vifs(self, instance: Any, network_info: Any) -> None:
        self.guests.unplug(instance, network_info)

    def attach_interface(
        self, context: Any, instance: Any, image_meta: Any, vif: Any
    ) -> None:
        try:
            self.guests.attach(instance, vif)
        except exception.NovaMultiError as error:
            LOG.exception("Attaching port %s failed", vif["id"], instance=instance)
            raise nova_exception.InterfaceAttachFailed(
                instance_uuid=instance.uuid
            ) from error

    def detach_interface(self, context: Any, instance: Any, vif: Any) -> None:
        try:
            self.guests.detach(instance, vif)
        except exception.NovaMultiError as error:
            LOG.exception("Detaching port %s failed", vif["id"], instance=instance)
            raise nova_exception.InterfaceDetachFailed(
                instance_uuid=instance.uuid
            ) from error

    def _wait_for_ports(self, instance: Any, network_info: Any) -> Any:
        return events.ports_connected(
            self.virtapi,
            instance,
            network_info,
            timeout=CONF.vif_plugging_timeout,
            fatal=CONF.vif_plugging_is_fatal,
        )

    # -- images ---------------------------------------------------------------

    def snapshot(
        self, context: Any, instance: Any, image_id: str, update_task_state: Any
    ) -> None:
        update_task_state(task_state=task_states.IMAGE_PENDING_UPLOAD)
        with _translated(instance):
            self.images.export(
                context,
                instance.uuid,
                image_id,
                before_upload=lambda: update_task_state(
                    task_state=task_states.IMAGE_UPLOADING,
                    expected_state=task_states.IMAGE_PENDING_UPLOAD,
                ),
            )

    def cache_image(self, context: Any, image_id: str) -> bool:
        return self.images.cache(context, image_id)

    def manage_image_cache(self, context: Any, all_instances: Any) -> None:
        if not CONF.image_cache.remove_unused_base_images:
            return
        used = {i.image_ref for i in all_instances if i.host == self._host}
        age = CONF.image_cache.remove_unused_original_minimum_age_seconds
        self.images.evict(used, age)

    # -- folders --------------------------------------------------------------

    def delete_instance_files(self, instance: Any) -> bool:
        self._remove_folder(instance)
        return not os.path.exists(self._folder_of(instance))

    @staticmethod
    def _folder_of(instance: Any) -> str:
        return os.path.join(CONF.instances_path, instance.uuid)

    def _remove_folder(self, instance: Any) -> None:
        folder = self._folder_of(instance)
        if os.path.lexists(folder):
            privsep_files.remove_tree(folder)

    def _stop_if_there(self, instance: Any) -> None:
        try:
            self.power_off(instance)
        except nova_exception.InstanceNotFound:
            LOG.warning("Nothing to stop: no such guest", instance=instance)
