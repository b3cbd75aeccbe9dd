# SPDX-License-Identifier: Apache-2.0
"""The helper library of guests: run in each shell, with made-up package tools.

The tools are small scripts in a folder that stands first on PATH: they write down how
they were called. ``NOVA_MULTI_ROOT`` leads the library into a root tree of the test's.
"""

import pathlib
import shutil
import subprocess

import pytest

from nova_multi.provision import guest
from tests.unit.provision.test_guest import SHELLS

TOP = pathlib.Path(__file__).parents[3]
#: What a busybox gives anyway; everything else is made up here.
BASE = (
    *("awk", "cat", "chmod", "chown", "cmp", "cp", "cut", "env"),
    *("grep", "head", "id", "ln", "ls", "mkdir", "mv", "nproc"),
    *("paste", "printf", "ps", "rm", "sed", "setsid", "sh", "sleep"),
    *("sort", "tail", "touch", "tr", "uname", "uniq", "wc"),
)


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0].split("/")[-1])
def system(request, tmp_path):
    """A guest's root tree with nothing in it but the usual programs."""
    return System(tmp_path, request.param)


class System:
    """A made-up system.

    :ivar root: its root tree.
    """

    def __init__(self, folder, shell):
        self.root = folder / "root"
        self.home = folder / "home"
        self.tools = folder / "tools"
        self.calls_file = folder / "calls"
        self.shell = shell
        for path in (self.root / "etc", self.root / "run", self.tools):
            path.mkdir(parents=True)
        (self.home / "bin").mkdir(parents=True)
        (self.home / "outputs").mkdir()
        (self.home / "report").touch()
        # As it travels: without comments and indentation.
        (self.home / "lib.sh").write_text(guest._library(more=True))
        call = self.home / "call"
        first = shell[0] if shell[0] != "/usr/bin/busybox" else "/usr/bin/busybox sh"
        body = guest._stripped("commands.sh").partition("\n")[2]
        # There is no fifo here, but a file.
        body = body.replace('> "$nm_home/report"', '>> "$nm_home/report"')
        call.write_text(f"#!{first}\n{body}\n")
        call.chmod(0o755)
        for name in (
            *("progress", "output", "package", "service", "repository", "user"),
            *("file", "template", "property", "manifest", "playbook"),
        ):
            (self.home / "bin" / name).symlink_to(call)
        for name in BASE:
            (self.tools / name).symlink_to(shutil.which(name))

    def tool(self, name, script="", status=0):
        """A program that writes down how it was called."""
        path = self.tools / name
        path.unlink(missing_ok=True)
        path.write_text(
            f"#!/bin/sh\nprintf '%s\\n' \"{name} $*\" >>'{self.calls_file}'\n{script}\n"
            f"exit {status}\n"
        )
        path.chmod(0o755)

    def run(self, script, check=True, text=None, **variables):
        """Run a script; what it writes."""
        done = subprocess.run(
            [*self.shell, "-c", script],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={
                "PATH": f"{self.home}/bin:{self.tools}",
                "NOVA_MULTI_LIB": str(self.home / "lib.sh"),
                "NOVA_MULTI_ROOT": str(self.root),
                **variables,
            },
        )
        if check:
            assert done.returncode == 0, done.stderr
            return done.stdout
        return done.returncode, done.stdout + done.stderr

    def calls(self):
        """How the made-up programs were called since the last time."""
        if not self.calls_file.exists():
            return []
        found = self.calls_file.read_text().splitlines()
        self.calls_file.unlink()
        return found

    def read(self, path):
        """A file of the root tree."""
        return (self.root / path).read_text()

    def write(self, path, text="", mode=0o644):
        """Make a file in the root tree."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)


# -- packages

APT = "apt-get -y -q -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold"


def debian(system, *installed):
    system.tool("apt-get")
    names = " | ".join(installed) or "none"
    system.tool(
        "dpkg-query",
        f"for n; do :; done; case $n in {names}) echo 'install ok installed' ;;"
        " *) exit 1 ;; esac",
    )
    (system.root / "var/lib/apt/lists").mkdir(parents=True)


def without(calls, *programs):
    return [each for each in calls if each.split()[0] not in programs]


def test_packages_by_apt(system):
    debian(system, "curl")
    system.run("package install curl nginx debian:extra alpine:other")
    assert without(system.calls(), "dpkg-query") == [
        f"{APT} update",
        f"{APT} install --no-install-recommends nginx extra",
    ]
    system.write("var/lib/apt/lists/x_main_binary-amd64_Packages")
    system.run("package install nginx; package remove nginx curl; package upgrade")
    assert without(system.calls(), "dpkg-query") == [
        f"{APT} install --no-install-recommends nginx",
        f"{APT} remove curl",
        f"{APT} update",
        f"{APT} upgrade",
    ]


def test_what_is_there_is_not_asked_for(system):
    debian(system, "curl", "nginx")
    system.run("package install curl nginx; package installed curl")
    assert without(system.calls(), "dpkg-query") == []
    assert system.run("package installed nginx other", check=False)[0] == 1


def test_stale_lists_are_renewed_once(system):
    debian(system)
    system.write("var/lib/apt/lists/x_Packages")
    system.tool("apt-get", "case $* in *install*) exit 100 ;; esac")
    status, _ = system.run("package install nginx", check=False)
    assert status == 100
    assert [each.removeprefix(APT) for each in system.calls() if "apt" in each] == [
        " install --no-install-recommends nginx",
        " update",
        " install --no-install-recommends nginx",
    ]


def test_packages_by_apk(system):
    system.tool("apk", '[ "$1" != info ] || [ "$3" = curl ] || exit 1')
    system.run(
        "package install curl nginx=1.2 debian:x alpine:y; package remove curl z;"
        "package upgrade; package upgrade curl"
    )
    assert [each for each in system.calls() if " info " not in each] == [
        "apk add --update-cache nginx=1.2 y",
        "apk del curl",
        "apk upgrade --update-cache",
        "apk add --update-cache --upgrade curl",
    ]


@pytest.mark.parametrize("tool", ["dnf", "yum", "microdnf"])
def test_packages_of_the_rhel_family(system, tool):
    system.tool(tool)
    system.tool("rpm", '[ "$2" = curl ] || exit 1')
    system.run(
        "package install curl redhat:httpd debian:apache2; package remove curl;"
        "package upgrade"
    )
    upgrade = "update" if tool == "microdnf" else "upgrade"
    assert without(system.calls(), "rpm") == [
        f"{tool} -y install httpd",
        f"{tool} -y remove curl",
        f"{tool} -y {upgrade}",
    ]


def test_without_a_package_tool(system):
    system.tool("busybox", "echo httpd; echo wget")
    system.run("package install httpd sed debian:nginx none:wget; package remove x")
    status, told = system.run("package install nginx", check=False)
    assert status == 1
    assert told == ("package: there is no package tool in this image: install nginx\n")


@pytest.mark.parametrize(
    "call",
    [
        "package",
        "package install",
        "package frob x",
        "package install --allow-unauthenticated",
        "package install x -y",
        "repository add",
        "repository add ../x http://a suite=b",
        "repository add x notaurl",
        'repository add x http://a "suite=b\nc"',
        "repository add x http://a suite=b key=/missing",
        "repository add x http://a",
        "user add 'x:0'",
        "user add x frob=1",
        "user frob x",
        "file put relative",
        "file put /etc",
        "service start ../x",
        "service start missing",
        "service create x",
        "property get frob",
        "property",
    ],
)
def test_wrong_calls_say_so(tmp_path, call):
    system = System(tmp_path, ["/bin/sh"])
    debian(system)
    status, told = system.run(f"{call} </dev/null", check=False)
    assert status != 0
    assert told.startswith(f"{call.split()[0]}: ")
    assert len(told.splitlines()) <= 2
    assert without(system.calls(), "dpkg-query") == []


# -- services


def test_services_by_systemd(system):
    system.tool("systemctl")
    (system.root / "run/systemd/system").mkdir(parents=True)
    system.run(
        'service create site busybox httpd -f -h "/srv/my site" "it\'s";'
        "for verb in enable start stop restart reload status disable; do"
        " service $verb site; done"
    )
    words = ("enable", "start", "stop", "restart", "reload", "status", "disable")
    assert system.calls() == [
        "systemctl daemon-reload",
        *(f"systemctl --no-pager {word} site" for word in words),
    ]
    unit = system.read("etc/systemd/system/site.service")
    assert "ExecStart=/usr/local/lib/nova-multi/site\n" in unit
    run = system.read("usr/local/lib/nova-multi/site")
    assert run == (
        "#!/bin/sh\nexec 'busybox' 'httpd' '-f' '-h' '/srv/my site' 'it'\\''s'\n"
    )


def test_services_by_openrc(system):
    for name in ("rc-service", "rc-update"):
        system.tool(name)
    system.run(
        "service create site x; service enable site; service start site;"
        "service restart site; service stop site; service status site;"
        "service disable site"
    )
    assert system.calls() == [
        "rc-update -q add site default",
        "rc-service --ifstopped site start",
        "rc-service site restart",
        "rc-service --ifstarted site stop",
        "rc-service site status",
        "rc-update -q del site default",
    ]
    assert system.read("etc/init.d/site").startswith("#!/sbin/openrc-run\n")


def test_services_of_sysvinit(system):
    system.tool("update-rc.d")
    system.write(
        "etc/init.d/ssh", f'#!/bin/sh\necho "$1" >>{system.root}/said\n', 0o755
    )
    system.run("service enable ssh; service start ssh; service disable ssh")
    assert system.calls() == ["update-rc.d ssh defaults", "update-rc.d -f ssh remove"]
    assert system.read("said") == "start\n"
    system.run("service create site sleep 1000")
    header = system.read("etc/init.d/site").splitlines()[1:8]
    assert header[0] == "### BEGIN INIT INFO" and header[-1] == "### END INIT INFO"
    assert header[1] == "# Provides: site"


def test_services_without_any_init_system(system):
    """They run for real here."""
    system.write("etc/rc.local", "#!/bin/sh\necho mine\nexit 0\n", 0o755)
    system.run(
        "service create site sleep 1234; service enable site; service enable site"
    )
    assert system.read("etc/rc.local").splitlines() == [
        "#!/bin/sh",
        "echo mine",
        "/etc/init.d/site start",
    ]
    assert "does not run" in system.run("service status site", check=False)[1]
    system.run("service start site; service start site")
    try:
        status, told = system.run("service status site", check=False)
        assert status == 0 and "site runs as process" in told
        first = system.read("run/site.pid")
        system.run("service restart site")
        assert system.read("run/site.pid") != first
    finally:
        system.run("service stop site; service stop site")
    assert system.run("service status site", check=False)[0] == 3
    system.run("service disable site")
    assert "site" not in system.read("etc/rc.local")


def test_a_service_is_there_as_soon_as_it_is_started(system):
    """Whoever looks finds a shell at first, in place of the program."""
    grep, seen = shutil.which("grep"), system.home / "seen"
    system.tool("grep", f'[ -e {seen} ] || {{ : > {seen}; exit 1; }}\nexec {grep} "$@"')
    system.run("service create site sleep 1234")
    seen.unlink(missing_ok=True)
    system.run("service start site && service status site && service stop site")
    status, _ = system.run("service status site", check=False)
    assert status == 3


def test_services_of_a_busybox_init(system):
    system.write("etc/init.d/rcS", "#!/bin/sh\n", 0o755)
    system.run("service create site sleep 1; service enable site")
    assert (system.root / "etc/init.d/S90site").is_symlink()
    system.run("service disable site")
    assert not (system.root / "etc/init.d/S90site").is_symlink()


def test_the_systems_own_commands_are_not_hidden(system):
    for name in ("service", "file"):
        system.tool(name)
    system.tool("apt-get", "service ssh restart; case $PATH in *home*) exit 9 ;; esac")
    system.tool("dpkg-query", status=1)
    system.write("var/lib/apt/lists/x_Packages")
    system.run("service nginx restart; service --status-all; file -b /bin/ls")
    assert system.calls() == [
        "service nginx restart",
        "service --status-all",
        "file -b /bin/ls",
    ]
    system.run("package install x")
    assert system.calls()[-1] == "service ssh restart"


# -- repositories

ASCII_KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n"


def test_a_repository_for_apt(system, tmp_path):
    debian(system)
    system.write("var/lib/apt/lists/x_Packages")
    (tmp_path / "key").write_text(ASCII_KEY)
    add = (
        f"repository add docker debian:https://d.example/debian alpine:https://a.example"
        f" suite=bookworm 'components=stable test' key={tmp_path}/key;"
    )
    system.run(add * 2)
    assert system.read("etc/apt/sources.list.d/docker.list") == (
        "deb [signed-by=/etc/apt/keyrings/docker.asc] https://d.example/debian bookworm"
        " stable test\n"
    )
    assert system.read("etc/apt/keyrings/docker.asc") == ASCII_KEY
    system.run("package install x")
    assert f"{APT} update" in system.calls()
    system.run("package install x")
    assert f"{APT} update" not in system.calls()
    (tmp_path / "key").write_bytes(b"\x99\x01")
    system.run(add)
    assert "docker.gpg" in system.read("etc/apt/sources.list.d/docker.list")
    system.run("repository remove docker; repository remove docker")
    assert not list((system.root / "etc/apt").glob("*/docker*"))


def test_a_repository_for_apk(system, tmp_path):
    system.tool("apk")
    system.write("etc/apk/repositories", "https://main")
    (tmp_path / "me.rsa.pub").write_text("key")
    system.run(f"repository add mine https://m.example key={tmp_path}/me.rsa.pub;" * 2)
    assert system.read("etc/apk/repositories") == "https://main\nhttps://m.example\n"
    assert system.read("etc/apk/keys/me.rsa.pub") == "key"
    system.run("repository add other debian:https://o suite=x")
    system.run("repository remove mine; repository remove mine")
    assert system.read("etc/apk/repositories") == "https://main\n"


def test_a_repository_for_yum(system, tmp_path):
    system.tool("dnf")
    (tmp_path / "key").write_text(ASCII_KEY)
    system.run(f"repository add mine redhat:https://m.example/9 key={tmp_path}/key")
    assert system.read("etc/yum.repos.d/mine.repo").splitlines() == [
        "[mine]",
        "name=mine",
        "baseurl=https://m.example/9",
        "enabled=1",
        "gpgcheck=1",
        "gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-mine",
    ]
    system.run("repository remove mine")
    assert not (system.root / "etc/yum.repos.d/mine.repo").exists()


# -- users


def test_users_by_useradd(system):
    system.write("etc/passwd", "old:x:5:5::/home/old:/bin/sh\n")
    system.write("etc/group", "sudo:x:27:\n")
    for name in ("useradd", "usermod", "groupadd", "userdel"):
        system.tool(name)
    system.run(
        "user add web uid=1500 system=yes shell=/bin/false groups=sudo,site;"
        "user add old; user remove web; user remove old"
    )
    assert system.calls() == [
        "useradd -u 1500 -r -m -d /home/web -s /bin/false web",
        "usermod -a -G sudo web",
        "groupadd site",
        "usermod -a -G site web",
        "userdel -r old",
    ]


def test_users_by_busybox(system):
    for name in ("adduser", "addgroup", "deluser"):
        system.tool(name)
    system.run("user add web uid=1500 home=/srv/web groups=site; user remove web")
    assert system.calls() == [
        "adduser -D -u 1500 -h /srv/web -s /bin/sh web",
        "addgroup site",
        "addgroup web site",
    ]
    assert system.run("user add x 'home=/a b;c'") == ""
    assert system.calls() == ["adduser -D -h /a b;c -s /bin/sh x"]


def test_a_users_key(system):
    system.tool("chown")
    system.write("etc/passwd", "web:x:5:5::/home/web:/bin/sh\n")
    system.run("user add web key='ssh-ed25519 AAAA me';" * 2)
    path = system.root / "home/web/.ssh/authorized_keys"
    assert path.read_text() == "ssh-ed25519 AAAA me\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


# -- files and templates


def test_files(system):
    text = "a\n\\n $HOME `x`\n"
    system.run("file put /etc/new/site.conf 0640", text=text)
    path = system.root / "etc/new/site.conf"
    assert path.read_text() == text
    assert path.stat().st_mode & 0o777 == 0o640
    before = path.stat()
    system.run("file put /etc/new/site.conf", text=text)
    assert path.stat().st_ino == before.st_ino, "it was written anew"
    system.run("file put /etc/new/site.conf", text="other")
    assert path.read_text() == "other"
    assert path.stat().st_mode & 0o777 == 0o640, "its mode is lost"
    system.run("file put /etc/new/site.conf 0600", text="other")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["site.conf"]
    system.run("umask 077; file put /etc/default", text="x")
    assert (system.root / "etc/default").stat().st_mode & 0o777 == 0o644


def test_a_file_that_can_not_be_written_is_left_alone(system):
    system.write("etc/a", "old")
    status, _ = system.run("echo new | file put /etc/a 0644 no:such", check=False)
    assert status != 0
    assert system.read("etc/a") == "old"
    assert sorted(each.name for each in (system.root / "etc").iterdir()) == ["a"]


def test_a_mounted_file_is_filled_in_place(system):
    """A Docker container's /etc/hosts can't be replaced by another file."""
    system.write("etc/hosts", "127.0.0.1 localhost\n")
    system.tool("mv", status=1)
    system.run("file line /etc/hosts '10.0.0.5 db'")
    assert system.read("etc/hosts") == "127.0.0.1 localhost\n10.0.0.5 db\n"
    system.run("echo new | file put /etc/hosts 0600")
    assert (system.root / "etc/hosts").stat().st_mode & 0o777 == 0o600
    assert [each.name for each in (system.root / "etc").iterdir()] == ["hosts"]


def test_lines_of_files(system):
    system.write("etc/hosts", "127.0.0.1 localhost")
    system.run(
        "file line /etc/hosts '10.0.0.5 db.*'; file line /etc/hosts '10.0.0.5 db.*'"
    )
    assert system.read("etc/hosts") == "127.0.0.1 localhost\n10.0.0.5 db.*\n"
    system.run("file line /etc/none '-x'")
    assert system.read("etc/none") == "-x\n"


def test_templates_are_data(system, tmp_path):
    template = "{{A}} and {{B}}{{A}}, {{ A }} {A} {{}}\n$A `id` \\n & {{B}}\n"
    nasty = "$(id) `id` & \\1 \\\\ {{A}} / | 'q' \"d\"\nsecond"
    want = template.replace("{{B}}", "\0").replace("{{A}}", "1").replace("\0", nasty)
    assert system.run("template", text=template, A="1", B=nasty) == want
    file = tmp_path / "a=b.in"
    file.write_text("{{A}}")
    assert system.run(f"template {file}", A="x") == "x\n"


def test_a_template_without_a_value_is_an_error(system):
    status, told = system.run("echo '{{NO}} {{NO}} {{HE}}' | template", check=False)
    assert status == 1
    assert "template: no value for NO HE" in told


# -- properties


def test_properties(system):
    uuid = "5d8d6d0a-7d21-459d-a1fd-12afd4d554cb"
    system.tool(
        "ip",
        "echo '2: eth0    inet 10.0.0.7/24 brd x scope global eth0'"
        "; echo '2: eth0    inet6 fd00::7/64 scope global'",
    )
    system.tool("nproc", "echo 8")
    debian(system)
    system.write("etc/os-release", 'ID=debian\nVERSION_ID="12"\n')
    system.write("var/lib/nova-multi/instance-uuid", f"{uuid}\n")
    system.write("proc/meminfo", "MemTotal:       16384000 kB\n")
    system.write("proc/cpuinfo", "processor : 0\nflags : a hypervisor b\n")
    system.write("sys/fs/cgroup/memory.max", "536870912\n")
    system.write("sys/fs/cgroup/cpu.max", "150000 100000\n")
    found = dict(
        line.split("=", 1) for line in system.run("property list").splitlines()
    )
    found.pop("hostname"), found.pop("architecture")
    assert found == {
        "uuid": uuid,
        "address": "10.0.0.7",
        "addresses": "10.0.0.7 fd00::7",
        "os": "debian",
        "os_version": "12",
        "os_family": "debian",
        "init": "sysv",
        "memory": "512",
        "cpus": "2",
        "hypervisor": "libvirt",
    }
    assert system.run("property get uuid") == f"{uuid}\n"


def test_properties_of_a_bare_system(system):
    system.write("proc/meminfo", "MemTotal:       2048000 kB\n")
    system.write("sys/fs/cgroup/memory.max", "max\n")
    system.write("sys/fs/cgroup/cpu.max", "max 100000\n")
    system.tool("nproc", "echo 2")
    system.write(
        "sys/class/dmi/id/product_uuid", "5D8D6D0A-7D21-459D-A1FD-12AFD4D554CB\n"
    )
    system.write(
        "proc/net/fib_trie",
        "  |-- 127.0.0.1\n   /32 host LOCAL\n  |-- 10.0.0.9\n   /32 host LOCAL\n",
    )
    assert system.run("property get memory") == "2000\n"
    assert system.run("property get cpus") == "2\n"
    assert system.run("property get address") == "10.0.0.9\n"
    assert system.run("property get os_family") == "none\n"
    assert system.run("property get uuid").startswith("5d8d6d0a-")
    # The host's firmware tells nothing of a container.
    system.write(".dockerenv")
    assert system.run("property get hypervisor") == "docker\n"
    assert system.run("property get uuid", check=False) == (
        1,
        "property: uuid is not known here\n",
    )
    (system.root / ".dockerenv").unlink()
    system.write("proc/1/environ", "A=b\0container=lxc\0")
    assert system.run("property get hypervisor") == "lxd\n"


def test_the_library_can_be_read_by_a_script(system):
    """Its functions leave a strict script's settings and variables alone."""
    debian(system, "curl")
    script = (
        "set -eu; nm_name=mine; IFS=:; before=$PATH;"
        '. "$NOVA_MULTI_LIB"; nm_install curl; nm_package installed curl;'
        "echo x | nm_file put /etc/x; nm_property get os_family;"
        "if nm_package installed other; then exit 9; fi; A=1; export A;"
        'echo "{{A}}" | nm_template;'
        '[ "$before" = "$PATH" ]; echo "$nm_name$IFS$-"'
    )
    lines = system.run(script).splitlines()
    assert lines[:2] == ["debian", "1"]
    assert lines[2].startswith("mine:") and "e" in lines[2] and "u" in lines[2]


