# SPDX-License-Identifier: Apache-2.0
"""What the tutorial and the page of profiles show can be typed: commands and files."""

from __future__ import annotations

import pathlib
import re
import shlex
import textwrap

import pytest

from nova_multi import spec
from nova_multi.cmd import image
from tests.fixtures.commands import entry_points

TOP = pathlib.Path(__file__).parents[2]
USER = TOP / "doc" / "source" / "user"
TUTORIAL = (USER / "environments-tutorial.rst").read_text()
PAGES = {
    "tutorial": TUTORIAL,
    "foreign": (USER / "foreign.rst").read_text(),
    "profiles": (USER / "profiles.rst").read_text(),
    "examples": (TOP / "examples" / "README.md").read_text(),
    "readme": (TOP / "README.md").read_text(),
}
#: Files of the tutorial's own, which its reader writes.
OWN = {"shop.yaml", "database.sh", "site.sh"}


def commands(text: str, program: str) -> list[list[str]]:
    """Calls of a program in literal blocks, in words."""
    joined = re.sub(r" \\\n\s+", " ", text)
    found = re.findall(rf"^    (?:\$ |sudo )?({program} .*)$", joined, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in found]


@pytest.mark.parametrize("page", PAGES)
def test_commands_have_such_options(page: str) -> None:
    known = entry_points()
    calls = [
        words[words.index("multi") + 1 :]
        for words in commands(PAGES[page], "openstack")
        if "multi" in words
    ]
    assert calls
    for words in calls:
        name = f"multi_{words[0]}_{words[1]}"
        assert name in known, words
        command = known[name](None, None)
        command.get_parser(f"openstack multi {words[0]}").parse_args(words[2:])


@pytest.mark.parametrize("page", PAGES)
def test_inputs_that_are_given_are_the_files(page: str) -> None:
    for words in commands(PAGES[page], "openstack"):
        path = next((word for word in words if word.endswith(".yaml")), None)
        if path is None or path in OWN:
            continue
        file = TOP / path
        assert file.exists(), path
        given = [words[n + 1] for n, word in enumerate(words) if word == "-i"]
        values = dict(each.split("=", 1) for each in given)
        known = spec.load_text(
            file.read_bytes(), read_file=spec.folder_reader(file.parent)
        ).inputs
        assert set(values) <= set(known), words


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_are_there(page: str) -> None:
    named = set(re.findall(r"\bexamples/[\w./-]*\w", PAGES[page]))
    assert {name for name in named if not (TOP / name).exists()} == set()


@pytest.mark.parametrize("page", ["tutorial", "foreign"])
def test_images_can_be_built_as_told(page: str) -> None:
    [words] = commands(PAGES[page], "nova-multi")
    given = image.parser().parse_args(words[2:])
    assert given.upload and given.visibility == "public"


def test_files_of_the_tutorial_can_be_read() -> None:
    blocks = re.findall(r"::\n\n((?:    .*\n|\n)+)", TUTORIAL)
    files = [
        textwrap.dedent(block)
        for block in blocks
        if block.startswith("    name: ") and "..." not in block
    ]
    assert len(files) == 2
    for text in files:
        spec.load_text(text, read_file=lambda path: "#!/bin/sh\n")
    scripts = [
        textwrap.dedent(block) for block in blocks if block.startswith("    #!/bin/sh")
    ]
    assert len(scripts) == 2
