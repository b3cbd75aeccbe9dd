# SPDX-License-Identifier: Apache-2.0
"""Names and patterns."""

import pytest

from nova_multi.domain.errors import Invalid
from nova_multi.domain.names import Kind, Pattern, check_name, is_id


@pytest.mark.parametrize(
    "kind, name",
    [
        ("partition", "development_co"),
        ("environment", "development"),
        ("instance", "w"),
        ("instance", "grid-1.example"),
        ("instance", "a" * 63),
        ("image", "ubuntu_server_14.04.2_amd64"),
        ("host", "host-01-pdn"),
        ("file", ".bashrc"),
        ("file", "my site.sh"),
        ("user", "alice@example.org"),
        ("group", "web developers"),
    ],
)
def test_names_that_are_possible(kind, name):
    assert check_name(kind, name) == name


@pytest.mark.parametrize(
    "kind, name",
    [
        ("instance", ""),
        ("instance", None),
        ("instance", 5),
        ("instance", "a" * 64),
        ("instance", "web*"),
        ("instance", "web[1:2]"),
        ("instance", "a/b"),
        ("instance", "-a"),
        ("instance", "a-"),
        ("instance", "a b"),
        ("instance", "wéb"),
        ("instance", "web\n"),
        ("instance", "wеb"),  # Cyrillic
        ("instance", "１"),  # a digit, but not ASCII
        ("file", ".."),
        ("file", "."),
        ("file", "a/b"),
        ("file", "a\0b"),
        ("file", " a"),
        ("user", "alice "),
        ("image", "00000000-0000-0000-0000-00000000000a"),
        ("partition", "0123456789abcdef0123456789ABCDEF"),
    ],
)
def test_names_that_are_not(kind, name):
    with pytest.raises(Invalid) as caught:
        check_name(kind, name, field="x")
    assert caught.value.field == "x"


def test_plurals_are_routes():
    assert {kind.plural for kind in Kind} >= {"environments", "instances", "files"}


def test_ids():
    assert is_id("0123456789abcdef0123456789abcdef")
    assert is_id("00000000-0000-0000-0000-00000000000A")
    assert not is_id("0123456789abcdef0123456789abcdefa")
    assert not is_id("web")


@pytest.mark.parametrize(
    "text, names",
    [
        ("web", ["web"]),
        ("grid_[1:3]", ["grid_1", "grid_2", "grid_3"]),
        ("db[1-3]", ["db1", "db2", "db3"]),
        ("n[08:11]", ["n08", "n09", "n10", "n11"]),
        ("[1:2]", ["1", "2"]),
        ("a[1:2]-[3-4]b", ["a1-3b", "a1-4b", "a2-3b", "a2-4b"]),
        ("x[7:7]", ["x7"]),
    ],
)
def test_ranges_expand_to_what_they_match(text, names):
    pattern = Pattern.parse(text)
    assert not pattern.is_open
    assert list(pattern.expand()) == names
    assert all(pattern.matches(name) for name in names)
    assert not any(pattern.matches(f"{name}0") for name in names)


@pytest.mark.parametrize(
    "text, name, fits",
    [
        ("web*", "web", True),
        ("web*", "web-1", True),
        ("web*", "aweb", False),
        ("*web", "aweb", True),
        ("*", "anything", True),
        ("w*b", "wb", True),
        ("w*b", "web", True),
        ("w*b", "webs", False),
        ("grid_[1:5]", "grid_5", True),
        ("grid_[1:5]", "grid_6", False),
        ("grid_[1:5]", "grid_05", False),
        ("grid_[1:5]", "grid_", False),
        ("grid_[01:5]", "grid_5", False),
        ("grid_[01:5]", "grid_05", True),
        ("grid_[1:5]", "grid_٣", False),  # a digit, but not ASCII
        # Only one way of sharing the digits fits.
        ("a*[12:12]", "a12", True),
        ("a*[12:12]", "a312", True),
        ("a*[12:12]", "a121", False),
        ("[1:20][1:9]", "199", True),
        ("web", "Web", False),
    ],
)
def test_matching(text, name, fits):
    assert Pattern.parse(text).matches(name) is fits


def test_an_open_pattern_makes_no_names():
    pattern = Pattern.parse("web*")
    assert pattern.is_open
    with pytest.raises(Invalid, match="web"):
        pattern.expand()


@pytest.mark.parametrize(
    "text",
    [
        "",
        None,
        7,
        "a" * 256,
        "web[5:1]",
        "web[1:]",
        "web[a:b]",
        "web]",
        "web[1:10001]",
        "[1:200][1:200]",
        "we/b",
        "web?",
    ],
)
def test_bad_patterns(text):
    with pytest.raises(Invalid) as caught:
        Pattern.parse(text, field="range")
    assert caught.value.field == "range"


def test_many_stars_are_no_trap():
    pattern = Pattern.parse("*a" * 60 + "*b")
    # Tried in every way, it would not come to an end.
    assert not pattern.matches("a" * 255)
