# SPDX-License-Identifier: Apache-2.0
"""Which account asks, in which scope, with which timeout; and what is shared."""

from __future__ import annotations

import logging
import threading

import pytest

from nova_multi import exception
from nova_multi.cloud.clouds import Account, CloudConfig, Clouds
from nova_multi.cloud.values import NewServer
from nova_multi.domain import errors

from .conftest import ADMIN, MANAGER
from .fake import REFUSED, TIMED_OUT, Answer

FLAVORS = {"flavors": []}


def scopes(fake):
    return [login.get("scope") for login in fake.logins]


def test_nothing_is_asked_before_it_is_needed(fake, clouds):
    clouds.admin()
    clouds.project("p")
    assert not fake.logins
    assert not fake.calls


def test_admin_works_in_its_own_project(fake, clouds):
    fake.on("compute", "GET", "/flavors/detail", FLAVORS)
    clouds.admin().flavors.flavors()
    assert scopes(fake) == [
        {"project": {"name": "service", "domain": {"name": "Default"}}}
    ]


def test_manager_works_in_a_domain(fake, clouds):
    fake.on("identity", "GET", "/projects", {"projects": []})
    clouds.manager().identity.projects()
    assert scopes(fake) == [{"domain": {"name": "multi"}}]


def test_manager_and_admin_in_a_project(fake, clouds):
    fake.on("compute", "GET", "/flavors/detail", FLAVORS)
    clouds.project("p1").flavors.flavors()
    clouds.admin("p1").flavors.flavors()
    assert scopes(fake) == [{"project": {"id": "p1"}}] * 2
    assert clouds.project("p1").project_id == "p1"
    assert clouds.manager().project_id is None


def test_one_login_serves_many_requests(fake, clouds):
    fake.on("compute", "GET", "/flavors/detail", FLAVORS)
    for _ in range(5):
        clouds.project("p1").flavors.flavors()
    assert len(fake.logins) == 1


def test_versions_are_asked_for_once_for_all_accounts(fake, clouds):
    fake.on("compute", "GET", "/flavors/detail", FLAVORS)
    for number in range(6):
        clouds.project(f"p{number}").flavors.flavors()
    found = [url for url in fake.discoveries if "nova" in url]
    assert len(found) == 1


def test_projects_that_are_kept_are_limited(fake):
    clouds = Clouds(CloudConfig(admin=ADMIN, manager=MANAGER, projects_kept=2))
    first = clouds.project("p1")
    assert clouds.project("p1") is first
    clouds.project("p2")
    clouds.project("p1")
    clouds.project("p3")
    assert clouds.project("p1") is first
    second = clouds.project("p2")
    clouds.forget("p2")
    assert clouds.project("p2") is not second


def test_every_request_has_a_timeout(fake):
    clouds = Clouds(CloudConfig(admin=ADMIN, manager=MANAGER, timeout=7.5))
    fake.on("compute", "GET", "/flavors/detail", FLAVORS)
    clouds.admin().flavors.flavors()
    clouds.project("p").flavors.flavors()
    assert {call.timeout for call in fake.calls} == {7.5}


@pytest.mark.parametrize(
    ("service", "path", "ask"),
    [
        ("image", "/images", lambda cloud: cloud.images.images()),
        ("compute", "/flavors/detail", lambda cloud: cloud.flavors.flavors()),
        ("network", "/ports", lambda cloud: cloud.networks.ports()),
        ("identity", "/projects", lambda cloud: cloud.identity.projects()),
    ],
)
def test_nothing_is_asked_twice(fake, cloud, service, path, ask):
    fake.on(service, "GET", path, Answer(503, headers={"Retry-After": "9"}))
    with pytest.raises(errors.Unavailable) as caught:
        ask(cloud)
    assert caught.value.retry_after == 9
    assert len(fake.lines()) == 1


@pytest.mark.parametrize("account", [Account(), Account(auth_type="password")])
def test_an_account_needs_something(account):
    with pytest.raises(exception.ConfigurationError):
        Clouds(CloudConfig(admin=account, manager=MANAGER))


def test_an_account_that_lacks_its_url():
    account = Account(auth={"username": "x", "password": "secret-word"})
    with pytest.raises(exception.ConfigurationError) as caught:
        Clouds(CloudConfig(admin=account, manager=MANAGER))
    assert "secret-word" not in str(caught.value)


