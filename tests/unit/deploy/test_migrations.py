# SPDX-License-Identifier: Apache-2.0
"""Heads of migrations, read from their sources."""

from __future__ import annotations

from pathlib import Path

import pytest
from nm import migrations

FIRST = 'revision = "a1"\ndown_revision = None\n\n\ndef upgrade():\n    pass\n'
SECOND = "revision = 'b2'\ndown_revision = 'a1'\nbranch_labels = None\n"
THIRD = "revision: str = 'c3'\ndown_revision: str | None = 'b2'\n"


def test_the_last_of_a_chain_is_the_head() -> None:
    assert migrations.heads([THIRD, FIRST, SECOND]) == {"c3"}


def test_branches_have_a_head_each() -> None:
    other = 'revision = "d4"\ndown_revision = "a1"\nbranch_labels = ("contract",)\n'
    assert migrations.heads([FIRST, SECOND, other]) == {"b2", "d4"}


def test_a_merge_follows_all_its_parents() -> None:
    merge = 'revision = "m"\ndown_revision = (\n    "b2",\n    "d4",\n)\nx = None\n'
    other = 'revision = "d4"\ndown_revision = "a1"\n'
    assert migrations.heads([FIRST, SECOND, other, merge]) == {"m"}


def test_what_another_branch_depends_on_is_no_head() -> None:
    # Alembic's own table does not keep it either.
    expand = "revision = 'expand01'\ndown_revision = 'a1'\n"
    contract = (
        "revision = 'contract01'\ndown_revision = 'a1'\ndepends_on = 'expand01'\n"
    )
    assert migrations.heads([FIRST, expand, contract]) == {"contract01"}


def test_names_in_functions_are_not_taken() -> None:
    function = FIRST + '\n\ndef downgrade():\n    revision = "zz"\n'
    assert migrations.heads([function]) == {"a1"}


def test_a_folder_without_migrations_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="no migrations"):
        migrations.heads_below(tmp_path)


def test_migrations_are_found_in_folders_of_releases(tmp_path: Path) -> None:
    (tmp_path / "2026.2").mkdir()
    (tmp_path / "first.py").write_text(FIRST)
    (tmp_path / "2026.2" / "second.py").write_text(SECOND)
    assert migrations.heads_below(tmp_path) == {"b2"}
