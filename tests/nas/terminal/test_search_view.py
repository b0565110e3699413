"""What a person sees while a search runs: lines everywhere, and a panel in a terminal."""

import io
import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from rich.console import Console

from controllers import Proposal
from nas.engine.workers import Gpu, Workers
from nas.record.events import Asked, Created, Told
from nas.record.record import Record
from nas.record.trial import Failure, FailureKind, Trial
from nas.terminal.console import Verbosity
from nas.terminal.live_panel import LivePanel, sparkline
from nas.terminal.search_view import SearchView
from nas.terminal.status import Standing, Tally
from search_space import published_spec
from search_space.spec import ArchSpec, BlockSpec, short_key
from tests.conftest import TINY_LANDSCAPE, Run

SPEC = published_spec("spinenet-49")
SHORT = "2 4r 3 4 6r 4 5r 7r 5 5|4 3 5 7 6"
KEY = short_key(SPEC.key)
NO_RECORD = Record(Created(config={}, versions={}))


def trial(number: int, **changes: object) -> Trial:
    return Trial(number, Proposal(()), SPEC, SPEC.key, **changes)  # type: ignore[arg-type]  # names of its own fields


def failed(number: int, kind: FailureKind = "nan", message: str = "the loss was not finite at step 3") -> Trial:
    return trial(number, status="failed", failure=Failure(kind, message, traceback="File train.py, line 7"))


def trained(number: int, reward: float, rung: int = 0) -> Trial:
    seconds = {"train": 20.0, "score": 3.4}
    made = trial(number, status="completed", reward=reward, metrics={"macs": 76.9e6}, seconds=seconds)
    return Trial(**{name: getattr(made, name) for name in Trial.__slots__} | {"proposal": Proposal((), rung=rung)})


def shown(*trials: Trial, verbosity: Verbosity = "normal") -> str:
    out = io.StringIO()
    console = Console(file=out, width=200, markup=False)
    with SearchView(console, "runs/x", 12, NO_RECORD, verbosity) as view:
        view.note_workers(Workers(2))
        for one in trials:
            view.show(one)
        view.stopping("too many failures")
    return out.getvalue()


def test_every_trial_that_ends_has_a_line_and_the_best_is_marked() -> None:
    rejected = trial(3, status="rejected", failure=Failure("over_limit", "macs 9e+07, limit 8e+07"))
    reused = trial(1, status="reused", reward=0.25, reused_from=0)
    lines = shown(trial(0), trained(0, 0.25), reused, failed(2), rejected).splitlines()
    assert len(lines) == 5
    assert lines[0].startswith(f"[1/12] trial 0    {KEY}  reward 0.2500  76.9M MACs  23 s")
    assert lines[0].endswith(f"{SHORT} best")
    assert "reward 0.2500  same as trial 0, not trained again" in lines[1]
    assert "failed (nan): the loss was not finite at step 3" in lines[2]
    assert f"[4/12] trial 3    {KEY}  rejected (over_limit): macs 9e+07, limit 8e+07" in lines[3]
    assert not lines[1].endswith("best")
    assert lines[4] == "stopping: too many failures"


def test_quiet_says_what_goes_wrong_and_nothing_else() -> None:
    again = trial(1, attempts=(Failure("worker_lost", "the process died"),))
    lines = shown(trial(0), trained(0, 0.25), trial(1), again, trial(2), failed(2), verbosity="quiet").splitlines()
    assert lines[0] == "trial 1 is left open (worker_lost): the process died"
    assert f"trial 2    {KEY}  failed (nan): the loss was not finite at step 3" in lines[1]
    assert lines[2:] == ["stopping: too many failures"]


def test_a_remark_on_a_trial_is_shown_quiet_or_not() -> None:
    remarked = trial(4, status="completed", reward=0.1, remarks=("trained from scratch, as x.pt is damaged\x1b[2J",))
    for verbosity in ("normal", "quiet"):
        lines = shown(remarked, verbosity=verbosity).splitlines()
        assert "trial 4: trained from scratch, as x.pt is damaged [2J" in lines


