# SPDX-License-Identifier: Apache-2.0
"""Amounts of memory and disk."""

import pytest

from nova_multi.domain import sizes
from nova_multi.domain.errors import Invalid


@pytest.mark.parametrize(
    "value, unit, mb",
    [
        (512, "MB", 512),
        (2, "GB", 2048),
        (1.5, "GB", 1536),
        (0.1, "GB", 103),
        ("2", "GB", 2048),
        ("2", "MB", 2),
        ("2GB", "MB", 2048),
        ("2 gb", "MB", 2048),
        (" 2G ", "MB", 2048),
        ("2GiB", "MB", 2048),
        ("512mb", "GB", 512),
        ("0.5GB", "MB", 512),
        ("1TB", "MB", 1048576),
        (2**31 - 1, "MB", 2**31 - 1),
    ],
)
def test_sizes(value, unit, mb):
    assert sizes.parse_size(value, unit) == mb


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1,
        -0.5,
        -(10**5000),
        True,
        None,
        [],
        float("nan"),
        float("inf"),
        1e300,
        2**31,
        10**5000,
        "",
        "GB",
        "-2GB",
        "0GB",
        "2KB",
        "2 2",
        "1e3",
        "٢",
        "2GB\n1",
        "9" * 12 + "TB",
        "1" * 100_000,
    ],
    # Python does not write out the long ones.
    ids=lambda value: type(value).__name__,
)
def test_no_sizes(value):
    with pytest.raises(Invalid) as caught:
        sizes.parse_size(value, "MB", field="memory")
    assert caught.value.field == "memory"
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    "mb, text", [(2048, "2GB"), (512, "512MB"), (1536, "1536MB"), (0, "0MB")]
)
def test_formatting(mb, text):
    assert sizes.format_size(mb) == text
    if mb:
        assert sizes.parse_size(text, "GB") == mb


@pytest.mark.parametrize("mb, gb", [(1, 1), (1024, 1), (1025, 2), (0, 0)])
def test_whole_gb(mb, gb):
    assert sizes.whole_gb(mb) == gb
