# SPDX-License-Identifier: Apache-2.0
"""``nova-multi image build``: guest images from a recipe, for all three hypervisors."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nova_multi.domain.errors import DomainError, Invalid
from nova_multi.domain.recipe import Packaging
from nova_multi.exception import BuildError, ConfigurationError
from nova_multi.image_build import build
from nova_multi.image_build.manifest import MANIFEST
from nova_multi.spec.problems import Problem
from nova_multi.spec.recipe import load_recipe

PROG = "nova-multi image"
#: Outcomes of a build, for scripts.
_FAILED, _USAGE = 1, 2

Log = Callable[[str], None]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog=PROG)
    commands = top.add_subparsers(dest="command", required=True)
    made = commands.add_parser("build", help="build what a recipe says")
    made.add_argument("recipe", type=Path, help="YAML file")
    made.add_argument(
        "--format",
        dest="formats",
        action="append",
        default=[],
        metavar="<format>",
        help=f"one of {', '.join(Packaging)}; may be given several times, or with"
        f" commas between (default: {', '.join(build.DEFAULT_PACKAGINGS)})",
    )
    made.add_argument(
        "--output",
        type=Path,
        metavar="<folder>",
        help="for the images and manifest.json (default: <name>-images here)",
    )
    made.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="<name>=<value>",
        help="value of an input of the recipe; may be given several times",
    )
    made.add_argument(
        "--folder",
        action="append",
        type=Path,
        default=[],
        metavar="<folder>",
        help="a recipe may name files from there, too",
    )
    made.add_argument("--name", help="name of the images, in place of the recipe's")
    made.add_argument(
        "--cache",
        type=Path,
        default=build.CACHE,
        metavar="<folder>",
        help="for lists of packages (default: %(default)s)",
    )
    made.add_argument(
        "--check",
        action="store_true",
        help="say whether the recipe can be built here, and do nothing",
    )
    made.add_argument(
        "--force", action="store_true", help="build even what is there already"
    )
    made.add_argument(
        "--json", action="store_true", help="print the manifest, and nothing else"
    )
    upload = made.add_argument_group("bringing the images to Glance")
    upload.add_argument("--upload", action="store_true", help="do so")
    upload.add_argument(
        "--os-cloud",
        default=os.environ.get("OS_CLOUD"),
        metavar="<cloud>",
        help="entry of clouds.yaml (default: OS_CLOUD)",
    )
    visibility = upload.add_mutually_exclusive_group()
    for word in ("private", "shared", "community", "public"):
        visibility.add_argument(
            f"--{word}", dest="visibility", action="store_const", const=word
        )
    return top


def packagings(given: Sequence[str]) -> tuple[Packaging, ...]:
    """What formats are asked for.

    :raises BuildError: there is no such format.
    """
    words = [word.strip() for each in given for word in each.split(",")]
    words = list(dict.fromkeys(filter(None, words)))
    unknown = [word for word in words if word not in list(Packaging)]
    if unknown:
        raise BuildError(
            f"there is no format {', '.join(unknown)}; there are {', '.join(Packaging)}"
        )
    return tuple(map(Packaging, words)) or build.DEFAULT_PACKAGINGS


def _values(given: Sequence[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise BuildError(f"--input takes name=value, not {each!r}")
        found[name] = value
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, and perhaps upload."""
    top = parser()
    given = top.parse_args(arguments)
    start = time.monotonic()

    def log(text: str) -> None:
        if not given.json:
            print(f"{time.monotonic() - start:6.1f} s  {text}", flush=True)

    try:
        return _build(given, log)
    except Invalid as error:
        for problem in Problem.of(error):
            print(f"{given.recipe}: {problem}", file=sys.stderr)
        if not error.details:
            print(f"{PROG}: {error.message}", file=sys.stderr)
    except (BuildError, ConfigurationError, DomainError, OSError) as error:
        print(f"{PROG}: {error}", file=sys.stderr)
    return _FAILED


def _build(given: argparse.Namespace, log: Log) -> int:
    formats = packagings(given.formats)
    recipe = load_recipe(
        given.recipe,
        values=_values(given.input),
        folders=given.folder,
        name=given.name,
    )
    if given.upload and not given.os_cloud:
        raise BuildError("--upload needs --os-cloud, or OS_CLOUD")
    plan = build.prepare(recipe, formats)
    if given.check:
        told = f"{recipe.name}: {plan.recipe.release}, {plan.recipe.architecture}"
        log(f"{told}, as {', '.join(formats)}: can be built here")
        return 0
    if os.geteuid():
        raise BuildError("a root file system has files of many owners: run as root")
    output = (given.output or Path(f"{recipe.name}-images")).resolve()
    manifest = build.build(
        recipe,
        output,
        packagings=formats,
        force=given.force,
        cache=given.cache,
        log=log,
    )
    if given.upload:
        upload(manifest, output, given.os_cloud, given.visibility or "private", log)
    log(f"done: {output / MANIFEST}")
    if given.json:
        print(json.dumps(manifest, indent=1, sort_keys=True))
    return 0


def upload(
    manifest: dict[str, Any], folder: Path, cloud: str, visibility: Any, log: Log
) -> None:
    """Bring what was built to a cloud's Glance.

    :param cloud: entry of clouds.yaml.
    :raises DomainError: the cloud refuses, or does not answer.
    """
    # The libraries of OpenStack are there where images are brought to it.
    from nova_multi.cloud import upload as uploads
    from nova_multi.cloud.clouds import Clouds

    account = Clouds.single(cloud).project()
    uploads.bring(
        account.images,
        [uploads.BuiltImage.of(image, folder) for image in manifest["images"]],
        project_id=account.project_id,
        visibility=visibility,
        told=lambda brought: log(f"{brought.outcome}: {brought.name} {brought.id}"),
    )


if __name__ == "__main__":
    sys.exit(main())
