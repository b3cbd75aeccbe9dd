# SPDX-License-Identifier: Apache-2.0
"""Whether a project is empty that may be gone, or that can't be looked into."""

from unittest import mock

import pytest

from nova_multi.domain.errors import Conflict, Forbidden, NotFound, Unavailable
from nova_multi.provision import contents


def tools(servers, project=None):
    """What a process has, with a cloud that answers so."""
    clouds = mock.Mock()
    clouds.project.return_value.servers.servers = mock.Mock(**servers)
    clouds.project.return_value.images.images.return_value = []
    clouds.manager.return_value.identity.project = mock.Mock(**(project or {}))
    return mock.Mock(single=False, clouds=clouds)


REFUSED = {"side_effect": Unavailable("OpenStack refused the service's own account")}


def test_one_that_was_deleted_by_other_ways():
    """Keystone refuses an account in it as if that were wrong."""
    gone = {"side_effect": NotFound("there is none")}
    contents.check_project_empty(tools(REFUSED, gone), "p-1")


def test_one_that_is_there_is_waited_for():
    with pytest.raises(Unavailable):
        contents.check_project_empty(tools(REFUSED), "p-1")


@pytest.mark.parametrize("error", [Forbidden("no"), NotFound("none")])
def test_one_that_nobody_looks_into(error):
    contents.check_project_empty(tools({"side_effect": error}), "p-1")


def test_one_with_a_server():
    server = mock.Mock()
    server.name = "web"
    with pytest.raises(Conflict, match="web"):
        contents.check_project_empty(tools({"return_value": [server]}), "p-1")
