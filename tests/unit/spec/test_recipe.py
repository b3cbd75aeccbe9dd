# SPDX-License-Identifier: Apache-2.0
"""Recipes of images: what is read, what is inherited, what is refused."""

from __future__ import annotations

import dataclasses
import pathlib
import textwrap

import pytest

from nova_multi.domain.errors import Invalid
from nova_multi.domain.recipe import (
    DEFAULT_EPOCH,
    DEFAULT_SIZE_MB,
    File,
    Init,
    Kernel,
    Recipe,
    Repository,
    User,
    Variant,
)
from nova_multi.spec.recipe import MAX_CHAIN, load_recipe
from nova_multi.spec.recipe_table import FILE, image_path

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA alice@example"


@pytest.fixture
def write(tmp_path: pathlib.Path):
    def write(text: str, name: str = "recipe.yaml") -> pathlib.Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    return write


def problems(path: pathlib.Path, **more) -> list[tuple]:
    with pytest.raises(Invalid) as caught:
        load_recipe(path, **more)
    return [
        (each.get("line"), each["field"], each["message"])
        for each in caught.value.details
    ]


def test_the_least(write):
    recipe = load_recipe(write("name: web\n"))
    assert recipe == Recipe("web")
    assert (recipe.size_mb, recipe.epoch) == (DEFAULT_SIZE_MB, DEFAULT_EPOCH)
    assert recipe.disk_uuid == Recipe("web").disk_uuid != Recipe("db").disk_uuid


def test_everything(write, tmp_path):
    write("deb", "keys/archive.gpg")
    write("page", "site/index.html")
    recipe = load_recipe(
        write(
            f"""
            name: web
            description: A web server
            distribution: debian
            release: trixie
            architecture: aarch64
            variant: minbase
            repositories:
              - {{url: "https://packages.example.org/debian", key: keys/archive.gpg,
                  suite: stable, components: [main, extra]}}
            packages: [nginx-light, "curl=7.88.1-10+deb12u5"]
            unwanted: [usrmerge]
            exclude: ["/usr/share/doc/*"]
            remove: [/etc/apt]
            applets: [vi, "["]
            files:
              /etc/motd: "hello ${{USER}}\\n"
              /srv/site: {{source: site, owner: www-data, group: "33"}}
              /srv/run: {{content: "", mode: "4755"}}
              /srv/link: {{link: run}}
            users:
              alice: {{keys: ["{KEY}"], sudo: true, shell: /bin/bash}}
            commands: ["true", "true", "echo ${{HOME}}"]
            variables: {{NAME: web}}
            size: 512MB
            uuid: 7d8b1f0a-6c1e-4b7e-9b0d-1f2a3c4d5e6f
            init: cloud-init
            ssh: false
            epoch: 1700000000
            kernel: {{package: linux-image-arm64, modules: ["virtio_net csum=0"],
                      command_line: "root=/dev/vda", install_modules: true}}
            properties: {{os_admin_user: alice}}
            full_names: true
            """
        )
    )
    assert recipe == Recipe(
        name="web",
        description="A web server",
        distribution="debian",
        release="trixie",
        architecture="arm64",
        variant=Variant.MINBASE,
        repositories=(
            Repository(
                "https://packages.example.org/debian",
                tmp_path / "keys/archive.gpg",
                "stable",
                ("main", "extra"),
            ),
        ),
        packages=("nginx-light", "curl=7.88.1-10+deb12u5"),
        unwanted=("usrmerge",),
        exclude=("/usr/share/doc/*",),
        remove=("/etc/apt",),
        applets=("vi", "["),
        files=(
            File("/etc/motd", content="hello ${USER}\n"),
            File("/srv/link", link="run"),
            File("/srv/run", content="", mode=0o4755),
            File(
                "/srv/site",
                source=tmp_path / "site",
                owner="www-data",
                group="33",
            ),
        ),
        users=(User("alice", (KEY,), True, "/bin/bash"),),
        commands=("true", "true", "echo ${HOME}"),
        variables={"NAME": "web"},
        size_mb=512,
        uuid="7d8b1f0a-6c1e-4b7e-9b0d-1f2a3c4d5e6f",
        init=Init.CLOUD_INIT,
        ssh=False,
        epoch=1_700_000_000,
        kernel=Kernel(
            "linux-image-arm64", ("virtio_net csum=0",), "root=/dev/vda", True
        ),
        properties={"os_admin_user": "alice"},
        full_names=True,
    )


