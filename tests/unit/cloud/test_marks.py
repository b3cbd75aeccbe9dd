# SPDX-License-Identifier: Apache-2.0
"""Marks fit the limits of every service, and are read back."""

from __future__ import annotations

import pytest

from nova_multi.cloud import marks

UUID = "7d3f0a52-6f0e-4a5b-8c5e-3e1f0f7f9b11"


def test_tags():
    mark = marks.Mark(UUID, environment="e", more=(("instance", "i"),))
    assert mark.tags == (
        f"nova-multi:task={UUID}",
        "nova-multi:environment=e",
        "nova-multi:instance=i",
    )
    assert mark.description == mark.tags[0]
    assert marks.read([*mark.tags, "other", "nova-multi:odd", "task=x"]) == {
        "task": UUID,
        "environment": "e",
        "instance": "i",
    }


@pytest.mark.parametrize("key", ["task", "environment", "partition", "instance"])
def test_a_tag_fits_nova(key):
    tag = marks.tag(key, UUID)
    assert len(tag) <= 60
    assert not set(tag) & set(",/")
