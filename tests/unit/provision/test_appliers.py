# SPDX-License-Identifier: Apache-2.0
"""Puppet manifests and Ansible playbooks in guests: with made-up programs of theirs."""

import subprocess

import pytest
import yaml

from nova_multi.domain.errors import Invalid
from nova_multi.domain.provisioner import Provisioner, Ways
from nova_multi.provision import guest
from tests.unit.provision.test_guest import NONCE, PATH, SHELLS, report_of
from tests.unit.provision.test_library import debian, system, without  # noqa: F401

MANIFEST = "notify { 'it isn''t much': }\n"
#: Puppet, as far as it is of interest: what it was given, and how it says what it did.
PUPPET = """#!/bin/sh
for file; do :; done
echo "puppet $1 $2 $3"
cat "$file"
env | grep '^FACTER_[A-Z]' | sort
echo "Notice: /Stage[main]/Main/Package[nginx]/ensure: created"
echo "Notice: Applied catalog in 0.02 seconds"
output from puppet
%s
exit %s
"""
ANSIBLE = """#!/bin/sh
for file; do :; done
echo "ansible-playbook $1 $2 $3 $4 $5"
cat "$file"
cp "${6#@}" "$COPY"
echo
echo "TASK [Install [the] server] *********"
echo "ok: [localhost]"
output from ansible
exit %s
"""


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0].split("/")[-1])
def shell(request):
    """Each shell that a guest may have."""
    return request.param