def test_verbose_says_what_starts_where_it_failed_and_how_many_workers_there_are() -> None:
    lines = shown(trial(0), failed(0), verbosity="verbose").splitlines()
    assert lines[:2] == ["2 workers, 0 starting", f"trial 0 starts: {KEY} {SHORT}"]
    assert lines[3] == "File train.py, line 7"


def on_screen(width: int, encoding: str, *trials: Trial, verbosity: Verbosity = "normal") -> list[str]:
    """Return the lines that a search of 14,000 trials leaves on a terminal."""
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
    console = Console(file=out, width=width, height=40, force_terminal=True, markup=False)
    with SearchView(console, "runs/x", 14_000, NO_RECORD, verbosity) as view:
        for one in trials:
            view.show(one)
    out.flush()
    buffer = out.buffer
    assert isinstance(buffer, io.BytesIO)
    return screen(buffer.getvalue().decode(encoding)).rstrip().split("\n")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("width", [60, 80, 100, 124, 125, 160])
def test_a_trial_is_one_line_whatever_the_width_and_keeps_what_matters(width: int, encoding: str) -> None:
    long = failed(2, "error", "RuntimeError: " + "the size of tensor a must match " * 9)
    lines = on_screen(
        width, encoding, trained(13_999, 0.25), trial(1, status="reused", reward=0.2, reused_from=0), long
    )
    assert len(lines) == 3
    assert max(len(line) for line in lines) <= width
    assert re.match(rf"\[1/14000\] trial 13999 +{KEY}  reward 0\.2500 ", lines[0])
    assert lines[0].endswith(" best")
    assert re.match(rf"\[2/14000\] trial 1 +{KEY}  reward 0\.2000 ", lines[1])
    assert re.match(rf"\[3/14000\] trial 2 +{KEY}  failed \(error\): ", lines[2])
    if width >= 80:
        assert "reward 0.2500  76.9M MACs  23 s" in lines[0]
        assert f"  {SHORT[:4]}" in lines[0]
    if width >= 125:
        assert lines[0].endswith(f"  {SHORT} best")


def test_a_quiet_search_in_a_narrow_terminal_tells_a_failure_whole() -> None:
    message = "RuntimeError: " + "the size of tensor a must match " * 9
    lines = on_screen(80, "utf-8", failed(2, "error", message), verbosity="quiet")
    assert f"failed (error): {message}" in "".join(lines)


def test_architectures_that_differ_in_their_parents_alone_look_different() -> None:
    first = SPEC.blocks[0]
    other = ArchSpec(SPEC.stem, (BlockSpec(first.level, first.kind, (0,), first.is_output), *SPEC.blocks[1:]))
    lines = shown(trained(0, 0.25), Trial(1, Proposal(()), other, other.key, status="completed", reward=0.2)).split(
        "\n"
    )
    assert SHORT in lines[0]
    assert SHORT in lines[1]
    assert short_key(other.key) in lines[1]
    assert short_key(other.key) != KEY


@pytest.mark.parametrize("message", ["[/red]", r"bad \[/x] here", "[bold]"])
def test_messages_with_brackets_are_shown_as_they_are(message: str) -> None:
    assert message in shown(trial(0), failed(0, "error", message))


def drawn(standing: Standing, width: int = 120, encoding: str = "utf-8") -> str:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=out, width=width, markup=False).print(LivePanel("runs/x", standing))
    out.flush()
    buffer = out.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode(encoding)


def busy_search() -> Tally:
    """Two workers for 100 s: one trained all the time, the other for half of it."""
    tally = Tally(NO_RECORD, 12, now_s=0.0)
    tally.note_workers(Workers(2), 0.0)
    tally.take(trial(0), 0.0)
    tally.take(trial(1), 0.0)
    tally.take(trained(0, 0.25), 50.0)
    tally.take(failed(1), 50.0)
    tally.take(trial(2), 50.0)
    return tally


