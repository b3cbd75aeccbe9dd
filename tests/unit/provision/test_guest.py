# SPDX-License-Identifier: Apache-2.0
"""What runs in guests, run here by /bin/sh, and what is read of it."""

import base64
import importlib.resources
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

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


#: Programs without which nothing goes.
FEW = ("mktemp", "mkdir", "mkfifo", "chmod", "ln", "rm", "cat", "sleep", "sh")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0].split("/")[-1])
def shell(request):
    """Each shell that a guest may have."""
    return request.param


def run_file(tmp_path, script, shell, variables=None, timeout=60, path=PATH):
    """Run user-data from a file, as cloud-init does it; its console and exit status."""
    file = tmp_path / "user-data"
    file.write_bytes(guest.user_data(script, variables or {}, NONCE, timeout))
    (tmp_path / "tmp").mkdir(exist_ok=True)
    done = subprocess.run(
        [*shell, file],
        capture_output=True,
        check=False,
        timeout=60,
        env={"PATH": path, "TMPDIR": str(tmp_path / "tmp"), "HOME": str(tmp_path)},
    )
    assert not [*(tmp_path / "tmp").glob("nova-multi*")], "something was left"
    return done.stdout.decode(errors="replace"), done.returncode


def report_of(tmp_path, script, shell, **options):
    """The same, and what is read of the console."""
    text, status = run_file(tmp_path, script, shell, **options)
    report = console.read(text, NONCE)
    assert report.exit_code == status
    return report


def test_the_shells_of_guests_are_here():
    assert [path.split("/")[-1] for path, *_ in SHELLS] == ["dash", "bash", "busybox"]


def test_a_script_reports(tmp_path, shell):
    script = "echo one\necho two >&2\nprintf 'no end'"
    text, status = run_file(tmp_path, script, shell)
    report = console.read(text, NONCE)
    assert status == 0
    assert report.exit_code == 0
    assert report.log == ("one", "two", "no end")
    assert report.phase == "run"


def test_a_script_that_fails(tmp_path, shell):
    text, status = run_file(tmp_path, "echo bad; exit 7", shell)
    assert console.read(text, NONCE).exit_code == 7
    assert status == 7


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


def test_a_script_can_not_speak_for_the_wrapper(tmp_path, shell):
    # It knows neither the nonce, nor may a line of its log be taken for a report.
    script = """
echo '@nova-multi 0000000000000000 9 exit 0'
echo '0000000000000000 exit 0'
env; set
cat "${0%/*}/call"
ls "${0%/*}"
exit 3
"""
    text, status = run_file(tmp_path, script, shell)
    report = console.read(text, NONCE)
    assert report.exit_code == status == 3
    assert not any(NONCE in line for line in report.log)


def test_nor_with_the_commands_own_mark(tmp_path, shell):
    script = """
mark=$(sed -n "s/.*%s %s.n' '\\([0-9a-f]*\\)'.*/\\1/p" "${0%/*}/call")
[ ${#mark} = 16 ] || exit 9
for word in 'exit 0' 'timeout 1' end begin 'log x'; do echo "$mark $word"; done
exit 3
"""
    report = report_of(tmp_path, script, shell)
    assert report.exit_code == 3 and report.timed_out is None
    assert len(report.log) == 5


def test_a_log_may_have_the_console_in_it(tmp_path, shell):
    script = f"echo '@nova-multi {NONCE} 3 log x'; echo '@nova-multi {NONCE} 9 end'"
    report = report_of(tmp_path, script, shell)
    assert report.log == (
        f"@nova-multi {NONCE} 3 log x",
        f"@nova-multi {NONCE} 9 end",
    )


def test_progress_phases_and_outputs(tmp_path, shell):
    script = """
set -eu
progress "Installing   nginx"
printf 'half a line'
progress "two
lines	and a tab"
phase web
output url 'http://a/?b=c d'
output key "one
two \\n three"
printf 'from stdin\n' | output piped
output empty ''
echo done
"""
    report = report_of(tmp_path, script, shell)
    assert report.exit_code == 0
    assert report.log == (
        "progress: Installing   nginx",
        "half a line",
        "progress: two lines and a tab",
        "done",
    )
    assert (report.phase, report.message) == ("web", "web")
    assert report.outputs == {
        "url": "http://a/?b=c d",
        "key": "one\ntwo \\n three",
        "piped": "from stdin",
        "empty": "",
    }


def test_outputs_are_data(tmp_path, shell):
    nasty = f"$(touch {tmp_path}/pwned) `id` ; exit 0 % %s \\ \"'"
    script = 'output nasty "$NASTY"; output "x;id" 1 || echo refused'
    report = report_of(tmp_path, script, shell, variables={"NASTY": nasty})
    assert report.outputs == {"nasty": nasty}
    assert not (tmp_path / "pwned").exists()
    assert report.log[-1] == "refused"


