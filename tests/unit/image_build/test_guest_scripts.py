# SPDX-License-Identifier: Apache-2.0
"""The guests' own shell scripts, run by this machine's /bin/sh."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

GUEST = Path(__file__).parents[3] / "nova_multi/image_build/small/root/usr/lib/guest"
CURL = GUEST.parents[1] / "bin/curl"


@pytest.fixture
def guest(tmp_path: Path) -> Path:
    """A guest's folders, with metadata."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "meta_data.json").write_text(
        json.dumps({"uuid": "server-1", "hostname": "web.example", "name": "web"})
    )
    return tmp_path


def call(guest: Path, script: str, *arguments: str) -> str:
    done = subprocess.run(
        [shutil.which("sh") or "/bin/sh", GUEST / script, *arguments],
        env={
            **os.environ,
            "GUEST_LIB": str(GUEST),
            "GUEST_RUN": str(guest / "run"),
            "GUEST_STATE": str(guest / "state"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def give(guest: Path, text: str) -> None:
    (guest / "run/user_data").write_text(text)


def test_values_of_the_metadata(guest: Path) -> None:
    assert call(guest, "metadata", "hostname").strip() == "web.example"
    assert call(guest, "metadata", "uuid").strip() == "server-1"


def test_script_runs_once_per_server(guest: Path) -> None:
    give(guest, f"#!/bin/sh\necho ran >>{guest}/log\necho said so\n")
    assert "said so" in call(guest, "user-data")
    assert call(guest, "user-data") == ""
    assert (guest / "log").read_text() == "ran\n"
    # A server made from a snapshot has another identity.
    (guest / "run/meta_data.json").write_text('{"uuid": "server-2"}')
    call(guest, "user-data")
    assert (guest / "log").read_text() == "ran\nran\n"


def test_status_is_told(guest: Path) -> None:
    give(guest, "#!/bin/sh\nexit 3\n")
    assert "1 ended with status 3" in call(guest, "user-data")


def test_multipart(guest: Path) -> None:
    encoded = base64.b64encode(b"#!/bin/sh\necho second\n").decode()
    give(
        guest,
        "\r\n".join(
            [
                'Content-Type: multipart/mixed; boundary="==x=="',
                "MIME-Version: 1.0",
                "",
                "--==x==",
                "Content-Type: text/x-shellscript",
                "",
                "#!/bin/sh",
                "echo first",
                "--==x==",
                "Content-Type: text/cloud-config",
                "",
                "#cloud-config",
                "--==x==",
                "Content-Type: text/x-shellscript",
                "Content-Transfer-Encoding: base64",
                "",
                encoded,
                "--==x==--",
            ]
        ),
    )
    output = call(guest, "user-data")
    assert output.index("first") < output.index("second")
    assert "a part that is no script is left out" in output


def test_other_user_data_is_left_out(guest: Path) -> None:
    give(guest, "#cloud-config\nruncmd: []\n")
    assert "left out" in call(guest, "user-data")


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["http://meta/key"], "wget -q -O - http://meta/key"),
        (
            ["-X", "POST", "-d", "a b", "http://meta/password"],
            "wget -q -O - --post-data a b http://meta/password",
        ),
    ],
)
def test_curl_asks_as_tempest_does(
    tmp_path: Path, arguments: list[str], asked: str
) -> None:
    busybox = tmp_path / "busybox"
    busybox.write_text('#!/bin/sh\nprintf "%s\\n" "$*"\n')
    busybox.chmod(0o755)
    done = subprocess.run(
        [shutil.which("sh") or "/bin/sh", CURL, *arguments],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == asked


def test_curl_refuses_what_it_can_not_do() -> None:
    done = subprocess.run([CURL, "-s", "http://meta/"], capture_output=True)
    assert done.returncode == 2


def test_no_test_of_tempest_is_left_out_for_want_of_curl() -> None:
    excluded = (Path(__file__).parents[2] / "tempest/exclude.txt").read_text()
    assert CURL.stat().st_mode & 0o111
    assert "curl" not in excluded


def test_enabled_services_start_at_boot_and_then_the_owners_script(
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"
    for name, mode in (
        *(("rc2.d/S02web", 0o755), ("rc2.d/S01db", 0o755), ("rc2.d/S03off", 0o644)),
        *(("rc2.d/K01old", 0o755), ("rc.local", 0o755)),
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>{log}\nexit 1\n')
        path.chmod(mode)
    subprocess.run(
        ["sh", GUEST / "at-boot"], env={"GUEST_ETC": str(tmp_path)}, check=False
    )
    assert log.read_text().splitlines() == [
        "rc2.d/S01db start",
        "rc2.d/S02web start",
        "rc.local ",
    ]


def test_a_guest_without_services_boots(tmp_path: Path) -> None:
    subprocess.run(
        ["sh", GUEST / "at-boot"], env={"GUEST_ETC": str(tmp_path)}, check=True
    )