def test_the_panel_says_that_workers_are_starting() -> None:
    tally = Tally(NO_RECORD, 12, now_s=0.0)
    assert "waiting for a worker" in drawn(tally.standing(1.0))
    tally.note_workers(Workers(0, num_starting=2), 1.0)
    assert "2 workers starting" in drawn(tally.standing(2.0))
    tally.note_workers(Workers(2, num_starting=1), 2.0)
    assert "0 of 2 workers busy, 1 worker starting" in drawn(tally.standing(3.0))


def test_a_worker_that_did_not_start_has_a_line_quiet_or_not() -> None:
    out = io.StringIO()
    with SearchView(Console(file=out, width=200), "runs/x", 12, NO_RECORD, "quiet") as view:
        view.note_workers(Workers(1, 1, Failure("timeout", "took longer than 300 s to load the task on a node")))
    assert out.getvalue() == "a worker did not start (timeout): took longer than 300 s to load the task on a node\n"


def test_the_panel_says_on_which_gpus_workers_train_and_how_much_memory_is_free_there() -> None:
    tally = Tally(NO_RECORD, 12, 0.0)
    plain = drawn(tally.standing(1.0))
    gib = 2**30
    tally.note_workers(Workers(3, gpus=(Gpu("H200", 40 * gib, 140 * gib), Gpu("H200", 12 * gib, 140 * gib))), 1.0)
    text = drawn(tally.standing(2.0))
    assert "2 workers on H200, 12 of 140 GiB free" in text.splitlines()[-1]
    assert len(text.splitlines()) == len(plain.splitlines())


def test_a_remark_on_the_workers_has_a_line_of_its_own() -> None:
    out = io.StringIO()
    with SearchView(Console(file=out, width=200), "runs/x", 12, NO_RECORD) as view:
        view.note_workers(Workers(1, 1, remark="trials take turns"))
        view.note_workers(Workers(2))
    assert out.getvalue() == "trials take turns\n"


def test_the_panel_says_how_a_search_stands() -> None:
    text = drawn(busy_search().standing(100.0))
    for part in (
        "runs/x",
        "2 of 12",
        "1 min 40 s, about 8 min 20 s left",
        "1 trained, 1 running, 1 failed (nan 1)",
        "0.2500  trial 0  76.9M MACs",
        f"{KEY}  {SHORT}",
        "72 trials an hour, 1 of 2 workers busy, 75% of the time, longest: trial 2, 50 s",
    ):
        assert part in text


def test_the_panel_has_a_metric_of_somebodys_own_task_and_says_the_reward_once() -> None:
    tally = Tally(NO_RECORD, 12, now_s=0.0)
    metrics = {"miou": 0.4321, "energy_j": 1234.5, "ap/person": 0.5, "ap50": 0.6, "macs": 76.9e6}
    tally.take(trial(0, status="completed", reward=0.4321, metrics=metrics), 50.0)
    best = drawn(tally.standing(100.0)).splitlines()[3]
    assert "0.4321  trial 0  76.9M MACs  energy_j 1.23K  " in best
    assert not re.search("miou|AP|ap", best)


def test_an_attempt_that_failed_is_counted_and_its_trial_runs_no_more() -> None:
    tally = busy_search()
    assert tally.take(trial(2, attempts=(Failure("worker_lost", "died"),)), 60.0) == "attempt_failed"
    standing = tally.standing(60.0)
    assert (standing.num_running, standing.num_retried, standing.longest) == (0, 1, None)
    assert "1 failed (nan 1), 1 attempt lost" in drawn(standing)


def test_a_promoted_trial_leads_and_is_no_part_of_the_curve() -> None:
    tally = busy_search()
    assert tally.take(trained(2, 0.2, rung=1), 60.0) == "ended_best"
    assert tally.take(trained(3, 0.5), 60.0) == "ended"
    assert tally.standing(60.0).rewards == (0.25, 0.5)