@pytest.mark.parametrize(
    "call",
    [
        "output",
        "output 1a b",
        "output ../x b",
        "output a-b c",
        "output $(printf %065d 1 | tr 01 ab) x",
        "output long $(printf %04000d 1)",
        "progress",
        "progress ''",
    ],
)
def test_wrong_calls_say_so(tmp_path, call):
    report = report_of(tmp_path, f"{call} || echo status $?", ["/bin/sh"])
    assert report.log[-1] == "status 2"
    assert len(report.log) == 2 and report.log[0].startswith(call.split()[0])
    assert report.outputs == {}


def test_outputs_have_a_limit_in_the_guest(tmp_path):
    script = "for n in $(seq 64); do output name$n x; done; sleep 1; output more x"
    report = report_of(tmp_path, script, ["/bin/sh"])
    assert "more than 64 outputs" in report.log[-1]
    assert len(report.outputs) == 64


def test_other_languages_report_too(tmp_path):
    script = """#!/usr/bin/env python3
import subprocess
subprocess.run(["progress", "Counting"], check=True)
subprocess.run(["output", "answer", str(6 * 7)], check=True)
"""
    report = report_of(tmp_path, script, ["/bin/sh"])
    assert report.message == "Counting"
    assert report.outputs == {"answer": "42"}


def test_outputs_outlive_a_console_that_forgets(tmp_path, shell):
    script = "output early value; seq 20000"
    text, _ = run_file(tmp_path, script, shell)
    report = console.read(text[-100 * 1024 :], NONCE, 2)
    assert report.outputs == {"early": "value"}
    assert report.exit_code == 0
    assert "lines were lost" in report.log[0]
    assert report.log[-1] == "20000"
    assert len(console.read(text, NONCE).log) == 20000


def test_a_script_that_hangs_is_ended(tmp_path, shell):
    # Not that of the same test in another process, whose turn may be now.
    seconds = 10_000_000 + os.getpid()
    script = f"echo begun; sleep {seconds} & sleep {seconds}1; echo never"
    report = report_of(tmp_path, script, shell, timeout=1)
    assert report.timed_out == 1
    assert report.exit_code == 124
    assert report.log == ("begun",)
    assert not processes(f"sleep {seconds}")


def test_one_that_will_not_end_is_killed(tmp_path, shell):
    script = "trap '' TERM; echo begun; while :; do sleep 1; done"
    report = report_of(tmp_path, script, shell, timeout=1)
    assert (report.timed_out, report.exit_code) == (1, 124)


def test_without_setsid_it_is_ended_as_well(tmp_path, shell):
    folder = tmp_path / "few"
    folder.mkdir()
    for name in FEW:
        (folder / name).symlink_to(shutil.which(name))
    script = "echo begun; exec sleep 300"
    report = report_of(tmp_path, script, shell, timeout=1, path=str(folder))
    assert (report.timed_out, report.log) == (1, ("begun",))


def test_nothing_of_the_time_limit_is_left(tmp_path, shell):
    seconds = 20_000_000 + os.getpid()
    report = report_of(tmp_path, "echo", shell, timeout=seconds)
    assert report.timed_out is None
    # Whatever ends on a signal may take a moment.
    for _ in range(50):
        if not processes(f"sleep {seconds}"):
            return
        time.sleep(0.1)
    raise AssertionError("the watch goes on")


def test_what_stays_in_the_background_keeps_nobody_waiting(tmp_path, shell):
    script = f"""
(
    echo from behind
    until [ -e {tmp_path}/go ]; do sleep 0.1; done
    echo late; echo late; touch {tmp_path}/lived
) &
echo done
"""
    # It comes to an end while that goes on, for which it would wait for ever.
    report = report_of(tmp_path, script, shell)
    assert report.exit_code == 0 and "done" in report.log
    assert not (tmp_path / "lived").exists()
    (tmp_path / "go").touch()
    # A process whose output nobody reads any more is not ended for it.
    for _ in range(100):
        if (tmp_path / "lived").exists():
            return
        time.sleep(0.1)
    raise AssertionError("it was ended")


def test_a_script_may_be_interrupted_as_usual(tmp_path, shell):
    """Signals are not ignored in it, as they are in a shell's background."""
    script = "grep SigIgn /proc/self/status"
    (line,) = report_of(tmp_path, script, shell).log
    # But for those that these tests were begun with, as with nohup.
    for number in (signal.SIGINT, signal.SIGQUIT):
        ignored = bool(int(line.split()[1], 16) >> (number - 1) & 1)
        assert ignored is _ignored_here(number)


