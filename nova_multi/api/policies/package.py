# SPDX-License-Identifier: Apache-2.0
"""Who may do what with packages in guests."""

from __future__ import annotations

from oslo_policy import policy

from nova_multi.api.policies.base import MEMBER, rule


def list_rules() -> list[policy.RuleDefault]:
    """The rules for packages."""
    return [
        rule(
            "multi:package:install",
            MEMBER,
            "Install packages in instances.",
            ("POST", "/packages/install_packages"),
            ("POST", "/packages"),
        ),
        rule(
            "multi:package:upgrade",
            MEMBER,
            "Upgrade packages in instances.",
            ("PUT", "/packages/upgrade_packages"),
            ("PUT", "/packages"),
        ),
        rule(
            "multi:package:remove",
            MEMBER,
            "Remove packages from instances.",
            ("POST", "/packages/remove_packages"),
            ("DELETE", "/packages"),
        ),
    ]