def test_a_resumed_search_shows_what_is_on_record_and_the_speed_of_this_start() -> None:
    record = Record(Created(config={}, versions={}))
    for number, reward in enumerate([0.1, 0.3, 0.2]):
        record.add(Asked(trial=number, decisions=(), key=SPEC.key, spec=SPEC))
        record.add(Told(trial=number, status="completed", reward=reward))
    record.add(Asked(trial=3, decisions=(), key=SPEC.key, spec=SPEC))
    standing = Tally(record, 12, now_s=0.0).standing(10.0)
    assert (standing.num_done, standing.num_running) == (3, 0)
    assert standing.rewards == (0.1, 0.3, 0.2)
    assert standing.best is not None
    assert standing.best.number == 1
    assert standing.per_hour is None
    assert "waiting for a worker" in drawn(standing)


def test_a_long_search_has_a_curve_of_its_best_in_each_part() -> None:
    tally = Tally(NO_RECORD, 1000, now_s=0.0)
    for number in range(601):
        tally.take(trained(number, number / 1000), float(number))
    rewards = tally.standing(601.0).rewards
    assert len(rewards) == 40
    assert rewards[0] == 0.014
    assert rewards[-1] == 0.6


def test_a_sparkline_goes_from_the_lowest_to_the_highest() -> None:
    assert sparkline([0.0, 0.5, 1.0, 0.0]) == "▁▅█▁"
    assert set(sparkline([0.3, 0.3])) == {"▅"}


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
@pytest.mark.parametrize("width", [20, 40, 60, 80, 300])
def test_the_panel_fits_the_terminal_and_its_characters(width: int, encoding: str) -> None:
    lines = drawn(busy_search().standing(100.0), width, encoding).splitlines()
    assert len(lines) == 8  # nothing is wrapped
    assert max(len(line) for line in lines) < width
    for line, label in zip(lines[1:], ("ended", "trials", "best", "", "rewards", "speed"), strict=False):
        assert line[2:10].strip() == label


def test_eighty_columns_are_enough_for_what_matters() -> None:
    tally = busy_search()
    for number in range(3, 1000):
        tally.take(trained(number, number / 1000), 60.0)
    text = drawn(tally.standing(100.0), width=80)
    for part in ("999 of 12", "1 min 40 s", "998 trained", "to 0.9990  ▂", "█ ", "1 of 2 workers busy"):
        assert part in text


def test_a_search_that_has_not_begun_has_a_panel_of_the_same_height() -> None:
    text = drawn(Tally(NO_RECORD, 12, now_s=0.0).standing(0.0))
    assert "0 of 12" in text
    assert "waiting for a worker" in text
    assert len(text.splitlines()) == len(drawn(busy_search().standing(100.0)).splitlines())


def in_terminal(folder: Path, *arguments: str, **environment: str) -> str:
    """Return all that a search writes to a terminal of its own, 100 columns wide."""
    ours, theirs = pty.openpty()
    everything = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"} | environment
    command = [sys.executable, "-m", "nas.search", *TINY_LANDSCAPE, *arguments]
    process = subprocess.Popen(command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=everything)
    os.close(theirs)
    written = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        written += piece
        if not piece:
            break
    os.close(ours)
    assert process.wait() == 0
    return written.decode(everything.get("PYTHONIOENCODING", "utf-8"))


def screen(written: str) -> str:
    """Return what stays on a terminal, which is not too low: lines go to the cursor, which is moved and erases."""
    rows, at = [""], 0
    for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\r|\n)", written):
        if part == "\n":
            at += 1
            rows += [""] * (at == len(rows))
        elif re.fullmatch(r"\x1b\[\d*A", part):
            at = max(0, at - int(part[2:-1] or 1))
        elif part == "\x1b[2K":
            rows[at] = ""
        elif part and not part.startswith("\x1b") and part != "\r":
            rows[at] += part
    return "\n".join(rows)


