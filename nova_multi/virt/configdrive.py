# SPDX-License-Identifier: Apache-2.0
"""A container's configuration drive: the same tree as a virtual machine's, as a folder.

Mounted where cloud-init's ConfigDrive data source looks before it looks for a device.
"""

from __future__ import annotations

import os
import shutil
from typing import Any

from nova.api.metadata import base as instance_metadata
from nova.virt import configdrive as nova_configdrive


def required(instance: Any) -> bool:
    """Whether the server, its image or the operator asks for a configuration drive."""
    return bool(nova_configdrive.required_by(instance))


def write(
    folder: str,
    instance: Any,
    injected_files: Any,
    admin_password: str | None,
    network_info: Any,
) -> None:
    """Write the drive's files below ``folder``, which is made anew, for root only."""
    extra = {"admin_pass": admin_password} if admin_password else {}
    metadata = instance_metadata.InstanceMetadata(
        instance,
        content=injected_files,
        extra_md=extra,
        network_info=network_info,
    )
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, mode=0o700)
    for path, data in metadata.metadata_for_config_drive():
        target = os.path.join(folder, path)
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        content = data.encode() if isinstance(data, str) else data
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
