# SPDX-License-Identifier: Apache-2.0
"""tools/test: run stages of tests and say how each of them ended.

lint, unit and functional need nothing but Python. contract tests the real engines, and
integration and smoke the real cloud: for these deploy/up is run first, so they need
root, and they leave the cloud behind (deploy/down takes it away). Not part of `all` are
long, which on that cloud does what takes minutes (images of its own, installations, a
Docker Swarm), and deploy, which tests the deployment itself on bare machines.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "deploy" / "module_utils"))
sys.dont_write_bytecode = True

from nm import pipconf  # noqa: E402

#: In the order in which ``all`` runs them: quick ones first.
ALL = ("lint", "unit", "functional", "contract", "integration", "smoke")
#: The last ones are run only when they are named.
STAGES = (*ALL, "long", "deploy")
#: Stages that test what deploy/up makes.
DEPLOYED = ("contract", "integration", "smoke", "long")
PRIVILEGED = (*DEPLOYED, "deploy")
#: Stages after which no server may have left anything.
AUDITED = ("integration", "smoke", "long")
#: Seconds that what is being deleted then has.
AUDIT_PATIENCE = 30
#: Programs of Debian's packages that a stage uses, and no deployment needs.
PROGRAMS = {
    "unit": {"mksquashfs": "squashfs-tools", "busybox": "busybox"},
    "integration": {"ping": "iputils-ping"},
    "deploy": {
        "git": "git",
        "ip": "iproute2",
        "mmdebstrap": "mmdebstrap",
        "nft": "nftables",
        "systemd-nspawn": "systemd-container",
    },
}
#: Characters of a failure's reason in the list at the end.
REASON = 240
#: Exit status for a command line or machine that can't do it.
UNFIT = 2


@dataclasses.dataclass(frozen=True)
class Result:
    """How a stage ended.

    :ivar failures: a line for each test that failed, where the stage says so.
    """

    stage: str
    status: int
    seconds: float
    failures: tuple[str, ...] = ()

    def __str__(self) -> str:
        word = "passed" if self.status == 0 else f"FAILED ({self.status})"
        return f"{self.stage:<12} {word:<12} {self.seconds:6.0f} s"


def main() -> int:
    options = _options()
    chosen = {*options.stages} - {"all"}
    if "all" in options.stages:
        chosen |= {*ALL}
    if chosen & set(PRIVILEGED) and os.geteuid() != 0:
        print(f"tools/test: {', '.join(PRIVILEGED)} need root", file=sys.stderr)
        return UNFIT
    environment = {**os.environ, **pipconf.uv_environment()}
    try:
        _ensure_programs(chosen)
        tox = _tox(environment)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"tools/test: its own environment: {error}", file=sys.stderr)
        return UNFIT
    results: list[Result] = []
    for stage in [stage for stage in STAGES if stage in chosen]:
        if stage in DEPLOYED and not _deployed(results, options.no_deploy):
            continue
        command = _command(stage, tox, options.arguments)
        if stage in AUDITED:
            cleaned = _run("leftovers", [str(TOP / "tools" / "leftovers")], environment)
            # Said only where it went wrong: it tests nothing.
            results += [cleaned] if cleaned.status else []
        before = _orphans(environment) if stage in AUDITED else ""
        results.append(_run(stage, command, environment))
        if stage in AUDITED:
            results.append(_audit(environment, before))
        if options.fail_fast and any(result.status for result in results):
            break
    _sum_up(results)
    return 1 if any(result.status for result in results) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/test", description=__doc__)
    parser.add_argument(
        "stages",
        nargs="*",
        default=["all"],
        metavar="stage",
        help=f"{', '.join(STAGES)}, or all (the default) but the last two",
    )
    parser.add_argument(
        "--fail-fast", action="store_true", help="stop after a stage that failed"
    )
    parser.add_argument(
        "--no-deploy",
        action="store_true",
        help="take the cloud as it is instead of running deploy/up",
    )
    words = sys.argv[1:]
    rest: list[str] = []
    if "--" in words:
        position = words.index("--")
        words, rest = words[:position], words[position + 1 :]
    options = parser.parse_args(words)
    options.arguments = rest
    unknown = set(options.stages) - {*STAGES, "all"}
    if unknown:
        parser.error(f"there is no stage {', '.join(sorted(unknown))}")
    if rest and (len(options.stages) != 1 or options.stages == ["all"]):
        parser.error("arguments after -- go to one stage")
    return options


def _tox(environment: dict[str, str]) -> Path:
    """tox with uv, as pinned, in a venv of its own."""
    work = Path(os.environ.get("NOVA_MULTI_TOX_DIR", TOP / ".tox"))
    venv = work / "tools"
    python = venv / "bin" / "python"
    wanted = (TOP / "tools" / "requirements.txt").read_text()
    done = venv / "requirements.txt"
    if done.exists() and done.read_text() == wanted:
        return venv / "bin" / "tox"
    print("making the environment of the tests' own tools ...", flush=True)
    _ensure_ensurepip()
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
    pip = [str(python), "-m", "pip", "install", "-qq", "--no-deps"]
    requirements = ["-r", str(TOP / "tools" / "requirements.txt")]
    subprocess.run([*pip, *requirements], check=True, env=environment)
    # Written last: a venv that was interrupted is made anew.
    done.write_text(wanted)
    return venv / "bin" / "tox"


def _ensure_programs(stages: Iterable[str]) -> None:
    """Install what the machine lacks, if we may."""
    wanted = {name: p for s in stages for name, p in PROGRAMS.get(s, {}).items()}
    missing = [package for name, package in wanted.items() if not shutil.which(name)]
    if missing and os.geteuid() != 0:
        print(f"tools/test: install {', '.join(missing)} first", file=sys.stderr)
    elif missing:
        _install(missing)


def _ensure_ensurepip() -> None:
    """Debian keeps venv's pip in a package of its own."""
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        _install(["python3-venv"])