def test_a_terminal_shows_the_panel_and_in_the_end_the_lines_and_the_ranking(tmp_path: Path) -> None:
    written = in_terminal(tmp_path)
    assert "5 trained" in re.sub(r"\x1b\[[0-9;]*m", "", written)
    text = screen(written)
    assert "╭" not in text
    assert text.index("[1/5] trial 0") < text.index("[5/5] trial 4") < text.index("Best of run") < text.index("Report:")
    assert max(len(line) for line in text[: text.index("Specs of the best")].splitlines()) <= 100


@pytest.mark.parametrize("attempt", range(4))
def test_lines_of_two_threads_stay_and_nothing_of_the_panel_does(attempt: int) -> None:
    out = io.StringIO()
    console = Console(file=out, width=100, height=40, force_terminal=True, markup=False)

    def print_sixty() -> None:
        for number in range(60):
            console.print(f"other {number}")

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with SearchView(console, "runs/x", 300, NO_RECORD) as view:
            other = threading.Thread(target=print_sixty)
            other.start()
            for number in range(60):
                view.show(trial(number))
                view.show(trained(number, number / 300))
            other.join()
    finally:
        sys.setswitchinterval(before)
    text = screen(out.getvalue())
    assert (text.count("other "), text.count("] trial "), text.count("╭")) == (60, 60, 0)


def test_what_a_tracker_fails_with_stays_on_the_screen(tmp_path: Path) -> None:
    # The first result is shown when the panel is up.
    (tmp_path / "run" / "tensorboard").mkdir(parents=True)
    (tmp_path / "run" / "tensorboard" / "trials").write_text("in the way")
    text = screen(in_terminal(tmp_path, "num_trials=200"))
    assert "no more is shown in tensorboard (InputError: cannot write" in text
    assert "[200/200]" in text
    assert "╭" not in text


@pytest.mark.parametrize(
    "variable", [("JPY_PARENT_PID", "1"), ("MPLBACKEND", "module://matplotlib_inline.backend_inline")]
)
def test_a_shell_cell_of_a_notebook_shows_lines_and_no_panel(tmp_path: Path, variable: tuple[str, str]) -> None:
    # Its terminal only writes on, and the kernel's variables ask for colours.
    written = in_terminal(tmp_path, FORCE_COLOR="1", **dict([variable]))
    assert "\x1b" not in written
    assert written.count("[5/5] trial 4") == 1
    assert "Best of run" in written


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_terminal_that_is_not_utf8_shows_a_search(tmp_path: Path, encoding: str) -> None:
    text = screen(in_terminal(tmp_path, PYTHONIOENCODING=encoding, COLUMNS="70"))
    assert "[5/5] trial 4" in text
    assert "Report:" in text


def test_a_quiet_search_in_a_terminal_shows_nothing(tmp_path: Path) -> None:
    assert in_terminal(tmp_path, "-q") == ""
    assert (tmp_path / "run" / "best").is_dir()


def test_flags_stand_for_the_option(call: Run) -> None:
    assert call("nas.search", *TINY_LANDSCAPE, "--quiet").stdout == ""
    again = call("nas.search", *TINY_LANDSCAPE, "num_trials=7", "-v")
    assert "trial 5 starts" in again.stdout
    assert "verbosity: verbose" in call("nas.search", *TINY_LANDSCAPE, "--verbose", "--cfg").stdout
    assert call("nas.replay", *TINY_LANDSCAPE, "top=1", "-q").stdout == ""
    assert "-q, --quiet" in call("nas.replay", "--help").stdout


def test_commands_without_long_work_have_no_such_flags(call: Run) -> None:
    refused = call("nas.leaderboard", "run=run", "-v")
    assert refused.returncode == 2
    assert "unknown flag -v" in refused.stderr
    assert "--quiet" not in call("nas.leaderboard", "--help").stdout
