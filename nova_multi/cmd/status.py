# SPDX-License-Identifier: Apache-2.0
"""``nova-multi-status upgrade check``: whether this version can be started here."""

from __future__ import annotations

import os
import sys

from oslo_config import cfg
from oslo_upgradecheck import upgradecheck

from nova_multi.cmd import assembly
from nova_multi.conf import api as conf_api
from nova_multi.conf import provision as conf_provision
from nova_multi.domain.errors import DomainError
from nova_multi.exception import NovaMultiError
from nova_multi.provision import store
from nova_multi.provision.store import options

_OK, _WARNING, _FAILURE = (
    upgradecheck.Code.SUCCESS,
    upgradecheck.Code.WARNING,
    upgradecheck.Code.FAILURE,
)


class Checks(upgradecheck.UpgradeCommands):
    """What has to be right before the services are started."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf

    def _database(self) -> upgradecheck.Result:
        """The database is there, and at this version."""
        url = self._conf.database.connection
        if not url:
            return _result(_FAILURE, "[database] connection is not set")
        try:
            todo = store.pending(url)
        except (NovaMultiError, DomainError) as error:
            return _result(_FAILURE, str(error))
        if todo:
            return _result(
                _FAILURE,
                f"to be applied: {', '.join(todo)}; run nova-multi-manage db sync",
            )
        return _result(_OK)

    def _settings(self) -> upgradecheck.Result:
        """Options agree with one another."""
        try:
            assembly.settings(self._conf)
        except NovaMultiError as error:
            return _result(_FAILURE, str(error))
        return _result(_OK)

    def _accounts(self) -> upgradecheck.Result:
        """The accounts can log in."""
        try:
            clouds = assembly.clouds(self._conf)
            if clouds.is_single:
                clouds.project("").user_id  # noqa: B018
            else:
                clouds.admin().hosts.services()
                clouds.manager().user_id  # noqa: B018
        except NovaMultiError as error:
            return _result(_FAILURE, str(error))
        return _result(_OK)

    def _bus(self) -> upgradecheck.Result:
        """There is a bus to listen on."""
        if assembly.settings(self._conf).listening:
            return _result(_OK)
        return _result(
            _WARNING,
            "no bus is listened to: Nova is asked once a second instead (transport_url,"
            " [worker] notifications)",
        )

    def _files(self) -> upgradecheck.Result:
        """Files can be kept."""
        folder = self._conf.provision.files_folder
        if os.path.isdir(folder) and os.access(folder, os.W_OK):
            return _result(_OK)
        return _result(_WARNING, f"{folder} is no folder that this user can write")

    _upgrade_checks = (
        ("Database", _database),
        ("Options", _settings),
        ("Accounts", _accounts),
        ("Message bus", _bus),
        ("Files", _files),
    )


def _result(code: upgradecheck.Code, details: str | None = None) -> upgradecheck.Result:
    return upgradecheck.Result(code, details)


def main() -> int:
    """Run the checks and print their results."""
    conf = cfg.ConfigOpts()
    conf_api.register_opts(conf)
    conf_provision.register_opts(conf)
    options.register_opts(conf)
    code: int = upgradecheck.main(conf, assembly.PROJECT, Checks(conf))
    return code


if __name__ == "__main__":
    sys.exit(main())
