# SPDX-License-Identifier: Apache-2.0
"""``nova-multi-manage``."""

import pytest

from nova_multi.cmd import manage


@pytest.fixture
def run(tmp_path, capsys):
    """Runs a command with a configuration; exit code, output, errors."""
    path = tmp_path / "nova-multi.conf"
    path.write_text(f"[database]\nconnection = sqlite:///{tmp_path}/s3cr3t.sqlite\n")

    def run(*arguments, file=path):
        code = manage.main(["--config-file", str(file), *arguments])
        return code, *capsys.readouterr()

    return run


def test_sync_and_version(run):
    assert run("db", "version") == (0, "no tables (to be applied: 0001)\n", "")
    assert run("db", "sync") == (0, "database is at 0001: applied 0001\n", "")
    assert run("db", "sync") == (0, "database is at 0001: nothing to do\n", "")
    assert run("db", "version") == (0, "0001 (up to date)\n", "")


def test_no_database_is_configured(run, tmp_path):
    empty = tmp_path / "empty.conf"
    empty.touch()
    code, out, err = run("db", "sync", file=empty)
    assert (code, out) == (1, "")
    assert err.startswith("nova-multi-manage: error: no database: set connection")


def test_a_configuration_that_is_not_there(run, tmp_path):
    code, out, err = run("db", "sync", file=tmp_path / "none.conf")
    assert (code, out) == (1, "")
    assert "none.conf" in err


def test_a_url_that_can_not_be_used(run, tmp_path):
    path = tmp_path / "bad.conf"
    path.write_text("[database]\nconnection = nosuch://u:s3cr3t@h/d\n")
    code, out, err = run("db", "sync", file=path)
    assert (code, out) == (1, "")
    assert "connection can't be used" in err
    assert "s3cr3t" not in err


@pytest.mark.parametrize("arguments", [(), ("db",), ("db", "drop"), ("queue", "sync")])
def test_commands_that_are_none(run, arguments):
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    assert caught.value.code == 2
