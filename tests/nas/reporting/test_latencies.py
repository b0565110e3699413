"""Latencies on the page of a report: the front of AP against them, by device, as worked out by hand."""

import json
import re
from pathlib import Path

import pytest

from nas.record.journal import FILE_NAME, read_record
from nas.reporting import page_of, read_runs
from nas.reporting.latencies import LATENCY, SPREAD
from nas.reporting.trials import trial_columns
from proxy_tasks.latency import Conditions
from proxy_tasks.timing.kept import FOLDER, KeptLatency, Subject, keep
from search_space import ModelScale
from tests.nas.reporting.reported_runs import write_run

REWARDS = [0.3, 0.5, 0.4, 0.45]
IN_SEARCH = {
    "torch 2.9 float32 on Fast GPU 20 runs after 5": [1.0, 4.0, 2.0, 2.0],
    "command on nano": [9.0, 4.0, 8.0, 7.0],
}


def run_with_latencies(folder: Path) -> Path:
    """Write a run whose search timed every trial on two devices."""
    run = write_run(folder, list(REWARDS))
    lines = [json.loads(line) for line in (run / FILE_NAME).read_text().splitlines()]
    for line in lines:
        if "metrics" in line:
            for label, times in IN_SEARCH.items():
                line["metrics"] |= {f"{LATENCY}{label}": times[line["trial"]], f"{SPREAD}{label}": 0.25}
    (run / FILE_NAME).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


def profile(
    run: Path, number: int, median_ms: float, device: str = "orin", command: str = "bench {file}", width: float = 1.0
) -> Path:
    """Keep a latency of a trial as nas.profile does, and return its path."""
    subject = Subject(
        key=read_record(run).trials[number].key,
        head="retinanet",
        num_classes=80,
        scale=ModelScale(width_multiplier=width),
        command=command,
        conditions=Conditions("command", device, "float32", 1, (640, 480), 3, None),
    )
    kept = KeptLatency(subject=subject, median_ms=median_ms, quartiles_ms=(1.0, 1.5), measured_at=0.0)
    keep(run / FOLDER, kept, inside=run)
    return run / FOLDER / subject.file_name


def fronts(page: str) -> dict[str, list[tuple[str, ...]]]:
    """Return the rows of the table of each device."""
    (part,) = re.findall(r"<section><h2>What it takes, by device</h2>(.*?)</section>", page, re.S)
    tables = re.findall(r"<h3>(.*?)</h3>(.*?)</tbody>", part, re.S)
    return {
        label: re.findall(r"<td>trial (\d+) \w+</td>" + r'<td class="number">(.*?)</td>' * 3, rows)
        for label, rows in tables
    }


def test_each_device_has_the_front_of_ap_against_its_latencies(tmp_path: Path) -> None:
    run = run_with_latencies(tmp_path / "run")
    profile(run, 0, 3.5)
    profile(run, 2, 3.5)
    (own,) = read_runs([run])
    page = page_of([own], top=3)
    (of_orin,) = (label for label in fronts(page) if "on orin" in label)
    assert re.fullmatch(
        r"command float32 on orin 3 calls: retinanet of 80 classes, batch 1 of 640 x 480 px, command \w{6}, "
        r"at another scale \w{6}",
        of_orin,
    )
    assert fronts(page) == {
        # Trial 3 is as fast as trial 2 and finds more.
        "torch 2.9 float32 on Fast GPU 20 runs after 5": [
            ("0", "0.3000", "1", "0.25"),
            ("3", "0.4500", "2", "0.25"),
            ("1", "0.5000", "4", "0.25"),
        ],
        # The best is the fastest here.
        "command on nano": [("1", "0.5000", "4", "0.25")],
        of_orin: [("2", "0.4000", "3.5", "0.5")],
    }
    assert "3 of 4 architectures" in page
    assert "1 of 2 architectures" in page

    # The plot of one figure against another has them as axes, what nas.profile measured too.
    columns = trial_columns([own]).metrics
    assert columns["latency_ms/command on nano"] == (9.0, 4.0, 8.0, 7.0)
    assert columns[f"latency_ms/{of_orin}"] == (3.5, None, 3.5, None)


def test_latencies_by_other_commands_or_at_other_scales_stand_apart(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", list(REWARDS))
    profile(run, 1, 3.0)
    profile(run, 1, 4.0, command="bench --fp16 {file}")
    profile(run, 1, 5.0, width=0.5)
    found = fronts(page_of(read_runs([run]), top=3))
    assert sorted(row[2] for rows in found.values() for row in rows) == ["3", "4", "5"]
    assert len(found) == 3


def test_searches_by_other_commands_or_at_other_scales_have_tables_of_their_own(tmp_path: Path) -> None:
    metrics = {f"{LATENCY}command on nano": 3.0}
    runs = [write_run(tmp_path / name, list(REWARDS), more_metrics=metrics) for name in ("a", "b", "c", "d")]
    other = {"a": {}, "b": {}, "c": {"task": {"latency": {"command": "x"}}}, "d": {"scale": {"width_multiplier": 0.5}}}
    for run in runs:
        first, *rest = (run / FILE_NAME).read_text().splitlines()
        created = json.loads(first)
        created["config"] |= other[run.name]
        (run / FILE_NAME).write_text("\n".join([json.dumps(created), *rest, ""]))
    page = page_of(read_runs(runs), top=3)
    labels = re.findall(r"<h3>(command on nano.*?)</h3>", page)
    assert len(labels) == 3
    assert all(re.fullmatch(r"command on nano, set-up \w{6}", label) for label in labels)
    assert re.findall(r"<h3>(command on nano.*?)</h3>", page_of(read_runs(runs[:2]), top=3)) == ["command on nano"]


def test_a_run_that_timed_nothing_has_no_such_section(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", list(REWARDS))
    assert "by device" not in page_of(read_runs([run]), top=3)


def test_what_is_damaged_or_leads_out_of_the_run_is_left_out_with_a_line(tmp_path: Path) -> None:
    run, other = (write_run(tmp_path / name, list(REWARDS)) for name in ("run", "other"))
    profile(run, 0, 3.0, device="</h3><script>")
    profile(run, 1, 3.0).write_text('{"schema_version": 1}')
    elsewhere = profile(other, 2, 3.0)
    (run / FOLDER / "link.json").symlink_to(elsewhere)
    said: list[str] = []
    page = page_of(read_runs([run], said.append), top=3)
    (label,) = fronts(page)
    assert label.startswith("command float32 on h3 script 3 calls")
    assert re.fullmatch(r"\S+\.json is left out: subject: Field required.*", said[0])
    assert re.fullmatch(r"\S+link\.json is left out: no link is followed in a run", said[1])

    for path in (run / FOLDER).iterdir():
        path.unlink()
    (run / FOLDER).rmdir()
    (run / FOLDER).symlink_to(other / FOLDER)
    said.clear()
    assert "by device" not in page_of(read_runs([run], said.append), top=3)
    assert len(said) == 1


@pytest.mark.parametrize("promoted_from", [None, 2])
def test_the_front_is_among_trials_that_were_trained_alike(tmp_path: Path, promoted_from: int | None) -> None:
    label = "torch on this"
    run = write_run(
        tmp_path / "run", list(REWARDS), promoted_from=promoted_from, more_metrics={f"{LATENCY}{label}": 3.0}
    )
    # All take as long: the best alone is the front, of those that were promoted where some were.
    best = "1" if promoted_from is None else "3"
    assert [row[0] for row in fronts(page_of(read_runs([run]), top=3))[label]] == [best]
