# SPDX-License-Identifier: Apache-2.0
"""Who may do what with groups."""

from __future__ import annotations

from oslo_policy import policy

from nova_multi.api.policies.base import ADMIN, usual


def list_rules() -> list[policy.RuleDefault]:
    """The rules for groups."""
    return [
        *usual("group", "groups", ADMIN, ADMIN),
    ]
