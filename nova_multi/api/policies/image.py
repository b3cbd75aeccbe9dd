# SPDX-License-Identifier: Apache-2.0
"""Who may do what with images."""

from __future__ import annotations

from oslo_policy import policy

from nova_multi.api.policies.base import MEMBER, READER, usual


def list_rules() -> list[policy.RuleDefault]:
    """The rules for images."""
    return [
        *usual("image", "images", READER, MEMBER),
    ]
