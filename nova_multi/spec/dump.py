# SPDX-License-Identifier: Apache-2.0
"""A definition as plain data, as it is sent and stored."""

from __future__ import annotations

from typing import Any

from nova_multi.domain.definition import Definition


def dump(definition: Definition) -> dict[str, Any]:
    """What JSON can say and :func:`~nova_multi.spec.load_dict` reads back, all equal."""
    raise NotImplementedError
