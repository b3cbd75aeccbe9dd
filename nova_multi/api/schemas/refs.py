# SPDX-License-Identifier: Apache-2.0
"""Small objects that stand for others, as VirtShell wrote them."""

from __future__ import annotations

from nova_multi.api.schemas.base import Answer


class Named(Answer):
    """Something by its name."""

    name: str


class Username(Answer):
    """A user by name."""

    username: str


class Login(Answer):
    """A user by login."""

    login: str


class ProvisionerName(Answer):
    """A provisioner by name."""

    provisioner_name: str