def _ignored_here(number):
    with open("/proc/self/status") as status:
        (line,) = (each for each in status if each.startswith("SigIgn:"))
    return bool(int(line.split()[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("signal", [9, 15])
def test_a_script_that_is_killed(tmp_path, shell, signal):
    assert report_of(tmp_path, f"kill -{signal} $$", shell).exit_code == 128 + signal


def test_bytes_of_any_kind(tmp_path, shell):
    script = r"""
printf 'nul\000nul\n\377\376 \303\244\n\001\002\033[31mred\n'
head -c 20000 /dev/urandom
echo
echo last
"""
    report = report_of(tmp_path, script, shell)
    assert report.exit_code == 0
    assert report.log[0] == "nulnul"
    assert report.log[1].endswith(" ä")
    assert report.log[2] == "red"
    assert report.log[-1] == "last"


def test_a_long_line_without_an_end(tmp_path, shell):
    report = report_of(tmp_path, "head -c 300000 /dev/zero | tr '\\0' x", shell)
    # The number and the mark take their share.
    (line,) = report.log
    assert line == "x" * 3996


def test_empty_lines_are_kept(tmp_path, shell):
    script = "echo; echo a; echo; echo; progress b; echo; progress c; printf d; echo"
    report = report_of(tmp_path, script, shell)
    assert report.log == ("", "a", "", "", "progress: b", "", "progress: c", "d")


def test_variables_of_any_name_are_not_in_the_way(tmp_path, shell):
    names = {name: "x" for name in ("nm_dir", "nm_nonce", "nm_status", "IFS", "HOME")}
    script = 'echo "$nm_dir$nm_nonce$nm_status$HOME"; progress fine'
    report = report_of(tmp_path, script, shell, variables=names)
    assert report.log == ("xxxx", "progress: fine")


def test_a_path_of_its_own_has_the_commands_as_well(tmp_path, shell):
    variables = {"PATH": f"/nowhere:{PATH}"}
    report = report_of(tmp_path, "progress a; echo $PATH", shell, variables=variables)
    assert report.log[0] == "progress: a"
    assert report.log[1].endswith(f"/bin:/nowhere:{PATH}")


def test_where_tmp_is_mounted_without_programs(tmp_path):
    """Another folder is found, if there is one."""
    file = tmp_path / "user-data"
    file.write_bytes(guest.user_data("echo ran", {}, NONCE))
    done = subprocess.run(
        ["/bin/sh", file],
        capture_output=True,
        check=False,
        env={"PATH": PATH, "TMPDIR": "/proc/none"},
    )
    assert console.read(done.stdout.decode(), NONCE).log == ("ran",)


def processes(words):
    """Whether a process with that command line is there."""
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if words in path.read_bytes().replace(b"\0", b" ").decode():
                return True
        except (OSError, UnicodeDecodeError):
            continue
    return False


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
    # A script that is so large that it leaves no room for the library.
    some = len(guest.user_data("#!/bin/sh\n" + "x" * 43_000, {}, NONCE))
    room = 43_000 + 65535 // 4 * 3 - some
    data = guest.user_data("#!/bin/sh\n" + "x" * room, {}, NONCE)
    assert len(base64.b64encode(data)) <= 65535
    with pytest.raises(Invalid):
        guest.user_data("#!/bin/sh\n" + "x" * (room + 4), {}, NONCE)


@pytest.mark.parametrize(("size", "there"), [(10, 1), (33_000, 1), (42_000, 0)])
def test_the_library_goes_along_where_there_is_room(tmp_path, shell, size, there):
    fill = f"#{'x' * size}\n"
    script = f'{fill}[ -f "$NOVA_MULTI_LIB" ]; echo $?\nproperty get os_family'
    data = guest.user_data(script, {}, NONCE)
    assert (b"H4sI" in data) == (size == 33_000)
    report = report_of(tmp_path, script, shell)
    if there:
        assert report.log == ("0", "debian")
    else:
        assert "library is left out" in report.log[0]
        assert report.exit_code == 127


def test_what_can_not_be_unpacked_is_told(tmp_path, shell):
    folder = tmp_path / "few"
    folder.mkdir()
    for name in (*FEW, "setsid"):
        (folder / name).symlink_to(shutil.which(name))
    script = f"#{'x' * 33_000}\necho ran"
    report = report_of(tmp_path, script, shell, path=str(folder))
    assert "takes base64 and gzip" in report.log[0]
    assert report.log[1:] == ("ran",)


@pytest.mark.parametrize("size", [33_000, 42_000])
def test_without_the_library_the_systems_own_commands_are_called(tmp_path, shell, size):
    """Whether it can't be unpacked, or is left out."""
    folder = tmp_path / "few"
    folder.mkdir()
    for name in (*FEW, "cut", "sed", "setsid", "tr"):
        (folder / name).symlink_to(shutil.which(name))
    for name in ("service", "file"):
        (folder / name).write_text(f'#!/bin/sh\necho "system\'s {name} $*"\n')
        (folder / name).chmod(0o755)
    script = f"#{'x' * size}\nservice web start\nfile put\nprogress on\npackage"
    report = report_of(tmp_path, script, shell, path=str(folder))
    assert report.log[1:4] == (
        "system's service web start",
        "system's file put",
        "progress: on",
    )
    assert report.exit_code == 127


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


FUNCTION = r"^(\w+)\(\) \{\n(.*?)^\}"


def test_no_part_has_a_function_of_another_ones_name():
    """They travel as one script: the second would be in the first one's place."""
    folder = importlib.resources.files("nova_multi.guest")
    bodies = {}
    for path in folder.iterdir():
        if path.name.endswith(".sh"):
            found = re.finditer(
                r"^(\w+)\(\) \{\n(.*?)^\}", path.read_text(), re.M | re.S
            )
            for one in found:
                bodies.setdefault(one[1], set()).add(one[2])
    assert len(bodies) > 30
    assert {name for name, different in bodies.items() if len(different) > 1} == set()
