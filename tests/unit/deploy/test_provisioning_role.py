# SPDX-License-Identifier: Apache-2.0
"""What the role writes is what the service reads."""

from __future__ import annotations

import ipaddress
import json
import re
import runpy
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from oslo_config import cfg

from nova_multi.api.policies import make_enforcer
from nova_multi.cloud.clouds import Account, CloudConfig, Clouds
from nova_multi.cmd import assembly
from nova_multi.conf import api as conf_api
from nova_multi.conf import provision as conf_provision
from nova_multi.domain.driver import Driver
from nova_multi.domain.provisioner import Ways
from nova_multi.provision import bus, sealing
from nova_multi.provision.sealing import Seal
from nova_multi.provision.store import options
from tests.unit.deploy.conftest import DEPLOY

INVENTORY = DEPLOY / "inventories" / "all-in-one" / "group_vars" / "all"
VARIABLES: dict[str, Any] = {}
for _path in [*INVENTORY.glob("*.yml"), *DEPLOY.glob("roles/messaging/defaults/*.yml")]:
    VARIABLES |= yaml.safe_load(_path.read_text())


_FILTERS = DEPLOY / "plugins" / "filter" / "provisioning.py"
_fernet_key = runpy.run_path(str(_FILTERS))["fernet_key"]


class _Passwords:
    def __getattr__(self, name: str) -> str:
        return f"secret-{name}"

    __getitem__ = __getattr__


def render(role: str, name: str, **others: Any) -> str:
    """A template with the inventory's variables, in short.

    :param others: in place of the inventory's.
    """
    folders = [DEPLOY / "roles" / role / "templates", DEPLOY / "templates"]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["bool"] = bool
    environment.filters["rabbitmq_password_hash"] = len
    environment.filters["fernet_key"] = _fernet_key
    variables = {
        **VARIABLES,
        "nm_etc": "/etc/nova-multi",
        "nm_venv": "/opt/nova-multi/venv",
        "nm_state": "/var/lib/nova-multi",
        "database_address": "192.0.2.1",
        "cache_address": "192.0.2.1",
        "provisioning_url": "http://192.0.2.1:9797/v1",
        "identity_url": "http://192.0.2.1:5000/v3",
        "transport_url": "rabbit://openstack:secret@192.0.2.1:5672/",
        "messaging_notification_topics": [
            "notifications",
            VARIABLES["nova_notifications_topic"],
        ],
        "network_dns_servers": ["192.0.2.53"],
        "api_listen": ["127.0.0.1"],
        "passwords": _Passwords(),
        **others,
    }
    return environment.get_template(name).render(variables)


def read(tmp_path: Path, **others: Any) -> cfg.ConfigOpts:
    """The configuration, as the service reads it."""
    path = tmp_path / "nova-multi.conf"
    path.write_text(render("provisioning", "nova-multi.conf.j2", **others))
    conf = cfg.ConfigOpts()
    for module in (conf_api, conf_provision, options):
        module.register_opts(conf)
    conf([], project="nova-multi", default_config_files=[str(path)])
    return conf


@pytest.fixture
def conf(tmp_path: Path) -> cfg.ConfigOpts:
    return read(tmp_path)


@pytest.mark.parametrize(
    "section", ["api", "cloud", "provision", "secrets", "worker", "database"]
)
def test_every_option_is_one_of_the_service(
    conf: cfg.ConfigOpts, section: str, tmp_path: Path
) -> None:
    parsed: dict[str, Any] = {}
    cfg.ConfigParser(str(tmp_path / "nova-multi.conf"), parsed).parse()
    assert set(parsed[section]) <= set(conf[section])
    assert parsed[section]


def test_the_options_agree_with_one_another(conf: cfg.ConfigOpts) -> None:
    settings = assembly.settings(conf)
    assert settings.domain_id == VARIABLES["provisioning_domain_id"]
    assert settings.listening
    assert settings.endpoints == ("http://192.0.2.1:9797/v1",)
    assert settings.ways == Ways(metadata=True)


def test_secrets_are_sealed_by_a_key_of_the_passwords(
    conf: cfg.ConfigOpts, tmp_path: Path
) -> None:
    sealed = Seal(conf.secrets.fernet_keys).close("text")
    again = read(tmp_path)
    assert Seal(again.secrets.fernet_keys).open(sealed) == "text"
    former = sealing.new_key()
    changed = read(tmp_path, provisioning_former_keys=[former])
    assert changed.secrets.fernet_keys == [*conf.secrets.fernet_keys, former]


