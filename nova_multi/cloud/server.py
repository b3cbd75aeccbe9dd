# SPDX-License-Identifier: Apache-2.0
"""Servers between our values and Nova's JSON; pure."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from nova_multi.cloud import marks, times
from nova_multi.cloud.values import (
    Action,
    ActionEvent,
    Fault,
    Flavor,
    NewServer,
    Server,
    ServerAddress,
)
from nova_multi.domain import errors

#: Nova's limit, of the encoded text.
USER_DATA_MAX = 65535


def pattern(name: str) -> str:
    """A name for Nova's filter, which takes regular expressions of the database's kind.

    It may fit others, too.
    """
    return "".join(c if c.isalnum() or c in "-_" else "." for c in name)


def request(new: NewServer, mark: marks.Mark) -> dict[str, Any]:
    """What to create, in openstacksdk's words.

    :raises Invalid: the user data is longer than Nova takes.
    """
    networks = [{"port": port} for port in new.ports]
    networks += [{"uuid": network} for network in new.networks]
    body: dict[str, Any] = {
        "name": new.name,
        "image_id": new.image_id,
        "flavor_id": new.flavor_id,
        "networks": networks or "none",
        "tags": list(mark.tags),
        "metadata": dict(new.metadata),
        "description": new.description,
        "config_drive": new.config_drive,
        "availability_zone": new.zone,
        "host": new.host,
    }
    if new.security_groups:
        body["security_groups"] = [{"name": name} for name in new.security_groups]
    if new.user_data:
        text = base64.b64encode(new.user_data).decode("ascii")
        if len(text) > USER_DATA_MAX:
            raise errors.Invalid(
                f"user data of server {new.name} takes {len(text)} bytes, encoded;"
                f" Nova takes {USER_DATA_MAX}",
                field="user_data",
            )
        body["user_data"] = text
    return {key: value for key, value in body.items() if value not in (None, {})}


def server_value(raw: Mapping[str, Any]) -> Server:
    """A server of an answer."""
    image, fault = raw.get("image"), raw.get("fault")
    return Server(
        id=raw["id"],
        name=raw["name"],
        status=raw.get("status") or "UNKNOWN",
        project_id=raw.get("tenant_id") or "",
        user_id=raw.get("user_id") or "",
        flavor=_flavor(raw.get("flavor") or {}),
        # Empty for a server that boots from a volume.
        image_id=image["id"] if image else None,
        host=raw.get("OS-EXT-SRV-ATTR:host"),
        hypervisor=raw.get("OS-EXT-SRV-ATTR:hypervisor_hostname"),
        task_state=raw.get("OS-EXT-STS:task_state"),
        vm_state=raw.get("OS-EXT-STS:vm_state"),
        created=times.read(raw.get("created")),
        updated=times.read(raw.get("updated")),
        addresses=tuple(_addresses(raw.get("addresses") or {})),
        metadata=dict(raw.get("metadata") or {}),
        tags=tuple(raw.get("tags") or ()),
        fault=Fault(
            code=int(fault.get("code") or 0),
            message=str(fault.get("message") or ""),
            at=times.read(fault.get("created")),
        )
        if fault
        else None,
    )


def _flavor(raw: Mapping[str, Any]) -> Flavor:
    return Flavor(
        id=str(raw.get("id") or ""),
        name=str(raw.get("original_name") or ""),
        cpus=int(raw.get("vcpus") or 0),
        memory_mb=int(raw.get("ram") or 0),
        disk_gb=int(raw.get("disk") or 0),
        extra_specs=dict(raw.get("extra_specs") or {}),
    )


def _addresses(raw: Mapping[str, list[dict[str, Any]]]) -> Iterable[ServerAddress]:
    for network, addresses in raw.items():
        for each in addresses:
            yield ServerAddress(
                network=network,
                address=each["addr"],
                version=each["version"],
                floating=each.get("OS-EXT-IPS:type") == "floating",
                mac=each.get("OS-EXT-IPS-MAC:mac_addr", ""),
            )


def action_value(raw: Mapping[str, Any]) -> Action:
    """An instance action of an answer."""
    return Action(
        name=raw["action"],
        request_id=raw["request_id"],
        start=times.read(raw.get("start_time")),
        updated=times.read(raw.get("updated_at")),
        message=raw.get("message"),
        user_id=raw.get("user_id"),
        events=tuple(
            ActionEvent(
                name=event["event"],
                start=times.read(event.get("start_time")),
                finish=times.read(event.get("finish_time")),
                result=event.get("result"),
                host=event.get("host"),
                details=event.get("details"),
            )
            for event in raw.get("events") or ()
        ),
    )
