# SPDX-License-Identifier: Apache-2.0
"""Who may do what with environments."""

from __future__ import annotations

from oslo_policy import policy

from nova_multi.api.policies.base import ADMIN, MEMBER, OPERATOR, READER, rule, usual


def list_rules() -> list[policy.RuleDefault]:
    """The rules for environments."""
    return [
        *usual("environment", "environments", READER, MEMBER),
        rule(
            "multi:environment:limits",
            OPERATOR,
            "Give limits to an environment.",
            ("POST", "/environments"),
            ("PUT", "/environments/{name}"),
        ),
        rule(
            "multi:environment:users",
            OPERATOR,
            "Name the users of an environment.",
            ("POST", "/environments"),
            ("PUT", "/environments/{name}"),
        ),
        rule(
            "multi:environment:hosts",
            ADMIN,
            "List the hosts that an environment may use.",
            ("GET", "/environments/{name}/hosts"),
        ),
        rule(
            "multi:environment:partition",
            READER,
            "Show the partition of an environment.",
            ("GET", "/environments/{name}/partition"),
        ),
        rule(
            "multi:environment:plan",
            READER,
            "Tell what applying a definition would do.",
            ("POST", "/environments/plan"),
        ),
        rule(
            "multi:environment:define",
            MEMBER,
            "Store what is to stand in an environment.",
            ("PUT", "/environments/{name}/definition"),
        ),
        rule(
            "multi:environment:apply",
            MEMBER,
            "Make an environment as its definition says.",
            ("POST", "/environments/{name}/apply"),
        ),
        rule(
            "multi:environment:destroy",
            MEMBER,
            "Delete what stands in an environment.",
            ("POST", "/environments/{name}/destroy"),
        ),
        rule(
            "multi:environment:outputs",
            READER,
            "Show the outputs of a definition.",
            ("GET", "/environments/{name}/outputs"),
        ),
        rule(
            "multi:environment:usage",
            READER,
            "Show what an environment has used.",
            ("GET", "/environments/{name}/usage"),
        ),
    ]
