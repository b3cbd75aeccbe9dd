# SPDX-License-Identifier: Apache-2.0
"""Who may read the properties of guests."""

from __future__ import annotations

from oslo_policy import policy

from nova_multi.api.policies.base import READER, rule


def list_rules() -> list[policy.RuleDefault]:
    """The rule for properties."""
    return [
        rule(
            "multi:property:list",
            READER,
            "Read properties of instances.",
            ("GET", "/properties"),
        ),
    ]
