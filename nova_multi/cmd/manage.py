# SPDX-License-Identifier: Apache-2.0
"""``nova-multi-manage``: what an operator does to the service from outside.

nova-multi-manage [--config-file FILE] db sync
nova-multi-manage [--config-file FILE] db version
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from oslo_config import cfg

from nova_multi import exception
from nova_multi.provision import store
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


COMMANDS: dict[tuple[str, str], Callable[[str], str]] = {
    ("db", "sync"): db_sync,
    ("db", "version"): db_version,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and tell its result.

    :param arguments: without the program; those of this process if None.
    """
    try:
        conf = _configuration(sys.argv[1:] if arguments is None else arguments)
        url = conf.database.connection
        if not url:
            raise exception.ConfigurationError(
                "no database: set connection in group [database] of the configuration"
            )
        print(COMMANDS[conf.command.noun, conf.command.verb](url))
    except (cfg.Error, exception.NovaMultiError) as error:
        print(f"nova-multi-manage: error: {error}", file=sys.stderr)
        return 1
    return 0


def _configuration(arguments: Sequence[str]) -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    options.register_opts(conf)
    conf.register_cli_opt(cfg.SubCommandOpt("command", handler=_add_commands))
    conf(list(arguments), project="nova-multi", prog="nova-multi-manage")
    return conf


def _add_commands(parsers: cfg.argparse._SubParsersAction) -> None:
    nouns: dict[str, cfg.argparse._SubParsersAction] = {}
    for (noun, verb), function in COMMANDS.items():
        if noun not in nouns:
            parser = parsers.add_parser(noun)
            parser.set_defaults(noun=noun)
            nouns[noun] = parser.add_subparsers(dest="verb", required=True)
        summary = (function.__doc__ or "").splitlines()[0]
        nouns[noun].add_parser(verb, help=summary)


if __name__ == "__main__":
    sys.exit(main())
