# SPDX-License-Identifier: Apache-2.0
"""Who may have what guests are given."""

from __future__ import annotations

from oslo_policy import policy

from nova_multi.api.policies.base import METADATA, rule


def list_rules() -> list[policy.RuleDefault]:
    """The rule for dynamic vendordata."""
    return [
        rule(
            "multi:vendordata:answer",
            METADATA,
            "Be told what guests are given, secrets included.",
            ("POST", "/vendordata"),
        ),
    ]
