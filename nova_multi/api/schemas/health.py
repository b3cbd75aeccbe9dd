# SPDX-License-Identifier: Apache-2.0
"""The service's own state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from nova_multi.api.schemas.base import Answer
from nova_multi.provision.service import Backend


class BackendAnswer(Answer):
    """What was found of something that the service needs."""

    name: str
    healthy: bool
    message: str

    @classmethod
    def of(cls, value: Backend) -> Self:
        return cls(name=value.name, healthy=value.healthy, message=value.message)


class HealthAnswer(Answer):
    """Whether the service can work; it can if all that it needs is there."""

    healthy: bool
    backends: list[BackendAnswer]

    @classmethod
    def of(cls, value: Sequence[Backend]) -> Self:
        return cls(
            healthy=all(backend.healthy for backend in value),
            backends=[BackendAnswer.of(backend) for backend in value],
        )
