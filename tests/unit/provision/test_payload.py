# SPDX-License-Identifier: Apache-2.0
"""What guests fetch besides their user-data, fetched here by /bin/sh."""

import contextlib
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading

import pytest

from nova_multi.domain.errors import Invalid, Unsupported
from nova_multi.domain.provisioner import Ways
from nova_multi.provision import console, guest

NONCE = "0123456789abcdef"
WAYS = Ways(metadata=True)
SECRET = 'it\'s a\nsecret = \\0101 "quoted" $HOME `id` äöü %s'
SHELLS = [
    [path, *more]
    for name, *more in (("dash",), ("bash", "--posix"), ("busybox", "sh"))
    if (path := shutil.which(name))
]
#: What the wrapper, and a script that only prints, take of a system.
FEW = """
mktemp mkdir mkfifo chmod ln rm cat sleep sh sed date setsid kill printf env timeout
""".split()  # noqa: SIM905


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0].split("/")[-1])
def shell(request):
    """Each shell that a guest may have."""
    return request.param


@contextlib.contextmanager
def metadata(*answers):
    """Nova's metadata service; the last of the answers again and again.

    :yields: its port, and the paths that were asked for.
    """
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            answer = answers[min(len(asked), len(answers)) - 1]
            body = json.dumps({"static": {}, "nova_multi": answer}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(tmp_path, composed, port, shell, programs=("curl",), broken=()):
    """Run user-data with few programs; its console and exit status.

    :param broken: names of programs that are there, and do nothing well.
    """
    text = composed.user_data.decode()
    assert text.count("nm_host=169.254.169.254\n") == 1
    text = text.replace("nm_host=169.254.169.254\n", "nm_host=127.0.0.1\n")
    text = text.replace("nm_port=80\n", f"nm_port={port}\n")
    # Waiting is for real guests.
    text = text.replace("then sleep 1; else sleep 3", "then :; else :")
    (tmp_path / "user-data").write_text(text)
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in (*FEW, *programs):
        # Where there are several versions, which() may find a script that chooses.
        found = sys.executable if name == "python3" else shutil.which(name)
        assert found, f"{name} is missing here"
        (folder / name).symlink_to(pathlib.Path(found).resolve())
    for name in broken:
        (folder / name).write_text("#!/bin/sh\necho only POST\nexit 2\n")
        (folder / name).chmod(0o755)
    (tmp_path / "tmp").mkdir()
    done = subprocess.run(
        [*shell, tmp_path / "user-data"],
        capture_output=True,
        check=False,
        timeout=100,
        env={"PATH": str(folder), "TMPDIR": str(tmp_path / "tmp")},
    )
    assert not [*(tmp_path / "tmp").iterdir()], "something was left"
    return done.stdout.decode(), done.returncode


def decoded(payload):
    parts = payload.split("=")
    return b"".join(
        [parts[0].encode()]
        + [bytes([int(each[:3], 8)]) + each[3:].encode() for each in parts[1:]]
    ).decode()


def of(composed):
    return {"nova_multi_payload": composed.payload}


def test_what_is_small_and_not_secret_is_in_user_data():
    composed = guest.compose("true", {"A": "b"}, NONCE, ways=WAYS)
    assert composed == guest.Composed(guest.user_data("true", {"A": "b"}, NONCE))
    assert b"vendor_data2" not in composed.user_data


def test_a_secret_is_nowhere_in_user_data():
    composed = guest.compose(
        'echo "$KEY"', {"A": "b"}, NONCE, secrets={"KEY": "s3cr3t"}, ways=WAYS
    )
    assert composed.secret
    assert b"s3cr3t" not in composed.user_data
    assert b"export A=b" in composed.user_data
    assert "s3cr3t" in decoded(composed.payload)
    assert "s3cr3t" not in repr(composed)


def test_a_secret_reaches_the_script(tmp_path, shell):
    script = 'printf "[%s]\\n" "$KEY" "$A"; [ "$NOVA_MULTI_LIB" ] && echo library'
    composed = guest.compose(
        script, {"A": "b", "KEY": "seen"}, NONCE, secrets={"KEY": SECRET}, ways=WAYS
    )
    with metadata(of(composed)) as (port, asked):
        text, status = run(tmp_path, composed, port, shell)
    report = console.read(text, NONCE)
    assert status == report.exit_code == 0
    assert report.received
    told = "\n".join(report.log)
    assert told == f"[{SECRET}]\n[b]\nlibrary"
    assert asked == ["/openstack/latest/vendor_data2.json"]


@pytest.mark.parametrize("program", ["curl", "wget", "busybox", "bash", "python3"])
def test_whatever_the_guest_has_to_fetch_with(tmp_path, program):
    composed = guest.compose(
        'echo "$KEY"', {}, NONCE, secrets={"KEY": "s3cr3t"}, ways=WAYS
    )
    with metadata(of(composed)) as (port, _):
        text, status = run(tmp_path, composed, port, SHELLS[0], [program])
    assert status == 0, text
    assert console.read(text, NONCE).log == ("s3cr3t",)


def test_programs_that_are_not_what_they_are_called(tmp_path, shell):
    composed = guest.compose("true", {}, NONCE, secrets={"KEY": "x"}, ways=WAYS)
    broken = ["curl", "wget"]
    with metadata(of(composed)) as (port, _):
        text, status = run(tmp_path, composed, port, shell, ["python3"], broken)
    assert status == 0, text


def test_a_guest_with_nothing_to_fetch_with(tmp_path, shell):
    composed = guest.compose("true", {}, NONCE, secrets={"KEY": "x"}, ways=WAYS)
    text, status = run(tmp_path, composed, 1, shell, [])
    report = console.read(text, NONCE)
    assert status == 1
    assert "nothing to fetch with" in report.log[-1]
    assert not report.received


def test_a_script_that_is_too_large_for_user_data(tmp_path, shell):
    # Lines of an odd kind, too: nothing in them may be taken for ours.
    lines = "\n".join(
        f": {number} 'a' \"%NONCE%\" =012 \\101" for number in range(9000)
    )
    script = f'{lines}\necho "$BIG" | cksum; echo $KEY; package installed sh && echo ok'
    values = {"BIG": "x y" * 20000}
    composed = guest.compose(script, values, NONCE, secrets={"KEY": "k"}, ways=WAYS)
    assert len(composed.user_data) < 16 * 1024
    assert len(composed.payload) > 200_000
    with metadata(of(composed)) as (port, _):
        text, status = run(
            tmp_path, composed, port, shell, ["curl", "cksum", "id", "uname", "tr"]
        )
    report = console.read(text, NONCE)
    wanted = subprocess.run(
        ["cksum"], input=f"{values['BIG']}\n".encode(), capture_output=True, check=True
    )
    assert report.log[:2] == (wanted.stdout.decode().strip(), "k")
    assert status == 0, text


def test_it_is_waited_for(tmp_path, shell):
    composed = guest.compose("echo $KEY", {}, NONCE, secrets={"KEY": "k"}, ways=WAYS)
    other = guest.compose("true", {}, "f" * 16, secrets={"KEY": "other"}, ways=WAYS)
    answers = [{}, {}, of(other), of(composed)]
    with metadata(*answers) as (port, asked):
        text, status = run(tmp_path, composed, port, shell)
    assert status == 0
    assert len(asked) == len(answers)
    assert console.read(text, NONCE).log == ("k",)


def test_a_refusal_is_told(tmp_path, shell):
    composed = guest.compose("true", {}, NONCE, secrets={"KEY": "k"}, ways=WAYS)
    with metadata({"nova_multi_refused": "given before"}) as (port, asked):
        text, status = run(tmp_path, composed, port, shell)
    assert console.read(text, NONCE).log == ("given before",)
    assert status == 1
    assert len(asked) == 1


def test_what_never_comes(tmp_path):
    composed = guest.compose("true", {}, NONCE, secrets={"KEY": "k"}, ways=WAYS)
    with metadata({}) as (port, asked):
        text, status = run(tmp_path, composed, port, SHELLS[0])
    assert status == 1
    assert "has nothing for this guest" in console.read(text, NONCE).log[-1]
    assert len(asked) > 100


def test_what_is_not_whole_is_not_run(tmp_path, shell):
    composed = guest.compose("echo ran", {}, NONCE, secrets={"KEY": "k"}, ways=WAYS)
    cut = composed.payload[: composed.payload.index("nm_whole")]
    with metadata({"nova_multi_payload": cut}) as (port, _):
        text, status = run(tmp_path, composed, port, shell)
    assert status == 1
    assert "not whole" in console.read(text, NONCE).log[-1]
    assert "ran" not in text


def test_secrets_are_refused_where_there_is_no_way():
    with pytest.raises(Unsupported) as caught:
        guest.check("true", {}, Ways(), {"KEY": "s3cr3t"})
    assert caught.value.code == "no_way_for_secrets"
    assert "KEY" in caught.value.message
    assert "s3cr3t" not in caught.value.message


def test_secrets_in_user_data_where_that_is_allowed():
    ways = Ways(secrets_in_user_data=True)
    composed = guest.compose("true", {}, NONCE, secrets={"KEY": "s3cr3t"}, ways=ways)
    assert b"export KEY=s3cr3t" in composed.user_data
    assert not composed.payload


@pytest.mark.parametrize(
    ("ways", "size"), [(Ways(), 60_000), (WAYS, guest.MAX_PAYLOAD)]
)
def test_what_is_too_large(ways, size):
    with pytest.raises(Invalid) as caught:
        guest.check("x" * size, {}, ways)
    assert caught.value.code == "user_data_too_large"


@pytest.mark.parametrize("name", ["A B", "1A", ""])
def test_a_secret_needs_a_name_that_a_shell_takes(name):
    with pytest.raises(Invalid):
        guest.check("true", {}, WAYS, {name: "x"})


def test_any_text_comes_back():
    text = "".join(map(chr, range(1, 0x180))) + "\U0001f600\n"
    written = guest.encoded(text)
    assert decoded(written) == text
    assert json.dumps(written) == f'"{written}"'


def test_nothing_of_it_is_run_by_accident():
    path = pathlib.Path(guest.__file__).parents[1] / "guest" / "fetch.sh"
    done = subprocess.run(
        [*SHELLS[0], "-n", path], capture_output=True, check=False, env=dict(os.environ)
    )
    assert (done.returncode, done.stderr) == (0, b"")
