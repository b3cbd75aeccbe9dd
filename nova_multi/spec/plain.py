# SPDX-License-Identifier: Apache-2.0
"""YAML that is no environment's file, as plain data."""

from __future__ import annotations

from typing import Any

from nova_multi.spec import yamltree
from nova_multi.spec.tree import BAD, Node, Report


def plain(text: str | bytes) -> Any:
    """The data of a document, which has no more nodes and levels than a file may have.

    :raises Invalid: it is no YAML, or too large; with line and column.
    """
    report = Report()
    root = yamltree.read(text, report)
    report.finish()
    return _value(root) if root is not None else None


def _value(node: Node) -> Any:
    # As deep as the reader lets a document be.
    value = node.value
    if value is BAD:
        return None
    if isinstance(value, dict):
        return {key: _value(entry.node) for key, entry in value.items()}
    if isinstance(value, list):
        return [_value(each) for each in value]
    return value
