# SPDX-License-Identifier: Apache-2.0
"""``nova-multi image build``: what it takes, does and says."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

from nova_multi.cloud import upload
from nova_multi.cloud.clouds import Clouds
from nova_multi.cmd import image, main
from nova_multi.domain.recipe import Packaging
from nova_multi.exception import BuildError
from nova_multi.image_build import build, programs, sources
from nova_multi.image_build.plan import Machine

TOP = pathlib.Path(__file__).parents[3]


@pytest.fixture
def recipe(tmp_path) -> pathlib.Path:
    path = tmp_path / "web.yaml"
    path.write_text("name: web\ninputs: {size: {type: integer, default: 1}}\n")
    return path


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.setattr(
        sources, "machine", lambda: Machine("amd64", "debian", "bookworm")
    )
    monkeypatch.setattr(programs, "check", lambda _: None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv("OS_CLOUD", raising=False)


@pytest.fixture
def built(monkeypatch):
    """Builds that were asked for."""
    calls = []

    def fake(recipe, output, **more):
        calls.append((recipe, output, more))
        return {"images": []}

    monkeypatch.setattr(build, "build", fake)
    return calls


def test_a_build(recipe, built, tmp_path, capsys):
    words = ["build", str(recipe), "--output", str(tmp_path / "out"), "--format"]
    words += ["docker,lxd", "--format", "raw", "--force", "--name", "shop"]
    assert image.main(words) == 0
    ((told, output, more),) = built
    assert told.name == "shop"
    assert output == tmp_path / "out"
    assert more["packagings"] == (Packaging.DOCKER, Packaging.LXD, Packaging.RAW)
    assert more["force"]
    assert "manifest.json" in capsys.readouterr().out


def test_defaults(recipe, built, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert image.main(["build", str(recipe)]) == 0
    ((_, output, more),) = built
    assert output == tmp_path / "web-images"
    assert more["packagings"] == build.DEFAULT_PACKAGINGS


def test_json_alone(recipe, built, tmp_path, capsys):
    assert image.main(["build", str(recipe), "--json", "--output", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == {"images": []}


def test_check_does_nothing(recipe, built, monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert image.main(["build", str(recipe), "--check"]) == 0
    assert built == []
    assert "bookworm, amd64" in capsys.readouterr().out


def failed(capsys, *words: str) -> str:
    assert image.main(["build", *words]) == 1
    return capsys.readouterr().err


def test_problems_are_told_with_their_places(recipe, built, capsys):
    recipe.write_text("name: web\nsise: 1\ninit: sysv\n")
    told = failed(capsys, str(recipe)).splitlines()
    assert told[0].startswith(f"{recipe}: line 2, column 1: sise: a recipe has no")
    assert told[1].startswith(f"{recipe}: line 3, column 7: init: ")
    assert built == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--format", "vmdk"], "no format vmdk; there are docker"),
        (["--input", "size"], "name=value"),
        (["--input", "sise=2"], "did you mean size?"),
        (["--input", "size=big"], "size"),
        (["--upload"], "--os-cloud"),
        (["--name", "No Name"], "no name of images"),
    ],
)
def test_what_is_given_wrong(recipe, built, capsys, words, told):
    assert told in failed(capsys, str(recipe), *words)
    assert built == []


def test_a_recipe_that_is_not_there(built, capsys, tmp_path):
    assert "can't be read" in failed(capsys, str(tmp_path / "absent"))


def test_only_root(recipe, built, monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "run as root" in failed(capsys, str(recipe))
    assert built == []


def test_a_failure_is_told(recipe, monkeypatch, capsys):
    def fail(*_, **__):
        raise BuildError("no space is left")

    monkeypatch.setattr(build, "build", fail)
    assert failed(capsys, str(recipe)) == "nova-multi image: no space is left\n"


def test_an_upload(recipe, tmp_path, monkeypatch, capsys):
    entry = {
        "name": "web-lxd",
        "file": "web-lxd.squashfs",
        "sha512": "abc",
        "disk_format": "raw",
        "container_format": "bare",
        "min_disk": 0,
        "min_ram": 0,
        "properties": {},
        "references": {},
    }
    monkeypatch.setattr(build, "build", lambda *_, **__: {"images": [entry]})
    calls = []

    class Account:
        images = "the images"
        project_id = "project-1"

    class Single:
        def project(self):
            return Account()

    monkeypatch.setattr(Clouds, "single", lambda name: calls.append(name) or Single())

    def bring(images, wanted, *, project_id, visibility, told):
        told(upload.Brought("web-lxd", "image-1", "uploaded"))
        calls.append((images, wanted[0].path, project_id, visibility))

    monkeypatch.setattr(upload, "bring", bring)
    words = ["build", str(recipe), "--output", str(tmp_path), "--upload", "--public"]
    assert image.main([*words, "--os-cloud", "mine"]) == 0
    path = tmp_path / "web-lxd.squashfs"
    assert calls == ["mine", ("the images", path, "project-1", "public")]
    assert "uploaded: web-lxd image-1" in capsys.readouterr().out
    # The cloud of the environment.
    monkeypatch.setenv("OS_CLOUD", "other")
    assert image.main(words) == 0
    assert calls[2] == "other"


def test_one_visibility(recipe):
    with pytest.raises(SystemExit):
        image.main(["build", str(recipe), "--public", "--private"])


class TestCommand:
    """``nova-multi`` hands over."""

    def test_image(self, recipe, built, tmp_path):
        words = ["image", "build", str(recipe), "--output", str(tmp_path)]
        assert main.main(words) == 0
        assert built

    def test_serve(self, monkeypatch):
        from nova_multi.cmd import serve

        calls = []
        monkeypatch.setattr(serve, "main", lambda words: calls.append(words) or 0)
        assert main.main(["serve", "--cloud", "mine"]) == 0
        assert calls == [["serve", "--cloud", "mine"]]

    @pytest.mark.parametrize("words", [[], ["build"]])
    def test_what_there_is(self, words, capsys):
        with pytest.raises(SystemExit) as caught:
            main.main(words)
        assert caught.value.code == 2
        assert "image" in capsys.readouterr().err


def test_it_builds_where_little_is_installed():
    """As a deployment's first step does: Python and its YAML, nothing else."""
    program = (
        "import sys\n"
        "from nova_multi.cmd import image\n"
        "own = {name.split('.')[0] for name in sys.modules} - "
        "set(sys.stdlib_module_names)\n"
        "print(sorted(n for n in own if n in "
        "('yaml', 'openstack', 'oslo_config', 'requests', 'keystoneauth1')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(TOP)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "['yaml']"


def test_the_example_s_recipe_is_one():
    """What tools/build-image gives to the same command."""
    from nova_multi.spec.recipe import load_recipe

    recipe = load_recipe(TOP / "tools/image/recipe.yaml")
    assert recipe.name == "debian"
    program = (TOP / "tools/build-image").read_text()
    assert '"recipe.yaml"' in program
