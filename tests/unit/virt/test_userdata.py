# SPDX-License-Identifier: Apache-2.0
"""User-data in images without cloud-init: what is run, what is refused, how it runs."""

import base64
import gzip
import os
import shutil
import stat
import subprocess
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import pytest

from nova_multi import exception
from nova_multi.virt import userdata
from nova_multi.virt.engine import ImageFacts

SHELL = ImageFacts(shell=True, cloud_init=False)
NOTHING = ImageFacts(shell=False, cloud_init=False)
CLOUD_INIT = ImageFacts(shell=True, cloud_init=True)
UUID = "0b5fbd67-7a4b-4d31-9e54-b52e3ccd4d4d"


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def multipart(*parts: tuple[str, str]) -> bytes:
    message = MIMEMultipart()
    for subtype, text in parts:
        message.attach(MIMEText(text, subtype))
    return message.as_bytes()


def test_a_script_is_run_by_the_driver():
    plan = userdata.plan(encoded(b"#!/bin/sh\necho hi\n"), None, SHELL)
    assert plan.scripts == (b"#!/bin/sh\necho hi\n",)
    assert plan


def test_a_packed_script_is_unpacked():
    packed = gzip.compress(b"#!/bin/sh\n")
    assert userdata.plan(encoded(packed), None, SHELL).scripts == (b"#!/bin/sh\n",)


def test_all_scripts_of_a_multipart_run_in_order():
    data = multipart(("x-shellscript", "#!/bin/sh\nA"), ("plain", "#!/bin/sh\nB"))
    scripts = userdata.plan(encoded(data), None, SHELL).scripts
    assert [script[-1:] for script in scripts] == [b"A", b"B"]


@pytest.mark.parametrize("data", [b"", b"key=value\n", b"\x00\x01binary", b"   "])
def test_plain_data_is_only_metadata(data):
    assert not userdata.plan(encoded(data), None, SHELL)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"#cloud-config\npackages: [nginx]\n", "cloud-config"),
        (b"\n#cloud-config\n", "cloud-config"),
        (b"#include\nhttp://example.org/\n", "include"),
        (b"## template: jinja\n#cloud-config\n", "template"),
        (multipart(("cloud-config", "#cloud-config\n{}")), "cloud-config"),
        (b"#cloud-boothook\n", "boothook"),
    ],
)
def test_what_only_cloud_init_understands_is_refused_without_it(data, name):
    with pytest.raises(exception.UserDataRejected, match=name):
        userdata.plan(encoded(data), None, SHELL)


def test_with_cloud_init_everything_is_its_business():
    for data in (b"#cloud-config\n", b"#!/bin/sh\n"):
        assert not userdata.plan(encoded(data), "ssh-ed25519 AAAA", CLOUD_INIT)


def test_a_script_without_a_shell_is_refused():
    with pytest.raises(exception.UserDataRejected, match="/bin/sh"):
        userdata.plan(encoded(b"#!/bin/sh\n"), None, NOTHING)


def test_a_key_without_a_shell_is_no_reason_to_refuse():
    assert not userdata.plan(None, "ssh-ed25519 AAAA", NOTHING)


@pytest.mark.parametrize(
    "data",
    [
        "%%%",
        base64.b64encode(b"\x1f\x8b\x00broken").decode(),
        base64.b64encode(gzip.compress(b"", mtime=0)[:10] + b"\xff" * 20).decode(),
    ],
)
def test_damaged_data_is_refused(data):
    with pytest.raises(exception.UserDataRejected, match="damaged"):
        userdata.plan(data, None, SHELL)


def test_a_bomb_is_refused():
    bomb = gzip.compress(b"\0" * (userdata.MAX_UNPACKED + 2))
    with pytest.raises(exception.UserDataRejected, match="larger"):
        userdata.decode(encoded(bomb))


def test_the_folder_is_made_anew_and_protected(tmp_path):
    folder = tmp_path / "guest"
    folder.mkdir()
    (folder / "stale").write_text("old")
    bootstrap = userdata.Bootstrap((b"#!/bin/sh\n",), "ssh-ed25519 AAAA\n")
    path = userdata.write(str(folder), UUID, bootstrap)
    assert path == "/var/lib/nova-multi/bootstrap.sh"
    assert not (folder / "stale").exists()
    modes = {
        name: stat.S_IMODE((folder / name).stat().st_mode)
        for name in ("bootstrap.sh", "scripts/part-001", "authorized_keys")
    }
    assert modes == {
        "bootstrap.sh": 0o755,
        "scripts/part-001": 0o700,
        "authorized_keys": 0o600,
    }


SHELLS = [["sh"]] + ([["busybox", "sh"]] if shutil.which("busybox") else [])


@pytest.mark.parametrize("shell", SHELLS, ids=lambda s: "-".join(s))
class TestBootstrapScript:
    """The script that runs in guests, with real shells."""

    @pytest.fixture
    def boot(self, tmp_path, shell):
        def run(bootstrap, *command, uuid=UUID):
            folder = tmp_path / "guest"
            userdata.write(str(folder), uuid, bootstrap)
            script = folder / "bootstrap.sh"
            # The state of a guest that is not this machine.
            text = script.read_text().replace("/etc/nova-multi", f"{tmp_path}/state")
            script.write_text(text)
            return subprocess.run(
                [*shell, str(script), *command],
                env={"HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"]},
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )

        return run

    def test_runs_scripts_then_becomes_the_command(self, boot):
        bootstrap = userdata.Bootstrap((b"#!/bin/sh\necho one\n", b"#!/bin/sh\nexit 3"))
        done = boot(bootstrap, "sh", "-c", "echo command; exit 7")
        assert done.returncode == 7
        assert done.stdout.splitlines() == [
            "[nova-multi] user-data part-001: started",
            "one",
            "[nova-multi] user-data part-001: ended with exit status 0",
            "[nova-multi] user-data part-002: started",
            "[nova-multi] user-data part-002: ended with exit status 3",
            "command",
        ]

    def test_runs_scripts_once_for_each_server(self, boot):
        bootstrap = userdata.Bootstrap((b"#!/bin/sh\necho ran\n",))
        assert "ran\n" in boot(bootstrap, "true").stdout
        assert boot(bootstrap, "true").stdout == ""
        other = "11111111-7a4b-4d31-9e54-b52e3ccd4d4d"
        assert "ran\n" in boot(bootstrap, "true", uuid=other).stdout

    def test_stores_the_key_once(self, boot, tmp_path):
        bootstrap = userdata.Bootstrap((), "ssh-ed25519 AAAA me\n")
        for _ in range(2):
            assert boot(bootstrap, "true").returncode == 0
        keys = tmp_path / "home/.ssh/authorized_keys"
        assert keys.read_text() == "ssh-ed25519 AAAA me\n"
        assert stat.S_IMODE(keys.stat().st_mode) == 0o600

    def test_arguments_stay_whole(self, boot):
        done = boot(userdata.Bootstrap(), "printf", "<%s>", "a b", "", "$HOME")
        assert done.stdout == "<a b><><$HOME>"
