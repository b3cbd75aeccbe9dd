# SPDX-License-Identifier: Apache-2.0
"""What Nova knows of a server, as a specification for an engine. Pure functions."""

from __future__ import annotations

import shlex
from typing import Any

from nova_multi import exception
from nova_multi.virt.engine import (
    CONFIG_DRIVE_DIRECTORY,
    GUEST_DIRECTORY,
    LABEL_HOST,
    LABEL_IMAGE,
    LABEL_NAME,
    LABEL_UUID,
    ContainerSpec,
    ImageKey,
    Mount,
)

#: Flavor extra spec that overrides ``[nova_multi] pids_limit``.
PIDS_EXTRA_SPEC = "nova_multi:pids_limit"


def command(image_meta: Any) -> tuple[str, ...]:
    """Command that takes the place of the image's own (``os_command_line``).

    :raises ImageRejected: it can't be split into words.
    """
    line = image_meta.properties.get("os_command_line") or ""
    try:
        return tuple(shlex.split(line))
    except ValueError as error:
        raise exception.ImageRejected(
            f"image property os_command_line {line!r}: {error}"
        ) from error


def pids(extra_specs: dict[str, str], default: int) -> int:
    """Limit of processes for a flavor.

    :raises ConfigurationError: the extra spec is no positive number.
    """
    value = extra_specs.get(PIDS_EXTRA_SPEC)
    if value is None:
        return default
    if not value.isdecimal() or int(value) < 1:
        raise exception.ConfigurationError(
            f"flavor extra spec {PIDS_EXTRA_SPEC}={value!r} is no positive number"
        )
    return int(value)


def labels(instance: Any, host: str, image_id: str) -> dict[str, str]:
    """Marks by which the guest is known as ours, and as whose."""
    return {
        LABEL_UUID: instance.uuid,
        LABEL_HOST: host,
        LABEL_NAME: instance.name,
        LABEL_IMAGE: image_id,
    }


def container_spec(
    instance: Any,
    image_meta: Any,
    key: ImageKey,
    *,
    host: str,
    pids_limit: int,
    bootstrap: str | None = None,
    guest_folder: str | None = None,
    config_drive: str | None = None,
) -> ContainerSpec:
    """Everything that the engine must know to create the guest of ``instance``.

    :param host: the compute service's host name.
    :param pids_limit: for flavors that say nothing.
    :param bootstrap: path in the guest, with ``guest_folder`` mounted for it.
    :param config_drive: folder on the host with the configuration drive's files.
    """
    flavor = instance.flavor
    mounts = []
    if guest_folder:
        mounts.append(Mount(guest_folder, GUEST_DIRECTORY))
    if config_drive:
        mounts.append(Mount(config_drive, CONFIG_DRIVE_DIRECTORY))
    return ContainerSpec(
        uuid=instance.uuid,
        name=instance.name,
        hostname=instance.hostname,
        image=key,
        vcpus=flavor.vcpus,
        memory_mb=flavor.memory_mb,
        disk_gb=flavor.root_gb,
        pids=pids(flavor.extra_specs, pids_limit),
        command=command(image_meta),
        bootstrap=bootstrap,
        mounts=tuple(mounts),
        labels=labels(instance, host, key.image_id),
    )
