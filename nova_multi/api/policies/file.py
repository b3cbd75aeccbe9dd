# SPDX-License-Identifier: Apache-2.0
"""Who may do what with files."""

from __future__ import annotations

from oslo_policy import policy

from nova_multi.api.policies.base import MEMBER, READER, rule, usual


def list_rules() -> list[policy.RuleDefault]:
    """The rules for files."""
    return [
        *usual("file", "files", READER, MEMBER),
        rule(
            "multi:file:content",
            READER,
            "Get the content of a file.",
            ("GET", "/file/{name}"),
        ),
    ]
