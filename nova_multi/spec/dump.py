# SPDX-License-Identifier: Apache-2.0
"""A definition as plain data, as it is sent and stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_multi.domain.definition import (
    Definition,
    ImageDefinition,
    Input,
    InstanceDefinition,
    NetworkDefinition,
    ProvisionerDefinition,
    Template,
)
from nova_multi.spec import templates
from nova_multi.spec.hours import dump_schedule


def dump(definition: Definition) -> dict[str, Any]:
    """What JSON can say and :func:`~nova_multi.spec.load_dict` reads back, all equal.

    What an input was given stands in the places where it is used; a secret is nowhere.
    """
    found: dict[str, Any] = {"name": definition.name}
    found |= _given(partition=definition.partition, description=definition.description)
    if definition.users is not None:
        found["users"] = list(definition.users)
    if definition.schedule is not None:
        found["schedule"] = dump_schedule(definition.schedule)
    return found | _given(
        inputs={name: _input(each) for name, each in definition.inputs.items()},
        networks={name: _network(each) for name, each in definition.networks.items()},
        images={name: _image(each) for name, each in definition.images.items()},
        provisioners={
            name: _provisioner(each) for name, each in definition.provisioners.items()
        },
        instances={
            name: _instance(each) for name, each in definition.instances.items()
        },
        outputs=_templates(definition.outputs),
    )


def _given(**fields: Any) -> dict[str, Any]:
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value not in ("", {}, [])}


def _amounts(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _text(text: str) -> str:
    return templates.write_text(text)


def _texts(texts: tuple[str, ...]) -> list[str]:
    return [_text(text) for text in texts]


def _templates(found: Mapping[str, Template]) -> dict[str, str]:
    return {name: templates.write(each) for name, each in found.items()}


def _input(each: Input) -> dict[str, Any]:
    found: dict[str, Any] = {"type": str(each.type)}
    found |= _given(description=each.description, choices=list(each.choices))
    if each.default is not None:
        found["default"] = each.default
    if each.generate:
        found |= {"generate": str(each.generate), "secret": each.secret}
    elif each.secret:
        found["secret"] = True
    if each.length != Input("").length:
        found["length"] = each.length
    return found | _amounts(minimum=each.minimum, maximum=each.maximum)


def _network(each: NetworkDefinition) -> dict[str, Any]:
    found = _given(cidr=each.cidr or "", dhcp=each.dhcp, dns=list(each.dns))
    return found if each.routed else {**found, "routed": False}


def _image(each: ImageDefinition) -> dict[str, Any]:
    return _given(
        source=_text(each.source),
        download_url=_text(each.download_url),
        file=_text(each.file),
        instance=_text(each.instance),
        type=each.type,
        checksum=each.checksum,
        os=_text(each.os),
        version=_text(each.version),
        architecture=each.architecture,
        properties={key: _text(value) for key, value in each.properties.items()},
    )


def _size(each: ProvisionerDefinition | InstanceDefinition) -> dict[str, Any]:
    return _amounts(
        driver=None if each.driver is None else str(each.driver),
        cpus=each.cpus,
        memory=each.memory_mb,
        hdsize=None if each.disk_mb is None else f"{each.disk_mb}MB",
    )


def _provisioner(each: ProvisionerDefinition) -> dict[str, Any]:
    return {
        **_given(description=_text(each.description), image=_text(each.image)),
        **_size(each),
        **_given(
            script=each.script,
            builder=_text(each.builder),
            ref=_text(each.ref),
            executor=each.executor,
            tag=_text(each.tag),
            depends=_texts(each.depends),
            variables=_templates(each.variables),
        ),
        **_amounts(timeout=each.timeout),
    }


def _instance(each: InstanceDefinition) -> dict[str, Any]:
    return {
        **({} if each.count == 1 else {"count": each.count}),
        **_given(image=_text(each.image), provisioner=_text(each.provisioner)),
        **_size(each),
        **_given(
            description=_text(each.description),
            host_type=str(each.host_type or ""),
            publish=[str(port) for port in each.publish],
            networks=_texts(each.networks),
            tags=_texts(each.tags),
            variables=_templates(each.variables),
            depends_on=_texts(each.depends_on),
        ),
    }