def test_fields_are_those_of_the_domain():
    known = {field.name for field in dataclasses.fields(Recipe)}
    assert {field.attribute for field in FILE.fields} == {*known, "inputs", "parent"}


class TestParents:
    """Distribution, repository, profile, image."""

    def test_the_nearer_wins(self, write):
        write(
            """
            name: base
            release: bookworm
            packages: [curl, less]
            commands: ["true"]
            kernel: {package: linux-image-amd64}
            properties: {a: base, b: base}
            files: {/etc/motd: base, /etc/issue: base}
            """,
            "profiles/base.yaml",
        )
        write(
            """
            from: base.yaml
            packages: [nginx-light, curl]
            unwanted: [less]
            """,
            "profiles/web.yaml",
        )
        recipe = load_recipe(
            write(
                """
                from: profiles/web.yaml
                name: shop
                commands: ["true", "false"]
                kernel: {install_modules: true}
                properties: {b: shop}
                files: {/etc/motd: shop}
                """
            )
        )
        assert recipe.name == "shop"
        assert recipe.release == "bookworm"
        assert recipe.packages == ("curl", "less", "nginx-light")
        assert recipe.unwanted == ("less",)
        assert recipe.commands == ("true", "true", "false")
        assert recipe.kernel == Kernel("linux-image-amd64", install_modules=True)
        assert recipe.properties == {"a": "base", "b": "shop"}
        assert [file.content for file in recipe.files] == ["base", "shop"]

    def test_each_takes_its_files_from_its_own_folder(self, write, tmp_path):
        write("base", "profiles/motd")
        write("files: {/etc/motd: {source: motd}}", "profiles/base.yaml")
        recipe = load_recipe(write("{name: web, from: profiles/base.yaml}"))
        (file,) = recipe.files
        assert file.source == tmp_path / "profiles/motd"

    def test_what_is_wrong_with_a_parent_names_it(self, write):
        write("sise: 5", "base.yaml")
        (problem,) = problems(write("{name: web, from: base.yaml}"))
        line, field, told = problem
        assert (line, field) == (1, "sise")
        assert told.startswith("base.yaml: a recipe has no field")
        assert "did you mean size?" in told

    def test_a_circle(self, write):
        write("from: recipe.yaml", "base.yaml")
        (problem,) = problems(write("{name: web, from: base.yaml}"))
        assert problem[1:] == ("from", "base.yaml: begins with itself")

    def test_a_long_chain(self, write):
        for number in range(MAX_CHAIN):
            write(f"from: {number + 1}.yaml", f"{number}.yaml")
        write("name: end", f"{MAX_CHAIN}.yaml")
        ((_, field, told),) = problems(write("from: 0.yaml"))
        assert field == "from"
        assert told.endswith("begins with too many")

    def test_a_name_somewhere(self, write):
        write("size: 5", "base.yaml")
        ((_, field, told),) = problems(write("from: base.yaml"))
        assert field == "name"
        assert "have no name" in told


