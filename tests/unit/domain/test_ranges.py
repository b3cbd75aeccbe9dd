# SPDX-License-Identifier: Apache-2.0
"""Ranges of addresses."""

import pytest

from nova_multi.domain import ranges


@pytest.mark.parametrize(
    "text", ["", "10.0.0.1", "10.0.0.9-10.0.0.1", "a-b", "::1-::2"]
)
def test_what_is_no_span(text):
    with pytest.raises(ValueError):
        ranges.span_of(text)


def test_spans():
    assert ranges.span_of("10.0.0.1 - 10.0.0.9") == ("10.0.0.1", "10.0.0.9")
    assert ranges.all_of("10.0.0.0/29", routed=True) == ("10.0.0.2", "10.0.0.6")
    assert ranges.all_of("10.0.0.0/29", routed=False) == ("10.0.0.1", "10.0.0.6")


@pytest.mark.parametrize(
    ("cidr", "routed", "told"),
    [
        ("10.0.0.0/24", False, ""),
        ("10.0.0.0/24", True, "10.0.0.1 is the router's"),
        ("10.0.1.0/24", False, "10.0.0.1 is not in"),
        ("10.0.0.0/28", False, "10.0.0.20 is not in"),
        ("fd00::/64", False, "has no IPv4"),
    ],
)
def test_spans_of_a_range(cidr, routed, told):
    found = ranges.span_problem("10.0.0.1-10.0.0.20", cidr, routed=routed)
    assert told in found if told else not found


def test_overlaps():
    assert ranges.overlap("10.0.0.0/8", "10.9.0.0/24")
    assert not ranges.overlap("10.0.0.0/24", "10.0.1.0/24")
    assert not ranges.overlap("10.0.0.0/8", "fd00::/8")
    assert ranges.overlap("fd00::/8", "fd00:1::/64")


def test_the_first_that_is_free():
    assert ranges.free("10.0.0.0/22", []) == "10.0.0.0/24"
    assert ranges.free("10.0.0.0/22", ["10.0.0.128/25", "10.0.1.0/24"]) == "10.0.2.0/24"
    assert ranges.free("10.0.0.0/22", ["10.0.0.0/8"]) is None
    assert ranges.free("10.0.0.0/28", []) == "10.0.0.0/28"
