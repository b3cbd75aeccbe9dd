# SPDX-License-Identifier: Apache-2.0
"""The commands of the provisioning service: configuration, start, checks."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import urllib.request

import pytest
import werkzeug.test
from oslo_config import cfg

from nova_multi import exception
from nova_multi.cmd import api, assembly, serve, status, worker
from nova_multi.conf import provision as conf_provision
from nova_multi.domain.driver import Driver
from nova_multi.domain.host import Policy
from nova_multi.provision import fetch
from nova_multi.provision.sealing import Seal
from nova_multi.provision.store import db_sync

CLOUDS = """
clouds:
  mine:
    auth_type: password
    auth:
      auth_url: http://127.0.0.1:1/v3
      username: me
      password: "pa$$word%"
      project_name: ours
      user_domain_name: Default
      project_domain_name: Default
  nova-multi-admin: &admin
    auth:
      auth_url: http://127.0.0.1:1/v3
      username: admin
      password: x
      project_name: service
      user_domain_name: Default
      project_domain_name: Default
  nova-multi-manager: *admin
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where nothing but the test's clouds.yaml is found."""
    clouds = tmp_path / "clouds.yaml"
    clouds.write_text(CLOUDS)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(clouds))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder, text):
    path = folder / "nova-multi.conf"
    path.write_text(textwrap.dedent(text))
    return str(path)


def read(folder, text):
    return assembly.configuration([], "test", files=[write(folder, text)])


def test_settings(folder):
    conf = read(
        folder,
        """
        [cloud]
        domain_id = d
        timeout = 20
        [provision]
        policy = most_free_memory
        external_network = public
        first_free_port = 1000
        last_free_port = 1001
        dns = 192.0.2.53, 192.0.2.54
        lxd_suffix = -l
        [worker]
        lease = 40
        """,
    )
    found = assembly.settings(conf)
    assert found.domain_id == "d"
    assert found.policy is Policy.MOST_FREE_MEMORY
    assert list(found.ports) == [1000, 1001]
    assert found.dns == ("192.0.2.53", "192.0.2.54")
    assert found.suffixes[Driver.LXD] == "-l"
    assert found.listening is False


def test_novas_policy(folder):
    conf = read(folder, "[provision]\npolicy = nova\n")
    assert assembly.settings(conf).policy is None


def test_with_a_bus_it_listens(folder):
    conf = read(folder, "[DEFAULT]\ntransport_url = rabbit://u:p@127.0.0.1/\n")
    assert assembly.settings(conf).listening is True


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[worker]\nlease = 59\n", "lease"),
        ("[provision]\nfirst_free_port = 9\nlast_free_port = 8\n", "first_free_port"),
        ("[provision]\nendpoints = multi.example\n", "endpoints"),
    ],
)
def test_options_that_contradict(folder, text, told):
    with pytest.raises(exception.ConfigurationError, match=told):
        assembly.settings(read(folder, text))


def test_without_a_database(folder):
    with pytest.raises(exception.ConfigurationError, match="database"):
        assembly.tools(read(folder, "[DEFAULT]\n"))


def test_every_option_explains_itself():
    for options in conf_provision.list_opts().values():
        for option in options:
            assert len(option.help) > 40, option.name


def test_the_defaults_agree():
    from nova_multi.provision.settings import Settings

    conf = cfg.ConfigOpts()
    conf_provision.register_opts(conf)
    assert conf.worker.lease == Settings().lease
    assert conf.provision.patience == Settings().patience
    assert conf.provision.report_timeout == Settings().report_timeout
    assert conf.provision.script_timeout == Settings().script_timeout
    assert conf.provision.task_retention * 86400 == Settings().task_retention
    assert conf.provision.download_timeout == Settings().download_timeout
    assert conf.worker.threads // 4 == Settings().downloads
    max_files = conf.provision.max_project_files_gb * 1024**3
    assert max_files == Settings().max_project_files
    assert conf.provision.environment_cidr == Settings().cidr
    assert conf.provision.first_free_port == Settings().ports[0]
    assert conf.provision.last_free_port == Settings().ports[-1]


def configured(folder, bus="rabbit://"):
    return write(
        folder,
        f"""
        [DEFAULT]
        use_stderr = true
        transport_url = {bus}
        [database]
        connection = sqlite:///{folder}/state.sqlite
        [provision]
        files_folder = {folder}/files
        [keystone_authtoken]
        auth_type = password
        auth_url = http://127.0.0.1:1/v3
        username = nova-multi
        password = x
        """,
    )


def test_the_application(folder, monkeypatch):
    db_sync(f"sqlite:///{folder}/state.sqlite")
    monkeypatch.setenv(api.FILES, configured(folder))
    client = werkzeug.test.Client(api.make_application())
    described = client.get("/v1/openapi.json")
    assert described.status_code == 200
    assert json.loads(described.data)["openapi"].startswith("3.1")
    assert client.get("/v1/instances").status_code == 401
    health = client.get("/healthcheck")
    assert health.status_code == 503
    names = [each["name"] for each in json.loads(health.data)["backends"]]
    assert names == ["database", "keystone", "nova"]


