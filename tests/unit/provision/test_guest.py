# SPDX-License-Identifier: Apache-2.0
"""What runs in guests, run here by /bin/sh, and what is read of it."""

import shutil
import subprocess

import pytest

from nova_multi.domain.errors import Invalid
from nova_multi.domain.provisioner import Provisioner
from nova_multi.provision import console, guest
from tests.unit.provision.conftest import nonce_of

NONCE = "0123456789abcdef"

SHELLS = [
    [path, *more]
    for name, *more in (("dash",), ("bash", "--posix"), ("busybox", "sh"))
    if (path := shutil.which(name))
]


def run(script, shell=("/bin/sh",), variables=None, nonce=NONCE):
    """Run user-data as a guest would; its console and exit status."""
    data = guest.user_data(script, variables or {}, nonce)
    done = subprocess.run(
        [*shell],
        input=data,
        capture_output=True,
        check=False,
        timeout=60,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    return done.stdout.decode(), done.returncode


def run_file(tmp_path, script, shell, variables=None):
    """The same from a file, as cloud-init does it."""
    path = tmp_path / "user-data"
    path.write_bytes(guest.user_data(script, variables or {}, NONCE))
    done = subprocess.run(
        [*shell, path], capture_output=True, check=False, timeout=60, text=True
    )
    return done.stdout, done.returncode


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0].split("/")[-1])
def test_a_script_reports(tmp_path, shell):
    script = "echo one\necho two >&2\nprintf 'no end'"
    text, status = run_file(tmp_path, script, shell)
    report = console.read(text, NONCE)
    assert status == 0
    assert report.exit_code == 0
    assert report.log == ("one", "two", "no end")
    assert report.phase == "run"


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0].split("/")[-1])
def test_a_script_that_fails(tmp_path, shell):
    text, status = run_file(tmp_path, "echo bad; exit 7", shell)
    assert console.read(text, NONCE).exit_code == 7
    assert status == 7


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0].split("/")[-1])
def test_variables_are_data(tmp_path, shell):
    nasty = 'a\'b "c" $(touch /tmp/pwned) `id` \\ %SCRIPT%\nsecond'
    text, _ = run_file(tmp_path, 'printf "%s" "$NASTY"', shell, {"NASTY": nasty})
    assert "\n".join(console.read(text, NONCE).log) == nasty


def test_scripts_are_left_as_they_are(tmp_path):
    script = "cat <<'EOF'\n%VARIABLES%\n%NONCE%\n\\n $HOME `id`\nEOF"
    text, _ = run_file(tmp_path, script, ["/bin/sh"])
    assert console.read(text, NONCE).log == (
        "%VARIABLES%",
        "%NONCE%",
        "\\n $HOME `id`",
    )


def test_a_script_names_its_own_interpreter(tmp_path):
    text, _ = run_file(tmp_path, "#!/usr/bin/env python3\nprint(6 * 7)", ["/bin/sh"])
    assert console.read(text, NONCE).log == ("42",)


def test_a_script_can_not_speak_for_the_wrapper(tmp_path):
    # It knows neither the nonce, nor may a line of its log be taken for a report.
    script = "echo '@nova-multi 0000000000000000 9 exit 0'; exit 3"
    text, _ = run_file(tmp_path, script, ["/bin/sh"])
    assert console.read(text, NONCE).exit_code == 3


def test_a_nul_is_refused():
    with pytest.raises(Invalid) as caught:
        guest.user_data("echo \0", {}, NONCE)
    assert caught.value.field == "script"


def test_what_is_too_large_is_refused():
    fits = guest.user_data("#" * 40_000, {}, NONCE)
    assert len(fits) > 40_000
    with pytest.raises(Invalid) as caught:
        guest.user_data("#" * 49_000, {}, NONCE)
    assert caught.value.code == "user_data_too_large"
    assert "65535" in caught.value.message


def test_the_limit_is_exact():
    import base64

    empty = len(guest.user_data("#!/bin/sh\n", {}, NONCE))
    room = 65535 // 4 * 3 - empty - 1
    data = guest.user_data("#!/bin/sh\n" + "x" * room, {}, NONCE)
    assert len(base64.b64encode(data)) <= 65535
    with pytest.raises(Invalid):
        guest.user_data("#!/bin/sh\n" + "x" * (room + 4), {}, NONCE)


def test_a_builder_is_cloned(tmp_path):
    if not shutil.which("git"):
        pytest.fail("git is needed")
    origin = tmp_path / "origin"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(origin)]
    subprocess.run(["git", "init", "-q", "-b", "main", str(origin)], check=True)
    (origin / "make.sh").write_text("#!/bin/sh\necho made of $WHAT\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "one"], check=True)
    subprocess.run([*git, "tag", "v1"], check=True)
    (origin / "make.sh").write_text("exit 9\n")
    subprocess.run([*git, "commit", "-q", "-am", "two"], check=True)
    provisioner = Provisioner(
        "", "p", builder=f"file://{origin}", ref="v1", executor="sh make.sh"
    )
    script = guest.script_of(provisioner)
    text, _ = run_file(tmp_path, script, ["/bin/sh"], {"WHAT": "git"})
    assert console.read(text, NONCE).log == ("made of git",)


def test_nonces_differ():
    assert guest.new_nonce() != guest.new_nonce()
    assert nonce_of(guest.user_data("x", {}, NONCE).decode()) == NONCE