def _install(packages: list[str]) -> None:
    print(f"installing {', '.join(packages)} ...", flush=True)
    apt = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300"]
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "--no-install-recommends", *packages]):
        subprocess.run([*apt, *words], check=True, env=quiet, stdout=subprocess.DEVNULL)


def _command(stage: str, tox: Path, arguments: list[str]) -> list[str]:
    if stage == "smoke":
        return [str(TOP / "tools" / "smoke"), *(arguments or ["--short"])]
    command = [str(tox), "run", "-q", "-c", str(TOP / "tox.ini"), "-e", stage]
    return [*command, "--", *arguments] if arguments else command


def _deployed(results: list[Result], as_it_is: bool) -> bool:
    """Whether the cloud is up; deploy/up is run once, before the first who needs it."""
    known = [result for result in results if result.stage == "deploy/up"]
    if not known and not as_it_is:
        command = [str(TOP / "deploy" / "up")]
        known = [_run("deploy/up", command, dict(os.environ))]
        results += known
    return as_it_is or known[0].status == 0


def _orphans(environment: dict[str, str]) -> str:
    """What belonged to no server before a stage, which the stage did not leave."""
    command = [str(TOP / "tools" / "audit")]
    return subprocess.run(
        command, env=environment, check=False, text=True, stdout=subprocess.PIPE
    ).stdout


def _audit(environment: dict[str, str], before: str) -> Result:
    """Whether a stage left anything that belongs to no server."""
    command = [str(TOP / "tools" / "audit"), "--wait", str(AUDIT_PATIENCE)]
    with tempfile.NamedTemporaryFile("w", prefix="nova-multi-test-") as known:
        known.write(before)
        known.flush()
        return _run("audit", [*command, "--known", known.name], environment)


def _run(stage: str, command: list[str], environment: dict[str, str]) -> Result:
    print(f"\n== {stage}: {' '.join(command)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="nova-multi-test-") as folder:
        report = Path(folder) / "report.xml"
        options = f"{environment.get('PYTEST_ADDOPTS', '')} --junit-xml={report}"
        environment = {**environment, "PYTEST_ADDOPTS": options.strip()}
        begin = time.monotonic()
        ended = subprocess.run(command, cwd=TOP, env=environment, check=False)
        seconds = time.monotonic() - begin
        return Result(stage, ended.returncode, seconds, _failures(report))


def _failures(report: Path) -> tuple[str, ...]:
    """The tests that failed, by pytest's report; none where there is no report."""
    try:
        cases = ElementTree.parse(report).iter("testcase")
    except (OSError, ElementTree.ParseError):
        return ()
    found = []
    for case in cases:
        for outcome in case:
            if outcome.tag in ("failure", "error"):
                name = f"{case.get('classname')}::{case.get('name')}"
                why = " ".join((outcome.get("message") or "").split())
                found.append(f"{name}: {why[:REASON]}")
    return tuple(found)


def _sum_up(results: list[Result]) -> None:
    """The last words of a run: what failed, then how each stage ended."""
    for result in results:
        if result.failures:
            print(f"\n{result.stage} failed in")
            print("\n".join(f"  {line}" for line in result.failures))
    print("\n" + "\n".join(str(result) for result in results), flush=True)


if __name__ == "__main__":
    sys.exit(main())
