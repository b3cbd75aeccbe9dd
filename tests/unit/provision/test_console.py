# SPDX-License-Identifier: Apache-2.0
"""What is read of a guest's console."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_multi.provision import console

NONCE = "0123456789abcdef"


def lines(*words, nonce=NONCE, start=1):
    """A console with these reports."""
    return "".join(
        f"@nova-multi {nonce} {n} {each}\n" for n, each in enumerate(words, start)
    )


def test_nothing_is_read_twice():
    first = console.read(lines("begin", "log a"), NONCE)
    second = console.read(lines("begin", "log a", "log b"), NONCE, first.last)
    assert first.log == ("a",)
    assert second.log == ("b",)
    assert second.begun


def test_a_gap_is_marked():
    report = console.read(lines("log late", start=40), NONCE, 10)
    mark = "[... 29 lines were lost: the console keeps the last 100 KiB ...]"
    assert report.log == (mark, "late")
    assert report.last == 40
    (mark, _) = console.read(lines("log late", start=12), NONCE, 10).log
    assert mark.startswith("[... 1 line was lost")


def test_other_nonces_are_nothing():
    report = console.read(lines("begin", "exit 0", nonce="f" * 16), NONCE)
    assert report == console.Report()


def test_words_before_the_mark():
    text = "[   12.345] cloud-init[99]: " + lines("begin") + "\r\n"
    assert console.read(text, NONCE).begun


def test_a_line_without_an_end_is_left_for_later():
    begun = lines("begin")
    half = f"{begun}@nova-multi {NONCE} 2 log hel"
    first = console.read(half, NONCE)
    assert (first.last, first.log) == (1, ())
    second = console.read(f"{half}lo\n", NONCE, first.last)
    assert second.log == ("hello",)


def test_a_line_that_is_cut_is_no_exit():
    report = console.read(lines("begin") + f"@nova-multi {NONCE} 2 exi\n", NONCE)
    assert report.exit_code is None


@pytest.mark.parametrize(
    ("begin", "exit", "times"),
    [
        ("begin 1790000000", "exit 3 1790000009", (1790000000, 1790000009)),
        ("begin", "exit 3", (None, None)),
        ("begin ", "exit 3 ", (None, None)),
        ("begin %s", "exit 3 %s", (None, None)),
        ("begin 1 2", "exit 3 -1", (None, None)),
        ("begin 99999999999", "exit 3 1e9", (None, None)),
    ],
)
def test_times_are_the_guests(begin, exit, times):
    report = console.read(lines(begin, exit), NONCE)
    assert (report.began_at, report.ended_at) == times
    assert report.exit_code == 3


@pytest.mark.parametrize("rest", ["", "abc", "-1", "9" * 11, "9" * 5000, "٣x"])
def test_an_exit_status_that_is_none_is_a_failure(rest):
    report = console.read(lines("begin", f"exit {rest}"), NONCE)
    assert report.exit_code != 0


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("\x1b[31mred\x1b[0m\x07 end", "red end"),
        ("\x1b]0;title\x07text", "text"),
        ("10 %\r20 %\r\r", "10 % 20 %"),
        ("tab\tstays", "tab\tstays"),
        ("\x9b31mold", "31mold"),
        ("half a \ud800 pair", "half a ? pair"),
    ],
)
def test_what_a_terminal_obeys_is_taken_out(written, read):
    report = console.read(lines("begin", f"log {written}"), NONCE)
    assert [each.rstrip() for each in report.log] == [read]


@pytest.mark.parametrize("end", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_only_a_newline_ends_a_line(end):
    report = console.read(lines("begin", f"log one{end}two"), NONCE)
    assert len(report.log) == 1 and report.log[0].endswith("two")


def test_a_very_long_line_is_cut():
    report = console.read(lines("begin", "log " + "x" * 100_000), NONCE)
    assert len(report.log[0]) == 4000


def test_what_is_being_done():
    report = console.read(lines("begin", "phase run"), NONCE)
    assert (report.phase, report.message) == ("run", "")
    report = console.read(lines("begin", "phase web", "progress making"), NONCE)
    assert (report.phase, report.message) == ("web", "making")
    assert report.log == ("progress: making",)
    report = console.read(lines("begin", "progress making", "phase web"), NONCE)
    assert report.message == "web"
    report = console.read(lines(f"progress {'x' * 999}"), NONCE)
    assert len(report.message) == 200


def test_outputs():
    text = lines(
        "begin",
        "output url http://a/?b=c d",
        r"output key one\ntwo \\n three\q",
        "output url http://b/",
        "output 1wrong x",
        "output no-name x",
        "output",
        "output empty ",
        "output long " + "x" * 4001,
        "output bell a\x07b\x1b[0mc",
    )
    assert console.read(text, NONCE).outputs == {
        "url": "http://b/",
        "key": "one\ntwo \\n three\\q",
        "empty": "",
        "bell": "abc",
    }


def test_outputs_are_limited_in_number_and_size():
    known = {f"o{number}": "x" for number in range(63)}
    merged, left_out = console.with_outputs(known, {"a": "1", "b": "2", "o1": "y"})
    assert len(merged) == console.MAX_OUTPUTS
    assert merged["o1"] == "y" and "a" in merged
    assert left_out == ["b"]
    large = {f"o{number}": "x" * 4000 for number in range(20)}
    merged, left_out = console.with_outputs({}, large)
    assert sum(map(len, merged.values())) <= console.MAX_ALL_OUTPUTS
    assert set(merged) | set(left_out) == set(large)


def test_a_time_limit():
    report = console.read(lines("begin", "timeout 60", "exit 124"), NONCE)
    assert (report.timed_out, report.exit_code) == (60, 124)


# -- whatever comes

ANYTHING = st.text(st.characters(exclude_characters="\n"), max_size=60)
KINDS = ["begin", "phase", "progress", "log", "output", "timeout", "exit", "end", "x"]


@st.composite
def any_line(draw):
    """A line that may be a report, or nearly one."""
    kind, number = draw(st.sampled_from(KINDS)), draw(st.integers(0, 10**10))
    mark = draw(st.sampled_from(["@nova-multi", "@nova", "", "@nova-multi "]))
    return f"{draw(ANYTHING)}{mark} {NONCE} {number} {kind} {draw(ANYTHING)}"


@given(
    text=st.one_of(st.text(), st.lists(st.one_of(any_line(), ANYTHING)).map("\n".join)),
    after=st.integers(0, 10**9),
)
def test_it_never_raises(text, after):
    report = console.read(text, NONCE, after)
    assert report.last >= after
    for line in (*report.log, report.message, *report.outputs.values()):
        line.encode()
        assert "\x1b" not in line and "\0" not in line
    console.with_outputs({}, report.outputs)


@given(
    written=st.lists(ANYTHING, min_size=1, max_size=30),
    looks=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 900)), max_size=30),
)
def test_no_line_is_lost_or_doubled(written, looks):
    """Windows on a growing console overlap or leave gaps; each gap is counted."""
    told = lines(*(f"log {each}" for each in written))
    whole = [console.read(lines(f"log {each}"), NONCE).log[0] for each in written]
    ends = sorted(end for end, _ in looks)
    windows = [(end, size) for end, (_, size) in zip(ends, looks, strict=True)]
    read: list[str | None] = []
    after = 0
    # At the end all of what is missing is seen.
    for end, size in [*windows, (len(told), len(told))]:
        end = min(end, len(told))
        report = console.read(told[max(0, end - size) : end], NONCE, after)
        after = report.last
        for line in report.log:
            lost = re.fullmatch(r"\[\.\.\. (\d+) lines? (?:was|were) lost: .*\]", line)
            read += [None] * int(lost[1]) if lost else [line]
    assert len(read) == len(whole)
    for have, wanted in zip(read, whole, strict=True):
        assert have is None or have == wanted


@given(st.lists(ANYTHING, max_size=20), st.integers(1, 50))
def test_a_console_that_forgets_nothing_loses_nothing(written, step):
    told = lines("begin", *(f"log {each}" for each in written), "exit 0", "end")
    log: list[str] = []
    after = 0
    for end in [*range(0, len(told), step), len(told)]:
        report = console.read(told[:end], NONCE, after)
        after = report.last
        log += report.log
    assert tuple(log) == console.read(told, NONCE).log
    assert len(log) == len(written)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]) | st.just("\n")))
def test_values_come_as_they_were_sent(value):
    sent = value[:2000].replace("\\", "\\\\").replace("\n", "\\n")
    report = console.read(lines(f"output name {sent}"), NONCE)
    assert report.outputs == {"name": value[:2000]}


def test_the_last_lines_of_an_installer() -> None:
    """As Debian's shows itself in ``screen``, and as Nova gives it."""
    foot = (
        "[0m[H[7m[m[32m[40m[        [37m0 start  [31m ([37m1*shell[31m)[37m  2 shell"
        "  3 shell  4- log   [32m][[34m Nov 29 [37m 9:04 [32m]"
    )
    text = f"[Kernel] begins\n{foot}\n[0mDetecting hardware  ... 2%... 95%\n{foot}\n"
    text += f"\x1b[0m\x1b[2;80HAsking [y/N] for [12]\n{foot}"
    assert console.last_lines(text, 9, 80) == [
        "[Kernel] begins",
        "Detecting hardware  ... 2%... 95%",
        "Asking [y/N] for [12]",
    ]


def test_a_long_line_that_a_program_draws_comes_to_an_end() -> None:
    assert console.last_lines("[ " + "1" * 100_000, 1, 8) == ["[ 111111"]
