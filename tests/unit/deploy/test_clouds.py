# SPDX-License-Identifier: Apache-2.0
"""Our clouds among others in clouds.yaml."""

from __future__ import annotations

import pytest
from nm import clouds

OURS = {"nova-multi": {"auth": {"username": "demo"}}}


@pytest.mark.parametrize("present", [None, {}, {"clouds": None}, {"clouds": {}}])
def test_a_file_without_clouds_gets_ours(present: object) -> None:
    assert clouds.merged(present, OURS) == {"clouds": OURS}


def test_other_clouds_and_settings_stay() -> None:
    present = {"clouds": {"mine": {"profile": "x"}}, "cache": {"expiration": 1}}
    assert clouds.merged(present, OURS) == {
        "clouds": {"mine": {"profile": "x"}, **OURS},
        "cache": {"expiration": 1},
    }


def test_an_old_entry_of_ours_is_replaced() -> None:
    present = {"clouds": {"nova-multi": {"auth": {"username": "old"}, "verify": False}}}
    assert clouds.merged(present, OURS) == {"clouds": OURS}


@pytest.mark.parametrize("present", ["text", ["clouds"], {"clouds": ["a"]}])
def test_what_is_no_clouds_file_is_refused(present: object) -> None:
    with pytest.raises(ValueError, match="mapping"):
        clouds.merged(present, OURS)


THEIRS = {"mine": {"profile": "x"}}


@pytest.mark.parametrize(
    ("present", "was", "left"),
    [
        # Nobody changed anything: what was there comes back byte for byte.
        ({"clouds": OURS}, None, None),
        ({"clouds": {**THEIRS, **OURS}}, {"clouds": THEIRS}, None),
        ({"clouds": OURS}, {"clouds": {"nova-multi": {"profile": "o"}}}, None),
        # Somebody added, removed or changed another one meanwhile.
        ({"clouds": {**OURS, **THEIRS}}, None, {"clouds": THEIRS}),
        ({"clouds": OURS}, {"clouds": THEIRS}, {"clouds": {}}),
        (
            {"clouds": {**OURS, **THEIRS}, "cache": {}},
            {"clouds": {"nova-multi": {"profile": "old"}}},
            {"clouds": {**THEIRS, "nova-multi": {"profile": "old"}}, "cache": {}},
        ),
        ({}, None, None),
    ],
)
def test_ours_are_taken_out_again(present: object, was: object, left: object) -> None:
    assert clouds.without(present, ["nova-multi"], was) == left
