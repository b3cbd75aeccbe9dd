# SPDX-License-Identifier: Apache-2.0
"""Who may do what with users."""

from __future__ import annotations

from oslo_policy import policy

from nova_multi.api.policies.base import ADMIN, usual


def list_rules() -> list[policy.RuleDefault]:
    """The rules for users."""
    return [
        *usual("user", "users", ADMIN, ADMIN),
    ]
