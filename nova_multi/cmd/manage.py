# SPDX-License-Identifier: Apache-2.0
"""``nova-multi-manage``: what an operator does to the service from outside.

nova-multi-manage [--config-file FILE] db sync
nova-multi-manage [--config-file FILE] db version
nova-multi-manage [--config-file FILE] secrets key
nova-multi-manage [--config-file FILE] secrets rotate
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from oslo_config import cfg

from nova_multi import exception
from nova_multi.conf import provision as conf_provision
from nova_multi.domain.errors import DomainError
from nova_multi.provision import rotation, sealing, store
from nova_multi.provision.store import options


def db_sync(url: str) -> str:
    """Make or upgrade the tables of a database.

    :returns: what was done, in one line.
    """
    todo = store.pending(url)
    store.db_sync(url)
    done = f"applied {', '.join(todo)}" if todo else "nothing to do"
    return f"database is at {store.version(url)}: {done}"


def db_version(url: str) -> str:
    """At which revision a database is, in one line."""
    todo = store.pending(url)
    state = f"to be applied: {', '.join(todo)}" if todo else "up to date"
    return f"{store.version(url) or 'no tables'} ({state})"


def secrets_key() -> str:
    """Make a key for [secrets] fernet_keys."""
    return sealing.new_key()


def secrets_rotate(url: str, keys: Sequence[str]) -> str:
    """Seal every secret anew by the first of the keys."""
    database = store.Store(url)
    try:
        seal = sealing.Seal(keys)
        seal.check()
        done = rotation.rotate(database, seal)
    finally:
        database.close()
    return f"{done} records were sealed anew"


def _url(conf: cfg.ConfigOpts) -> str:
    url: str = conf.database.connection
    if not url:
        raise exception.ConfigurationError(
            "no database: set connection in group [database] of the configuration"
        )
    return url


COMMANDS: dict[tuple[str, str], Callable[[cfg.ConfigOpts], str]] = {
    ("db", "sync"): lambda conf: db_sync(_url(conf)),
    ("db", "version"): lambda conf: db_version(_url(conf)),
    ("secrets", "key"): lambda conf: secrets_key(),
    ("secrets", "rotate"): lambda conf: secrets_rotate(
        _url(conf), conf.secrets.fernet_keys
    ),
}
_SUMMARIES = {
    ("db", "sync"): db_sync,
    ("db", "version"): db_version,
    ("secrets", "key"): secrets_key,
    ("secrets", "rotate"): secrets_rotate,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and tell its result.

    :param arguments: without the program; those of this process if None.
    """
    try:
        conf = _configuration(sys.argv[1:] if arguments is None else arguments)
        print(COMMANDS[conf.command.noun, conf.command.verb](conf))
    except (cfg.Error, exception.NovaMultiError, DomainError) as error:
        print(f"nova-multi-manage: error: {error}", file=sys.stderr)
        return 1
    return 0


def _configuration(arguments: Sequence[str]) -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    options.register_opts(conf)
    conf_provision.register_opts(conf)
    conf.register_cli_opt(cfg.SubCommandOpt("command", handler=_add_commands))
    conf(list(arguments), project="nova-multi", prog="nova-multi-manage")
    return conf


def _add_commands(parsers: cfg.argparse._SubParsersAction) -> None:
    nouns: dict[str, cfg.argparse._SubParsersAction] = {}
    for (noun, verb), function in _SUMMARIES.items():
        if noun not in nouns:
            parser = parsers.add_parser(noun)
            parser.set_defaults(noun=noun)
            nouns[noun] = parser.add_subparsers(dest="verb", required=True)
        summary = (function.__doc__ or "").splitlines()[0]
        nouns[noun].add_parser(verb, help=summary)


if __name__ == "__main__":
    sys.exit(main())