def test_an_entry_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    (tmp_path / "clouds.yaml").write_text("clouds: {other: {auth: {}}}\n")
    with pytest.raises(exception.ConfigurationError):
        Clouds.single("mine")


def test_passwords_are_in_no_representation():
    assert "very-secret" not in repr(CloudConfig(admin=ADMIN, manager=MANAGER))


# -- a single project


@pytest.fixture
def single(tmp_path, monkeypatch, fake):
    path = tmp_path / "clouds.yaml"
    path.write_text(
        """
clouds:
  mine:
    region_name: one
    auth:
      auth_url: http://keystone.test/v3
      username: joe
      password: very-secret
      user_domain_name: Default
      project_name: joes
      project_domain_name: Default
"""
    )
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
    return Clouds.single("mine")


def test_single_has_one_scope_only(fake, single):
    fake.on("compute", "GET", "/flavors/detail", FLAVORS)
    assert single.is_single
    assert single.project("whatever") is single.project()
    single.project("another").flavors.flavors()
    assert scopes(fake) == [
        {"project": {"name": "joes", "domain": {"name": "Default"}}}
    ]


def test_single_has_no_administrators(fake, single):
    for ask in (single.admin, single.manager, lambda: single.admin("p")):
        with pytest.raises(errors.Unsupported) as caught:
            ask()
        assert caught.value.code == "single_project"
    assert not fake.logins


# -- services that come and go


def test_a_service_that_comes_back_is_used_again(fake, cloud):
    fake.on("compute", "GET", "/flavors/detail", FLAVORS)
    fake.away["compute"] = REFUSED
    for _ in range(2):
        with pytest.raises(errors.Unavailable):
            cloud.flavors.flavors()
    del fake.away["compute"]
    assert cloud.flavors.flavors() == ()


@pytest.mark.parametrize("service", ["image", "network", "placement", "identity"])
def test_any_service_may_be_away_at_first(fake, admin, service):
    asks = {
        "image": ("/images", {"images": []}, admin.images.images),
        "network": ("/ports", {"ports": []}, admin.networks.ports),
        "identity": ("/projects", {"projects": []}, admin.identity.projects),
        "placement": (
            "/resource_providers/x/allocations",
            {"allocations": {}},
            lambda: admin.placement.has_allocations("x"),
        ),
    }
    path, body, ask = asks[service]
    fake.on(service, "GET", path, body)
    fake.away[service] = REFUSED
    with pytest.raises(errors.Unavailable):
        ask()
    del fake.away[service]
    assert not ask()


def test_a_service_that_the_cloud_lacks(fake, cloud):
    fake.services.discard("image")
    for _ in range(2):
        with pytest.raises(errors.Unsupported) as caught:
            cloud.images.images()
        assert caught.value.code == "no_service"


def test_a_service_that_the_cloud_gets(fake, cloud):
    fake.on("image", "GET", "/images", {"images": []})
    fake.services.discard("image")
    with pytest.raises(errors.Unsupported):
        cloud.images.images()
    fake.services.add("image")
    # The catalog comes with the next token.
    cloud.connection.sdk.session.invalidate()
    assert cloud.images.images() == ()


def test_threads_share_a_connection(fake, cloud):
    fake.on("compute", "GET", "/flavors/detail", FLAVORS)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(cloud.flavors.flavors()))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [()] * 8


def test_bodies_are_in_no_log(fake, manager, cloud, mark, caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("keystoneauth", "keystoneauth.session", "openstack", "urllib3"):
        caplog.set_level(logging.DEBUG, logger=name)
    fake.on("identity", "POST", "/users", {"user": {"id": "u", "name": "alice"}})
    fake.on("compute", "POST", "/servers", {"server": {"id": "s"}})
    manager.identity.create_user("alice", mark, domain_id="d", password="open-sesame")
    cloud.servers.create(
        NewServer("web", "image", "flavor", user_data=b"#!/bin/sh sesame"), mark
    )
    assert "POST http://nova.test/v2.1/servers" in caplog.text
    for secret in ("sesame", "c2VzYW1l", "very-secret", *fake.token_ids):
        assert secret not in caplog.text


def test_check(fake, cloud):
    for service in ("compute", "identity", "image", "network", "placement"):
        cloud.connection.check(service)
        fake.away[service] = REFUSED
        with pytest.raises(errors.Unavailable):
            cloud.connection.check(service)
        del fake.away[service]
    fake.away["compute"] = TIMED_OUT
    with pytest.raises(errors.Unavailable):
        cloud.connection.check("compute")
