# SPDX-License-Identifier: Apache-2.0
"""``nova-multi-manage``."""

import pytest

from nova_multi.cmd import manage
from nova_multi.domain import times
from nova_multi.provision.sealing import Seal
from nova_multi.provision.store import Record, Store


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
    assert run("db", "version") == (0, "no tables (to be applied: 0001, 0002)\n", "")
    assert run("db", "sync") == (0, "database is at 0002: applied 0001, 0002\n", "")
    assert run("db", "sync") == (0, "database is at 0002: nothing to do\n", "")
    assert run("db", "version") == (0, "0002 (up to date)\n", "")


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


def test_a_key_and_sealing_anew(run, tmp_path):
    code, key, err = run("secrets", "key")
    assert (code, err) == (0, "")
    old, new = Seal([key.strip()]), key_of(run)
    run("db", "sync")
    store = Store(f"sqlite:///{tmp_path}/s3cr3t.sqlite")
    now = times.now()
    sealed = {"sealed": old.close('{"a": {"value": "x", "version": 1}}')}
    store.add_record(Record("secrets", "u", "inputs", now, now, data=sealed))
    path = tmp_path / "nova-multi.conf"
    before = path.read_text()
    code, _, err = run("secrets", "rotate")
    assert code == 1
    assert "no key" in err
    path.write_text(f"{before}[secrets]\nfernet_keys = {new}\n")
    code, _, err = run("secrets", "rotate")
    assert code == 1
    assert "the key that sealed it" in err
    path.write_text(f"{before}[secrets]\nfernet_keys = {new},{key}\n")
    assert run("secrets", "rotate") == (0, "1 records were sealed anew\n", "")
    found = store.record("secrets", "u").data
    store.close()
    assert "x" in Seal([new]).open(found["sealed"])


def key_of(run):
    return run("secrets", "key")[1].strip()
