# SPDX-License-Identifier: Apache-2.0
"""Who may do what with partitions."""

from __future__ import annotations

from oslo_policy import policy

from nova_multi.api.policies.base import OPERATOR, rule, usual


def list_rules() -> list[policy.RuleDefault]:
    """The rules for partitions."""
    return [
        *usual("partition", "partitions", OPERATOR, OPERATOR),
        rule(
            "multi:partition:hosts",
            OPERATOR,
            "List the hosts of a partition.",
            ("GET", "/partitions/{name}/hosts"),
        ),
        rule(
            "multi:partition:add_host",
            OPERATOR,
            "Put a host into a partition.",
            ("PUT", "/partitions/{name}/host/{hostname}"),
        ),
        rule(
            "multi:partition:remove_host",
            OPERATOR,
            "Take a host out of a partition.",
            ("DELETE", "/partitions/{name}/host/{hostname}"),
        ),
    ]