def test_novas_metadata_service_asks_and_its_computes_do_not() -> None:
    identity = (DEPLOY / "roles" / "identity" / "vars" / "main.yml").read_text()
    assert "{name: nova-metadata," in identity
    control = (
        DEPLOY / "roles" / "compute-control" / "templates" / "nova.conf.j2"
    ).read_text()
    computes = (DEPLOY / "templates" / "compute-common.conf.j2").read_text()
    assert "provisioning_vendordata_targets" in control
    assert "service_user = 'nova_metadata'" in control
    assert "provisioning_vendordata" not in computes
    assert "nova_metadata" not in computes
    # Its name is the one that the service's policy asks for.
    auth = jinja2.Environment().from_string(
        (DEPLOY / "templates" / "keystone-auth.conf.j2").read_text()
    )
    written = auth.render(
        service_user="nova_metadata", passwords=_Passwords(), identity_url="x"
    )
    assert "username = nova-metadata\n" in written


def test_default_images_are_those_of_the_example(tmp_path: Path) -> None:
    example = yaml.safe_load(
        (DEPLOY / "roles" / "example" / "defaults" / "main.yml").read_text()
    )
    (servers,) = (
        each
        for each in example.values()
        if isinstance(each, dict) and set(each) == set(Driver)
    )
    settings = assembly.settings(read(tmp_path))
    assert settings.images == {d: servers[d]["image"] for d in Driver}
    images = {"docker": "", "lxd": "mine"}
    settings = assembly.settings(read(tmp_path, provisioning_images=images))
    assert settings.images == {Driver.LXD: "mine"}


@pytest.mark.parametrize("taken", [True, False])
def test_signatures_are_the_inventorys_to_allow(tmp_path: Path, taken: bool) -> None:
    conf = read(tmp_path, provisioning_virtshell_signature=taken)
    assert conf.api.virtshell_signature is taken


def test_signatures_are_taken_where_only_the_machine_itself_comes(
    conf: cfg.ConfigOpts,
) -> None:
    assert conf.api.virtshell_signature
    assert ipaddress.ip_address(VARIABLES["management_address"]).is_loopback


def test_audit_records_go_to_the_bus_and_to_the_log(conf: cfg.ConfigOpts) -> None:
    assert bus.AuditNotifier(conf).sends
    assert conf.oslo_messaging_notifications.driver == ["messagingv2", "log"]


def test_both_accounts_are_found(
    conf: cfg.ConfigOpts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clouds.yaml"
    path.write_text(render("provisioning", "clouds.yaml.j2"))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
    clouds = Clouds(
        CloudConfig(
            admin=Account(cloud=conf.cloud.admin_cloud),
            manager=Account(cloud=conf.cloud.manager_cloud),
        )
    )
    admin = clouds.admin().connection.sdk.config.config["auth"]
    manager = clouds.manager().connection.sdk.config.config["auth"]
    assert (admin["username"], admin["project_name"]) == (
        "provisioning-admin",
        "service",
    )
    assert admin["password"] == "secret-service_provisioning_admin"
    assert manager["domain_id"] == manager["user_domain_id"] == conf.cloud.domain_id
    assert "project_name" not in manager


def test_the_policy_file_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(render("provisioning", "policy.yaml.j2"))
    conf = cfg.ConfigOpts()
    conf([], project="nova-multi")
    enforcer = make_enforcer(conf)
    conf.set_override("policy_file", str(path), group="oslo_policy")
    enforcer.load_rules()
    assert enforcer.file_rules == {}


def test_the_application_is_one_that_the_package_has() -> None:
    text = render("provisioning", "uwsgi.ini.j2")
    module, function = re.findall(r"^module = (\S+):(\w+)\(\)$", text, re.M)[0]
    path = DEPLOY.parent / f"{module.replace('.', '/')}.py"
    assert f"\ndef {function}() -> " in path.read_text()


def test_notifications_go_where_workers_listen() -> None:
    assert VARIABLES["nova_notifications_topic"] == bus.NOTIFICATIONS


@pytest.mark.parametrize(
    ("queue", "bounds"),
    [
        ("nova_multi_notifications.info", {"message-ttl", "max-length-bytes"}),
        ("nova_multi_notifications.error", {"message-ttl", "max-length-bytes"}),
        ("notifications.info", {"message-ttl", "max-length-bytes"}),
        # Each worker has one of its own, by a name that never comes again.
        ("nova_multi_worker.host:12:ab", {"expires"}),
        ("nova_multi_worker", set()),
        ("conductor", set()),
        ("compute.node", set()),
        ("reply_0123", set()),
    ],
)
def test_what_nobody_takes_goes_and_nothing_else(queue: str, bounds: set[str]) -> None:
    written = json.loads(render("messaging", "definitions.json.j2"))
    fitting = [
        each["definition"]
        for each in written["policies"]
        if re.search(each["pattern"], queue)
    ]
    assert {key for each in fitting for key in each} - {"overflow"} == bounds
    assert all(each.get("overflow", "drop-head") == "drop-head" for each in fitting)
