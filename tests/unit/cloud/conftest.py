# SPDX-License-Identifier: Apache-2.0
"""A fake cloud, and accounts in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests_mock

from nova_multi.cloud.clouds import Account, Cloud, CloudConfig, Clouds
from nova_multi.cloud.marks import Mark

from .fake import KEYSTONE, FakeCloud

TASK = "7d3f0a52-6f0e-4a5b-8c5e-3e1f0f7f9b11"
ENVIRONMENT = "0b7f2c9c-0f6b-4a7b-9a43-8a2b1f0a7c33"

AUTH = {
    "auth_url": KEYSTONE,
    "username": "nova-multi",
    "password": "very-secret",
    "user_domain_name": "Default",
}
ADMIN = Account(
    auth={**AUTH, "project_name": "service", "project_domain_name": "Default"},
    region="one",
)
MANAGER = Account(auth={**AUTH, "domain_name": "multi"}, region="one")


@pytest.fixture
def fake() -> Iterator[FakeCloud]:
    with requests_mock.Mocker() as mocker:
        yield FakeCloud(mocker)


@pytest.fixture
def clouds(fake: FakeCloud) -> Clouds:
    return Clouds(CloudConfig(admin=ADMIN, manager=MANAGER))


@pytest.fixture
def cloud(clouds: Clouds) -> Cloud:
    """A project's."""
    return clouds.project("project-1")


@pytest.fixture
def admin(clouds: Clouds) -> Cloud:
    return clouds.admin()


@pytest.fixture
def manager(clouds: Clouds) -> Cloud:
    return clouds.manager()


@pytest.fixture
def mark() -> Mark:
    return Mark(TASK, environment=ENVIRONMENT)
