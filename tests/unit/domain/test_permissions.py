# SPDX-License-Identifier: Apache-2.0
"""Permissions."""

import itertools

import pytest

from nova_multi.domain.errors import Invalid
from nova_multi.domain.permissions import Permissions

EVERY = list(itertools.product("rwx", ("owner", "group", "other")))


def test_omitted_is_public():
    public = Permissions.parse(None)
    assert str(public) == "rwxrwxrwx" == str(Permissions())
    assert all(public.allows(*pair) for pair in EVERY)


@pytest.mark.parametrize("place", range(9))
def test_each_letter_counts_alone(place):
    text = "".join(
        letter if at == place else "-" for at, letter in enumerate("rwxrwxrwx")
    )
    permissions = Permissions.parse(text)
    relation = ("owner", "group", "other")[place // 3]
    allowed = [pair for pair in EVERY if permissions.allows(*pair)]
    assert allowed == [("rwx"[place % 3], relation)]
    assert str(permissions) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rwx",
        "rwxrwxrw",
        "rwxrwxrwxr",
        "xwrxwrxwr",
        "RWXRWXRWX",
        "755",
        755,
        "rwx" * 999,
    ],
)
def test_malformed(text):
    with pytest.raises(Invalid) as caught:
        Permissions.parse(text)
    assert caught.value.field == "permissions"
