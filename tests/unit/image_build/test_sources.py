# SPDX-License-Identifier: Apache-2.0
"""Sources of packages for what the machine itself is not."""

from __future__ import annotations

import pathlib

import pytest

from nova_multi.domain.recipe import Recipe, Repository, Variant
from nova_multi.exception import BuildError
from nova_multi.image_build import packages, sources
from nova_multi.image_build.plan import Machine
from nova_multi.image_build.sources import Source

MACHINE = Machine("amd64", "debian", "bookworm")
MAIN = "http://mirror.example/debian/"
SECURITY = "http://mirror.example/debian-security/"
KNOWN = [
    Source(MAIN, "stable", "bookworm", "main", "Debian"),
    Source(MAIN, "stable", "bookworm", "contrib", "Debian"),
    Source(MAIN, "bookworm-updates", "bookworm-updates", "main", "Debian"),
    Source(SECURITY, "bookworm-security", "bookworm-security", "main", "Debian"),
    Source("http://third.example/", "nodistro", "nodistro", "main", "Third"),
]


@pytest.fixture(autouse=True)
def keyrings(monkeypatch, tmp_path):
    monkeypatch.setattr(sources, "_KEYRINGS", tmp_path)
    (tmp_path / "debian-archive-keyring.gpg").touch()
    return tmp_path


def test_the_machine_s_own_for_another_release_and_architecture(keyrings):
    recipe = Recipe("a", release="trixie", architecture="arm64")
    words = f"deb [arch=arm64 signed-by={keyrings}/debian-archive-keyring.gpg]"
    assert sources.lines(recipe, MACHINE, KNOWN) == [
        f"{words} {MAIN} trixie main contrib",
        f"{words} {MAIN} trixie-updates main",
        f"{words} {SECURITY} trixie-security main",
    ]


def test_repositories_of_a_recipe_come_first():
    recipe = Recipe(
        "a",
        distribution="ubuntu",
        release="noble",
        architecture="amd64",
        repositories=(
            Repository("https://u.example", pathlib.Path("/k.gpg"), "", ("main", "x")),
            Repository("https://p.example", pathlib.Path("/p.gpg"), "./"),
        ),
    )
    assert sources.lines(recipe, MACHINE, KNOWN) == [
        "deb [arch=amd64 signed-by=/k.gpg] https://u.example noble main x",
        "deb [arch=amd64 signed-by=/p.gpg] https://p.example ./",
    ]


def test_a_distribution_that_nobody_serves():
    recipe = Recipe("a", distribution="ubuntu", release="noble", architecture="amd64")
    with pytest.raises(BuildError, match="no source of ubuntu: give the recipe"):
        sources.lines(recipe, MACHINE, KNOWN)


@pytest.fixture
def ran(monkeypatch):
    """What was run; answers for apt."""
    calls: list[list[str]] = []
    answers: dict[str, str] = {}

    def run(command, **_):
        calls.append([str(word) for word in command])
        for key, answer in answers.items():
            if key in command:
                return answer
        return ""

    monkeypatch.setattr(sources, "run", run)
    monkeypatch.setattr(packages, "run", run)
    return calls, answers


def test_the_machine_is_what_its_apt_serves(ran):
    _, answers = ran
    answers["indextargets"] = (
        "http://third.example/|nodistro|nodistro|main|Third\n"
        "http://flat.example/|./||main|\n"
        "http://m.example/|stable|bookworm|main|Debian\n"
    )
    answers["--print-architecture"] = "amd64\n"
    assert sources.machine() == MACHINE
    answers["indextargets"] = ""
    assert sources.machine() == Machine("amd64", "debian", "")


def test_apt_gets_a_folder_of_its_own(ran, tmp_path, monkeypatch):
    calls, _ = ran
    monkeypatch.setattr(sources, "listed", lambda: KNOWN)
    recipe = Recipe(
        "a", release="trixie", architecture="arm64", variant=Variant.EXTRACT
    )
    options = sources.prepare(recipe, MACHINE, tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    assert folder.name.startswith("trixie-arm64-")
    assert "trixie-security" in (folder / "sources.list").read_text()
    assert f"-o=Dir::State::Lists={folder}/lists" in options
    assert "-o=APT::Architectures=arm64" in options
    (update,) = calls
    assert update[-1] == "update"
    assert set(options) <= set(update)
    # Nothing but what is below the folder is written, and lists are kept.
    assert sources.prepare(recipe, MACHINE, tmp_path / "cache") == options


def test_packages_are_resolved_with_the_options(ran):
    calls, answers = ran
    answers["--simulate"] = (
        "Inst base-files (12.4 Debian:12/stable [arm64])\n"
        "Conf base-files (12.4 Debian:12/stable [arm64])\n"
        "Inst libc6 [2.35] (2.36-9 Debian:12/stable [arm64])\n"
        "Inst busybox-static (1:1.35 Debian:12/stable [arm64])\n"
    )
    answers["depends"] = "linux-x\n  Depends: linux-image-6.1-arm64\n"
    answers["show"] = "Package: linux-image-6.1-arm64\nVersion: 6.1.2\n"
    recipe = Recipe("a", variant=Variant.EXTRACT, packages=("busybox-static",))
    found = packages.resolve(recipe, kernel=True, options=("-o=X=y",))
    assert found.kernel == "linux-image-6.1-arm64"
    assert found.versions["busybox-static"] == "1:1.35"
    assert found.versions["linux-image-6.1-arm64"] == "6.1.2"
    assert all("-o=X=y" in call for call in calls)
    # No essential package comes by itself.
    assert calls[0][-1] == "busybox-static"


def test_no_lists(ran):
    with pytest.raises(BuildError, match="apt-get update"):
        packages.resolve(Recipe("a"), kernel=False)


def test_an_unknown_kernel(ran):
    _, answers = ran
    answers["--simulate"] = "Inst base-files (12.4 Debian:12/stable [amd64])\n"
    with pytest.raises(BuildError, match="does not know"):
        packages.resolve(Recipe("a"), kernel=True)