@pytest.fixture
def programs(tmp_path):
    """Makes programs that come first on PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()

    def make(name, text):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
        return f"{folder}:{PATH}"

    return make


def report(tmp_path, shell, path, provisioner, variables=None):
    script = guest.script_of(Provisioner("", "p", **provisioner))
    return report_of(tmp_path, script, shell, variables=variables, path=path)


@pytest.mark.parametrize("status, ends", [(0, 0), (2, 0), (1, 1), (4, 4), (6, 6)])
def test_a_manifest(tmp_path, shell, programs, status, ends):
    path = programs("puppet", PUPPET % ("", status))
    done = report(
        tmp_path,
        shell,
        path,
        {"script": MANIFEST, "executor": "manifest"},
        {"NAME": "a 'b' $HOME", "LINES": "one\ntwo"},
    )
    assert done.exit_code == ends
    told = ["manifest: puppet apply ended with exit status " + str(status)] * (ends > 0)
    assert list(done.log) == [
        "puppet apply --detailed-exitcodes --color=false",
        MANIFEST.rstrip("\n"),
        "FACTER_LINES=one",
        "FACTER_NAME=a 'b' $HOME",
        "progress: Package[nginx]/ensure: created",
        "Notice: /Stage[main]/Main/Package[nginx]/ensure: created",
        "Notice: Applied catalog in 0.02 seconds",
        *told,
    ]
    assert done.message == "Package[nginx]/ensure: created"
    assert done.outputs == {"from": "puppet"}


def test_what_a_manifest_leaves_running_keeps_nobody_waiting(tmp_path, shell, programs):
    path = programs("puppet", PUPPET % ("sleep 300 & echo $! >&2", 2))
    done = report(
        tmp_path, shell, path, {"script": MANIFEST, "executor": "manifest --test"}
    )
    assert done.exit_code == 0
    pids = [line for line in done.log if line.isdigit()]
    subprocess.run(["kill", *pids], check=True)


@pytest.mark.parametrize("status", [0, 2])
def test_a_playbook(tmp_path, shell, programs, status, monkeypatch):
    copy = tmp_path / "copy"
    path = programs("ansible-playbook", ANSIBLE % status)
    values = {
        "COPY": str(copy),
        "NO": "010",
        "TEMPLATE": "{{ lookup('pipe', 'id') }}",
        "TEXT": 'quo"tes, \\ and\n\ttabs: é\u2028\U0001f600 #',
    }
    playbook = "- hosts: all\n  tasks: []\n"
    done = report(
        tmp_path, shell, path, {"script": playbook, "executor": "playbook"}, values
    )
    assert done.exit_code == status
    # Values are in a file, which only root may read.
    assert done.log[0] == "ansible-playbook -c local -i localhost, -e"
    assert done.log[1:3] == ("- hosts: all", "  tasks: []")
    assert done.message == "Install [the] server"
    assert done.outputs == {"from": "ansible"}
    if status:
        assert done.log[-1] == "playbook: ansible-playbook ended with exit status 2"
    assert copy.stat().st_mode & 0o77 == 0
    assert yaml.load(copy.read_text(), Unsafe) == {
        name: ("unsafe", value) for name, value in values.items()
    }


class Unsafe(yaml.SafeLoader):
    """Reads what Ansible would."""


Unsafe.add_constructor("!unsafe", lambda loader, node: ("unsafe", node.value))


def test_a_playbook_without_variables(tmp_path, programs):
    path = programs("ansible-playbook", 'cat "${6#@}"\n')
    provisioner = {"script": "- hosts: all\n", "executor": "playbook"}
    done = report(tmp_path, ["/bin/sh"], path, provisioner)
    assert done.log == ("{}",)


def test_other_interpreters(tmp_path, shell, programs):
    path = programs("speak", '#!/bin/sh\necho "$1"; cat "$2"\n')
    done = report(
        tmp_path, shell, path, {"script": "EOF\n$HOME `id`\n", "executor": "speak loud"}
    )
    assert done.exit_code == 0
    assert done.log == ("loud", "EOF", "$HOME `id`")


def test_a_builder_with_a_playbook():
    script = guest.script_of(
        Provisioner("", "p", builder="https://h/a", executor="cd x && playbook y.yml")
    )
    assert guest._NEEDS_LIBRARY in script
    script = guest.script_of(
        Provisioner("", "p", builder="https://h/a", executor="make playbooks")
    )
    assert guest._NEEDS_LIBRARY not in script


def test_what_is_nothing_without_the_library_is_not_sent_without_it():
    provisioner = Provisioner("", "p", script="#" * 44_000, executor="playbook")
    guest.check(provisioner.script, {}, Ways())
    with pytest.raises(Invalid) as caught:
        guest.check(guest.script_of(provisioner), {}, Ways())
    assert caught.value.code == "user_data_too_large"
    guest.check(guest.script_of(provisioner), {}, Ways(metadata=True))


def test_a_guest_without_the_library_says_so(tmp_path):
    """As where it could not be unpacked."""
    script = guest.script_of(Provisioner("", "p", script="x", executor="manifest"))
    done = subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, check=False, env={}
    )
    assert (done.returncode, done.stdout) == (127, "")
    assert done.stderr == "the helper library is not in this guest\n"


def test_names_of_secrets_are_told_and_no_more():
    script = guest.script_of(Provisioner("", "p", script="x", executor="playbook"))
    composed = guest.compose(
        script, {"A": "b"}, NONCE, secrets={"KEY": "s3cr3t"}, ways=Ways(metadata=True)
    )
    assert b"export NOVA_MULTI_VARIABLES='A KEY'" in composed.user_data
    assert b"s3cr3t" not in composed.user_data
    assert "s3cr3t" in composed.payload
    plain = guest.compose("true", {"A": "b"}, NONCE)
    assert b"NOVA_MULTI_VARIABLES=" not in plain.user_data


# -- what is missing


def appears(name, text="exit 0"):
    """Lines of a package tool that bring a program along."""
    return (
        f"case $* in *install*|*add*) printf '#!/bin/sh\\n%s\\n' '{text}'"
        f' > "${{0%/*}}/{name}"; chmod 755 "${{0%/*}}/{name}" ;; esac'
    )


def python(system):  # noqa: F811
    """Which prints no variables, and is not written down."""
    path = system.tools / "python3"
    path.write_text("#!/bin/sh\necho '{}'\n")
    path.chmod(0o755)


def test_puppet_is_installed(system):  # noqa: F811
    debian(system)
    system.tool("apt-get", appears("puppet"))
    system.write("var/lib/apt/lists/x_Packages")
    system.write("site.pp")
    system.run(f"manifest {system.root}/site.pp")
    [call] = without(system.calls(), "dpkg-query")
    assert call.endswith("install --no-install-recommends puppet-agent")
    assert "progress Installing Puppet" in (system.home / "report").read_text()
    system.run(f"manifest {system.root}/site.pp")
    assert system.calls() == []


@pytest.mark.parametrize(
    "tool, package", [("apk", "apk add --update-cache"), ("dnf", "dnf -y install")]
)
def test_ansible_is_installed_on_other_families(system, tool, package):  # noqa: F811
    system.tool(tool, appears("ansible-playbook"))
    system.tool("rpm", "exit 1")
    if tool == "apk":
        system.tool("apk", '[ "$1" != info ] || exit 1\n' + appears("ansible-playbook"))
    python(system)
    system.write("site.yml")
    system.run(f"playbook {system.root}/site.yml")
    calls = without(system.calls(), "rpm")
    assert [each for each in calls if " info " not in each] == [
        f"{package} ansible-core"
    ]


def test_a_second_name_is_tried(system):  # noqa: F811
    debian(system)
    system.write("var/lib/apt/lists/x_Packages")
    system.tool(
        "apt-get",
        "case $* in *ansible-core*) exit 100 ;; esac\n" + appears("ansible-playbook"),
    )
    python(system)
    system.write("site.yml")
    system.run(f"playbook {system.root}/site.yml")


def test_why_it_can_not_be_had(system):  # noqa: F811
    debian(system)
    system.write("var/lib/apt/lists/x_Packages")
    system.tool("apt-get", "echo 'E: Unable to locate package' >&2; echo >&2; exit 100")
    system.write("site.pp")
    status, text = system.run(f"manifest {system.root}/site.pp", check=False)
    assert status == 1
    assert text.splitlines()[-1] == (
        "manifest: Puppet is not in this image, and can't be had:"
        " E: Unable to locate package"
    )
    (system.tools / "apt-get").unlink()
    status, text = system.run(f"playbook {system.root}/site.pp", check=False)
    assert status == 1
    assert text.splitlines()[-1] == (
        "playbook: Ansible is not in this image, and can't be had: package: there is"
        " no package tool in this image: install ansible-core"
    )


@pytest.mark.parametrize("command", ["manifest", "playbook"])
def test_a_file_is_needed(system, command):  # noqa: F811
    status, text = system.run(command, check=False)
    assert (status, text) == (1, f"{command}: say which file\n")
    status, text = system.run(f"{command} /nowhere", check=False)
    assert (status, text) == (1, f"{command}: there is no file /nowhere\n")