class TestInputs:
    """Values that a recipe is given."""

    RECIPE = """
        name: web
        inputs:
          release: {default: bookworm, choices: [bookworm, trixie]}
          greeting: hello
          size: {type: integer, default: 1}
        release: ${inputs.release}
        size: ${inputs.size}
        variables: {GREETING: "${inputs.greeting}, world"}
        """

    def test_defaults(self, write):
        recipe = load_recipe(write(self.RECIPE))
        assert recipe.release == "bookworm"
        assert recipe.size_mb == 1024
        assert recipe.variables == {"GREETING": "hello, world"}

    def test_given(self, write):
        given = {"release": "trixie", "size": "2"}
        recipe = load_recipe(write(self.RECIPE), values=given)
        assert (recipe.release, recipe.size_mb) == ("trixie", 2048)

    def test_of_a_parent(self, write):
        write(self.RECIPE, "base.yaml")
        path = write("{name: shop, from: base.yaml}")
        assert load_recipe(path, values={"release": "trixie"}).release == "trixie"

    def test_unknown(self, write):
        told = problems(write(self.RECIPE), values={"relase": "x"})
        assert told == [
            (
                None,
                "inputs.relase",
                'there is no input "relase"; did you mean release?',
            )
        ]

    def test_not_among_the_choices(self, write):
        ((_, _, told),) = problems(write(self.RECIPE), values={"release": "sid"})
        assert "bookworm" in told


def test_all_that_is_wrong_at_once(write, tmp_path):
    write("secret", "../outside")
    told = problems(
        write(
            """\
            name: Bad Name
            packges: [a]
            packages: [nginx, "Bad!"]
            files:
              etc/x: hello
              /etc/y: {content: a, source: b}
              /etc/z: {source: ../outside, mode: 0644}
              /etc/q: {source: absent}
              /dev/null: x
            commands: ["true", 5]
            size: lots
            init: sysv
            users: {Root: {}}
            properties: {img_hv_type: lxd, trait:CUSTOM_HYPERVISOR_LXD: required}
            kernel: {modules: [""]}
            repositories: [{url: "ftp://x", key: absent}]
            """,
            "folder/recipe.yaml",
        )
    )
    assert [(line, field) for line, field, _ in told] == [
        (1, "name"),
        (2, "packges"),
        (3, "packages[1]"),
        (5, 'files["etc/x"]'),
        (6, 'files["/etc/y"]'),
        (7, 'files["/etc/z"].source'),
        (7, 'files["/etc/z"].mode'),
        (8, 'files["/etc/q"].source'),
        (9, 'files["/dev/null"]'),
        (10, "commands[1]"),
        (11, "size"),
        (12, "init"),
        (13, "users.Root"),
        (14, "properties.img_hv_type"),
        (14, 'properties["trait:CUSTOM_HYPERVISOR_LXD"]'),
        (15, "kernel.modules[0]"),
        (16, "repositories[0].url"),
        (16, "repositories[0].key"),
    ]


@pytest.mark.parametrize(
    "path",
    ["etc", "/", "/etc/../x", "/proc/x", "/dev", "/sys/x", "/etc/", "//etc", "/a\nb"],
)
def test_paths_that_no_image_has(path):
    with pytest.raises(Invalid):
        image_path(path)


def test_a_folder_that_is_named_may_be_used(write, tmp_path):
    write("hello", "other/motd")
    path = write("{name: a, files: {/etc/motd: {source: ../other/motd}}}", "x/r.yaml")
    assert problems(path)
    recipe = load_recipe(path, folders=[tmp_path / "other"])
    assert recipe.files[0].source == tmp_path / "other/motd"


def test_links_do_not_lead_out(write, tmp_path):
    write("secret", "secret")
    path = write("{name: a, files: {/etc/x: {source: link}}}", "x/r.yaml")
    (tmp_path / "x/link").symlink_to("../secret")
    ((_, field, told),) = problems(path)
    assert field == 'files["/etc/x"].source'
    assert "outside" in told


def test_another_name(write):
    path = write("name: web")
    assert load_recipe(path, name="shop").name == "shop"
    ((_, field, _),) = problems(path, name="No Name")
    assert field == "name"


@pytest.mark.parametrize("text", ["", "[]", "5", "name: [", "name: a\nname: b"])
def test_what_is_no_recipe(write, text):
    assert problems(write(text))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(Invalid, match="can't be read"):
        load_recipe(tmp_path / "absent.yaml")


def test_keys_are_public_keys(write):
    ((_, field, told),) = problems(write("{name: a, users: {bob: {keys: [x]}}}"))
    assert field == "users.bob.keys[0]"
    assert "public key" in told
