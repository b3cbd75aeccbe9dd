# SPDX-License-Identifier: Apache-2.0
"""Errors between the store and the workers; users never see them."""

from __future__ import annotations

from nova_multi.exception import NovaMultiError


class Fenced(NovaMultiError):
    """A task is no longer this worker's: it must leave the task alone at once."""
