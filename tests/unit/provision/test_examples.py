# SPDX-License-Identifier: Apache-2.0
"""Examples of scripts for provisioners, run here as a guest runs them."""

import pathlib
import stat
import subprocess

import pytest

import nova_multi
from nova_multi.provision import console, guest
from tests.unit.provision.test_guest import NONCE, SHELLS

EXAMPLES = pathlib.Path(nova_multi.__file__).parents[1] / "examples"
KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI it\'s "me" $HOME me@here'


def run(name, shell, **variables):
    """What the guest reports of an example."""
    data = guest.user_data((EXAMPLES / name).read_text(), variables, NONCE)
    done = subprocess.run(
        [*shell],
        input=data,
        capture_output=True,
        check=False,
        timeout=60,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    return console.read(done.stdout.decode(), NONCE)


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0].split("/")[-1])
def test_a_key_is_let_in(tmp_path, shell):
    folder = tmp_path / ".ssh"
    for key in ("ssh-rsa AAAA first", KEY, KEY):
        report = run("authorize.sh", shell, KEY=key, HOME=str(tmp_path))
        assert report.exit_code == 0, report.log
    assert report.log == ("authorize: me@here may come in",)
    keys = folder / "authorized_keys"
    assert keys.read_text().splitlines() == ["ssh-rsa AAAA first", KEY]
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, keys)]
    assert modes == [0o700, 0o600]


def test_no_key_is_a_failure(tmp_path):
    report = run("authorize.sh", ("/bin/sh",), HOME=str(tmp_path))
    assert report.exit_code != 0
    assert not list(tmp_path.iterdir())