def test_its_health_tells_of_the_bus(folder, monkeypatch):
    db_sync(f"sqlite:///{folder}/state.sqlite")
    for url, found in (("rabbit://", None), ("fake://", True)):
        monkeypatch.setenv(api.FILES, configured(folder, url))
        health = werkzeug.test.Client(api.make_application()).get("/healthcheck").json
        backends = {each["name"]: each["healthy"] for each in health["backends"]}
        assert backends.get("message bus") is found
        assert backends["database"] is True and backends["keystone"] is False


def test_a_worker_without_tables_says_so(folder, capsys):
    arguments = ["--config-file", configured(folder)]
    (folder / "state.sqlite").touch()
    assert worker.main(arguments) == 1
    assert "nova-multi-manage db sync" in capsys.readouterr().err


def test_a_worker_ends_when_it_is_told_to(folder):
    db_sync(f"sqlite:///{folder}/state.sqlite")
    process = subprocess.Popen(
        [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "nova_multi.cmd.worker",
            "--config-file",
            configured(folder),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    told = []
    begun = threading.Event()

    def listen():
        for line in process.stderr:
            told.append(line)
            if " begins" in line:
                begun.set()
        begun.set()

    thread = threading.Thread(target=listen)
    thread.start()
    assert begun.wait(120)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0, "".join(told)
    thread.join()
    assert any(" ends" in line for line in told), told


def test_serve_has_a_configuration_of_its_own(folder):
    conf = serve.configuration("mine", folder / "state")
    assert conf.cloud.single_cloud == "mine"
    assert conf.database.connection == f"sqlite:///{folder}/state/state.sqlite"
    assert (folder / "state").stat().st_mode & 0o077 == 0
    # The password is nowhere but in clouds.yaml.
    for path in (folder / "state").rglob("*"):
        assert b"pa$$word" not in path.read_bytes()
    from keystonemiddleware.auth_token import AuthProtocol

    middleware = AuthProtocol(lambda e, s: [], {"oslo_config_config": conf})
    plugin = middleware._create_auth_plugin()
    assert plugin.auth_url == "http://127.0.0.1:1/v3"
    assert plugin._password == "pa$$word%"


def test_serve_answers_until_it_is_told_to_end(folder):
    program = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "nova_multi.cmd.serve",
        "serve",
        "--cloud",
        "mine",
        "--port",
        "0",
        "--folder",
        str(folder / "state"),
    ]
    process = subprocess.Popen(
        program,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    told = []
    address = []
    begun = threading.Event()

    def listen():
        for line in process.stderr:
            told.append(line)
            if "serving http://" in line:
                address.append(line.split("serving ")[1].split()[0])
            if " begins" in line:
                begun.set()
        begun.set()

    thread = threading.Thread(target=listen)
    thread.start()
    assert begun.wait(120)
    assert address, "".join(told)
    with urllib.request.urlopen(f"{address[0]}/v1/openapi.json", timeout=60) as answer:
        assert json.load(answer)["openapi"].startswith("3.1")
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 0, "".join(told)
    thread.join()


@pytest.mark.parametrize(
    ("host", "told"),
    [("127.0.0.1", "http://127.0.0.1:9797"), ("::1", "http://[::1]:9797")],
)
def test_where_serve_is(host, told):
    assert serve.endpoint(host, 9797) == told
    assert fetch.parsed(told).hostname == host


def test_serve_of_an_unknown_cloud(folder, capsys):
    arguments = ["serve", "--cloud", "nobodys", "--folder", str(folder / "state")]
    assert serve.main(arguments) == 1
    assert "nobodys" in capsys.readouterr().err


def checks(folder, text):
    conf = read(folder, text)
    return status.Checks(conf)


def test_the_check_of_the_database(folder):
    url = f"sqlite:///{folder}/state.sqlite"
    found = checks(folder, "[DEFAULT]\n")._database()
    assert found.code == status._FAILURE
    made = checks(folder, f"[database]\nconnection = {url}\n")
    assert made._database().code == status._FAILURE
    assert "db sync" in made._database().details
    db_sync(url)
    assert made._database().code == status._OK


def test_the_other_checks(folder):
    made = checks(
        folder,
        f"""
        [provision]
        files_folder = {folder}
        [worker]
        lease = 10
        """,
    )
    assert made._settings().code == status._FAILURE
    assert made._files().code == status._OK
    assert made._accounts().code == status._FAILURE
    made = checks(folder, "[worker]\nlease = 60\n")
    assert made._settings().code == status._OK
    assert made._bus().code == status._WARNING


def test_the_check_of_accounts_reads_the_named_file(folder):
    os.environ["OS_CLIENT_CONFIG_FILE"] = str(folder / "none.yaml")
    unknown = checks(folder, "")._accounts().details
    assert "was not found" in unknown
    named = checks(folder, f"[cloud]\nclouds_file = {folder}/clouds.yaml\n")
    assert "was not found" not in named._accounts().details


def test_the_key_is_made_once_and_whole(tmp_path, monkeypatch):
    def killed(descriptor):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(serve.os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            serve.secret_key(tmp_path)
    assert list(tmp_path.iterdir()) == []
    key = serve.secret_key(tmp_path)
    assert Seal([key]) and serve.secret_key(tmp_path) == key
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
