# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from nm import subids

TEXT = "root:1000000:1000000000\nnova-multi-guest:1500000000:65536\n"


@pytest.mark.parametrize(
    ("first", "there"), [(1_500_000_000, True), (1_600_000_000, False)]
)
def test_present(first: int, there: bool) -> None:
    assert subids.present(TEXT, "nova-multi-guest", first, first + 65535) is there


@pytest.mark.parametrize("first", [1_500_000_000, 1_500_000_001, 1_499_999_999])
def test_overlap_with_somebody_else(first: int) -> None:
    with pytest.raises(ValueError, match="nova-multi-guest has the ids"):
        subids.present(TEXT, "other", first, first + 65535)


def test_other_size_of_ones_own_range() -> None:
    with pytest.raises(ValueError, match="overlap"):
        subids.present(TEXT, "nova-multi-guest", 1_500_000_000, 1_500_000_099)


def test_nothing_there() -> None:
    assert not subids.present("", "x", 1, 2)


def test_added_once(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    ran: list[list[str]] = []
    kinds = {tmp_path / "subuid": ("--add-subuids", "--del-subuids")}
    monkeypatch.setattr(subids, "_KINDS", kinds)
    monkeypatch.setattr(subids.manifest, "record", lambda *a, **k: ran.append(["note"]))
    monkeypatch.setattr(subids.command, "run", ran.append)
    assert subids.ensure("user", 100, 10)
    # What is made is noted first.
    assert ran == [["note"], ["usermod", "--add-subuids", "100-109", "user"]]
    (tmp_path / "subuid").write_text("user:100:10\n")
    assert not subids.ensure("user", 100, 10)
