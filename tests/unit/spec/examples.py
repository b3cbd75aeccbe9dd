# SPDX-License-Identifier: Apache-2.0
"""A file for the tests, and what is wrong with others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from nova_multi import spec
from nova_multi.domain.errors import Invalid
from nova_multi.spec import Problem

SHOP = """\
name: shop
partition: development_co
inputs:
  domain: {type: string, default: shop.test}
  admin: {generate: password, length: 32}
  host_key: {generate: key}
provisioners:
  database: {script: {file: database.sh}}
  site: {builder: "https://git.example.org/site.git", ref: main, executor: sh run.sh}
networks:
  back: {cidr: 10.9.0.0/24, dns: [10.9.0.2], routed: false}
images:
  base: debian-12
instances:
  db:  {driver: lxd, image: base, cpus: 1, memory: 512, provisioner: database}
  web: {driver: docker, image: debian-12, count: 2, memory: 256, provisioner: site,
        publish: ["80"], depends_on: [db], tags: [front], networks: [back],
        variables: {DB: "${instances.db.address}", NAME: "${inputs.domain}",
                    PASSWORD: "${inputs.admin}"}}
outputs:
  url: "http://${instances.web[0].published[80]}/"
  key: "${inputs.host_key.public}"
"""
SCRIPTS = {"database.sh": "#!/bin/sh\necho ${HOME}\n"}


def problems(load: Callable[[], object]) -> list[Problem]:
    """All that is wrong, which must be something."""
    with pytest.raises(Invalid) as caught:
        load()
    found = list(Problem.of(caught.value))
    assert found and caught.value.message
    return found


def wrong(text: str, **more: Any) -> list[tuple[int | None, int | None, str, str]]:
    """Line, column, path and message of all that is wrong with a text."""
    return [
        (each.line, each.column, each.path, each.message)
        for each in problems(lambda: spec.load_text(text, **more))
    ]


def only(text: str, **more: Any) -> tuple[int | None, int | None, str, str]:
    """The one thing that is wrong with a text."""
    (found,) = wrong(text, **more)
    return found


def load(text: str, **values: object) -> Any:
    """A definition, with values of its inputs."""
    return spec.load_text(text, values=values, read_file=SCRIPTS.__getitem__)


def shop(values: Mapping[str, object] | None = None) -> Any:
    """The example's definition."""
    return load(SHOP, **dict(values or {}))
