# SPDX-License-Identifier: Apache-2.0
"""The pure parts of tools/smoke: which tests, with which configuration."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
from smoke import cloud, selection, settings
from smoke.errors import SmokeError
from smoke.report import Report, summary
from smoke.results import Outcome, Result

LISTS = Path(__file__).parents[2] / "tempest"
HYPERVISORS = ("docker", "lxd", "libvirt")


def test_a_test_is_run_unless_excluded_with_a_reason() -> None:
    found = selection.select(
        ["a.One.test_x[id-1]", "a.One.test_y[id-2]", "b.Two.test_z[id-3]"],
        [re.compile(r"a\.")],
        [selection.Exclusion(re.compile(r"a\.One\.test_y"), "no y here")],
    )
    assert found.run == ("a.One.test_x[id-1]",)
    assert found.excluded == {"a.One.test_y[id-2]": "no y here"}


@pytest.mark.parametrize(
    ("include", "exclude"),
    [(["a", "misspelt"], []), (["a"], ["misspelt"])],
)
def test_a_pattern_that_matches_nothing_is_an_error(
    include: list[str], exclude: list[str]
) -> None:
    with pytest.raises(SmokeError, match="misspelt"):
        selection.select(
            ["a.One.test_x"],
            [re.compile(text) for text in include],
            [selection.Exclusion(re.compile(text), "why") for text in exclude],
        )


def test_a_short_run_is_a_part_of_the_whole() -> None:
    whole = selection.Selection(("a.One.test_x", "a.One.test_y"), {"b.Two.test_z": "z"})
    part = whole.among([re.compile("a.One.test_x"), re.compile("b")])
    assert part == selection.Selection(("a.One.test_x",), {"b.Two.test_z": "z"})
    with pytest.raises(SmokeError, match="misspelt"):
        whole.among([re.compile("misspelt")])


def test_an_exclusion_needs_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "exclude.txt"
    path.write_text("# why\na\\.One\n")
    with pytest.raises(SmokeError, match=r"exclude\.txt:2"):
        selection.read_exclude(path)


def test_a_list_that_is_not_there_excludes_nothing(tmp_path: Path) -> None:
    assert selection.read_exclude(tmp_path / "exclude-docker.txt") == []


def test_the_lists_of_the_project_can_be_read() -> None:
    assert selection.read_include(LISTS / "include.txt")
    assert selection.read_include(LISTS / "short.txt")
    assert selection.read_exclude(LISTS / "exclude.txt")
    for hypervisor in HYPERVISORS:
        selection.read_exclude(LISTS / f"exclude-{hypervisor}.txt")


def test_features_name_the_same_options_for_every_hypervisor() -> None:
    found = [selection.read_features(LISTS / "features.toml", h) for h in HYPERVISORS]
    assert len({frozenset(features) for features in found}) == 1


def test_features_of_an_unknown_hypervisor_are_an_error() -> None:
    with pytest.raises(SmokeError, match="hyperv"):
        selection.read_features(LISTS / "features.toml", "hyperv")


def test_tempests_configuration(tmp_path: Path) -> None:
    facts = settings.CloudFacts(
        auth_url="http://cloud/v3",
        region="RegionOne",
        username="admin",
        password="50%#;$ odd",
        project="admin",
        domain="Default",
        external_network=("public", "1234"),
        network_extensions=("port-security", "router"),
    )
    target = settings.Target("lxd", "i1", "i2", "f1", "f2", {"pause": True})
    parser = configparser.RawConfigParser()
    parser.read_string(settings.render(facts, target, tmp_path))
    assert parser["auth"]["admin_password"] == "50%#;$$ odd"
    assert parser["compute"]["image_ref_alt"] == "i2"
    assert parser["compute-feature-enabled"]["pause"] == "true"
    assert parser["network-feature-enabled"]["api_extensions"] == "port-security,router"
    assert "odd" not in repr(facts)


@pytest.mark.parametrize(
    "name",
    [
        "tempest-ImagesTestJSON-800823980",
        "tempest-ImagesTestJSON-255191523-network",
        "tempest-ServersTestJSON-153227605-project-member",
        "tempest-securitygroup--362077038",
        "tempest-TestNetworkAdvancedServerOps-router-1471347832",
        "tempest-debian-lxd",
    ],
)
def test_names_of_tempests(name: str) -> None:
    assert cloud.is_tempests(name)


@pytest.mark.parametrize(
    "name", ["tempest-reports", "tempest", "tempest-2024", "web", "my-tempest-a-5", ""]
)
def test_names_of_others(name: str) -> None:
    assert not cloud.is_tempests(name)


def _report(*outcomes: tuple[str, Outcome]) -> Report:
    chosen = selection.Selection(("m.One.test_a[id]", "m.Two.test_b[id]"), {})
    found = [Result(name, outcome, 1.0, "why") for name, outcome in outcomes]
    return Report("lxd", chosen, found)


def test_a_run_passed_if_all_was_heard_of_and_nothing_failed() -> None:
    report = _report(
        ("m.One.test_a[id]", Outcome.PASSED), ("m.Two.test_b[id]", Outcome.SKIPPED)
    )
    assert report.passed
    assert "skipped: why: Two.test_b" in summary(report)


def test_a_test_that_was_not_heard_of_is_no_success() -> None:
    report = _report(("m.One.test_a[id]", Outcome.PASSED))
    assert not report.passed
    assert report.missing == ["m.Two.test_b[id]"]
    assert "NOT HEARD OF m.Two.test_b" in summary(report)


def test_the_set_up_of_a_class_answers_for_its_tests() -> None:
    report = _report(
        ("m.One.test_a[id]", Outcome.PASSED), ("setUpClass (m.Two)", Outcome.SKIPPED)
    )
    assert report.passed


def test_everything_skipped_is_no_success() -> None:
    report = _report(("setUpClass (m.One)", Outcome.SKIPPED))
    assert not report.passed


def test_a_failure_is_told_with_its_traceback() -> None:
    report = _report(
        ("m.One.test_a[id]", Outcome.FAILED), ("m.Two.test_b[id]", Outcome.PASSED)
    )
    assert not report.passed
    assert "FAILED m.One.test_a[id]\n    why" in summary(report)