def test_the_example(system):
    """examples/site-with-library.sh, but for the web server itself."""
    system.tool("busybox", "case $1 in httpd) exec sleep 1235 ;; esac")
    system.tool("ip", "echo '2: eth0    inet 10.0.0.7/24'")
    (system.tools / "date").symlink_to(shutil.which("date"))
    system.write(".dockerenv")
    script = (TOP / "examples" / "site-with-library.sh").read_text()
    try:
        told = system.run(script * 2, TITLE="Shop & more")
    finally:
        system.run("service stop site")
    assert told.count("site: ready at") == 2
    page = system.read("srv/www/index.html")
    assert "<h1>Shop & more</h1>\n<p>Hypervisor seen from within: docker</p>" in page
    assert system.read("etc/rc.local").count("/etc/init.d/site start") == 1
    reported = (system.home / "report").read_text()
    assert "output url http://10.0.0.7/\n" in reported
    assert "progress Making Shop & more on docker\n" in reported
    assert "busybox httpd -f -p 80 -h /srv/www" in system.calls()


def test_it_stays_small():
    assert len(guest._plain_library(more=False)) < 17_000
    assert len(guest._packed_library(more=False)) < 8_500
    assert len(guest._packed_library(more=True)) < 10_000
    library = TOP / "nova_multi" / "guest" / "lib.sh"
    assert library.read_text().startswith("#!/bin/sh\n# SPDX-License-Identifier")
