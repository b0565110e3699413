"""The command python -m nas.stopping: what rules that stop trainings early would have saved and cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from foundation import InputError, short_path
from nas.assessment.stopping import RulesAssessment, assess_rules
from nas.options.builder import build
from nas.options.command_line import run_command
from nas.options.output import print_warning
from nas.record.journal import has_trials, read_record
from nas.record.stopping import Stopping
from nas.terminal.console import make_console
from nas.terminal.stopping_tables import rules_table, verdict_lines

HELP = """\
python -m nas.stopping FOLDER ... [name=value ...]

Say what rules that stop trainings early would have saved and cost in searches that trained everything to its end, by
the loss curves on record: the share of the image passes saved, and how many of the best tenth of each search would have
been lost. Limits are those that a search would have set, from the results that it had. Nothing is trained. A search
uses a rule with stopping.shares= and stopping.worst=, and none by default.

  python -m nas.stopping runs/*
  python -m nas.stopping runs/random shares=[0.25] worst=[0.3,0.5] min_results=50
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command; names as in `experiments/stopping.yaml`."""

    run: Path | tuple[Path, ...]
    shares: tuple[float, ...]
    worst: tuple[float, ...]
    min_results: int
    margin: float
    format: Literal["table", "json"] = "table"

    def __post_init__(self) -> None:
        for name in ("run", "shares", "worst"):
            if getattr(self, name) == ():
                raise ValueError(f"{name}: needs at least one")
        # Making the rules checks the numbers in them.
        if not self.rules:
            raise ValueError("shares: makes no rule")

    @property
    def rules(self) -> tuple[Stopping, ...]:
        """The rules: each share by itself, then all together, with each of the shares that count as the worst."""
        sets: list[Sequence[float]] = [(share,) for share in self.shares]
        if len(self.shares) > 1:
            sets.append(self.shares)
        return tuple(
            Stopping(tuple(shares), worst, self.min_results, self.margin) for shares in sets for worst in self.worst
        )


def main(config: dict[str, Any]) -> None:
    """Show what the configuration asks for."""
    options = build(Options, config, "")
    folders = options.run if isinstance(options.run, tuple) else (options.run,)
    records = {}
    for folder in folders:
        if not folder.exists():
            raise InputError(f"no run at {short_path(folder)}: there is no such folder")
        if has_trials(folder):
            records[short_path(folder)] = read_record(folder)
        else:
            print_warning(f"{short_path(folder)} holds no run that has begun, so that it is left out")
    if not records:
        raise InputError("run: none of these holds a run that has begun; name run folders, as runs/*")

    assessment = assess_rules(records, options.rules)
    if options.format == "json":
        print(TypeAdapter(RulesAssessment).dump_json(assessment, indent=1).decode())
        return
    console = make_console()
    console.print(rules_table(assessment))
    console.print()
    for line in verdict_lines(assessment):
        console.print(line, soft_wrap=True)


if __name__ == "__main__":
    run_command("stopping", HELP, main, words="run")
