"""python -m nas.export: write found architectures and trained detectors as files that other programs read."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from foundation import InputError, check_range, short_path
from nas.exporting.formats import Format
from nas.exporting.networks import NetworkExport, export_detector, export_trial_networks, trial_stems
from nas.exporting.specs import export_trials
from nas.options.builder import build
from nas.options.command_line import run_command
from nas.options.output import print_aside
from nas.record.architecture import highest_ranked
from nas.record.events import MAX_TRIALS
from nas.record.journal import read_record, refuse_links
from nas.record.record import Record
from nas.record.trial import Trial
from proxy_tasks.exporting.formats import NetworkFormat, Variant
from proxy_tasks.full_training.head_names import trained_path
from search_space.scale import MAX_IMAGE_SIZE_PX

if TYPE_CHECKING:
    from proxy_tasks.exporting.subject import Answer

HELP = """\
python -m nas.export run=FOLDER|weights=FILE_OR_RUN [name=value ...]

Write the architecture of one trial, or of the best ones, or a trained detector or classifier. The best are those that
nas.leaderboard shows first. A spec file (format=json) holds topology, scale, and where it comes from. The other formats
hold the network itself: of a run the backbone with fresh weights, of a training the detector or classifier. Each is
loaded back and compared with the network before it is written.

  python -m nas.export run=runs/quickstart top=3
  python -m nas.export run=runs/quickstart trial=7 out=mine format=[json,onnx,pt2,python]
  python -m nas.export weights=runs/full format=onnx suppression=true
"""


_TOP = 3
"""Number of trials that are written unless another one is asked for."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command; names as in `experiments/export.yaml`."""

    run: Path | None
    weights: Path | None
    format: Format | tuple[Format, ...] | None
    top: int | None
    trial: int | None
    out: Path | None
    image_size_px: int | None
    dynamic: tuple[Literal["batch", "size"], ...]
    boxes: bool
    suppression: bool
    aot: bool
    use: Literal["averaged", "raw"] | None
    overwrite: bool

    def __post_init__(self) -> None:
        if self.top is not None:
            check_range("top", self.top, 1, MAX_TRIALS, "no run has more trials")
        if self.image_size_px is not None:
            check_range("image_size_px", self.image_size_px, 32, MAX_IMAGE_SIZE_PX, "an image of 8192 px takes 200 MB")
        if (self.run is None) == (self.weights is None):
            raise ValueError("one of run=FOLDER, for the architectures of a search, and weights=FILE_OR_RUN is needed")

        if not self.formats:
            raise ValueError("format needs one or more of json, onnx, pt2 and python, got none")
        if self.run is not None:
            self._check_of_run()
        else:
            self._check_of_weights()
        if not {"onnx", "pt2"} & set(self.formats) and self.dynamic != ("batch",):
            raise ValueError("dynamic is of format=onnx and pt2: the source code takes any number of images")
        if "size" in self.dynamic:
            self._check_of_any_size()
        if self.aot and "pt2" not in self.formats:
            raise ValueError("aot=true is of format=pt2: a program is compiled, other files are not")
        if self.aot and self.suppression:
            # What torch 2.15 makes of the loop stops with an index out of bounds.
            raise ValueError(
                "aot=true is not for suppression=true: AOTInductor compiles torch.while_loop wrongly; take boxes=true"
            )

    def _check_of_any_size(self) -> None:
        """Check that nothing asked for needs images of one size."""
        if self.image_size_px is not None:
            raise ValueError("image_size_px and dynamic=[size] exclude each other: one size, or several")
        if self.boxes or self.suppression:
            raise ValueError(
                "dynamic=[size] is of logits and codes: boxes and suppression need the anchors of one size"
            )
        if self.aot:
            raise ValueError("dynamic=[size] is not for aot=true: a program is compiled for one size")

    def _check_of_run(self) -> None:
        """Check what a run is exported with."""
        for name, is_asked in (("boxes", self.boxes), ("suppression", self.suppression)):
            if is_asked:
                raise ValueError(
                    f"{name}=true needs weights=FILE_OR_RUN: of a run the backbone is written, which finds none"
                )
        if self.use is not None:
            raise ValueError("use needs weights=FILE_OR_RUN: of a run the weights are fresh")
        if self.top is not None and self.trial is not None:
            raise ValueError("top and trial exclude each other: one trial, or the best of all")
        if self.image_size_px is not None and self.formats == ("json",):
            raise ValueError("image_size_px is of networks, as format=onnx; a spec file has none")
        if self.overwrite and self.formats == ("json",):
            raise ValueError("overwrite=true is of networks, as format=onnx; spec files are always written")

    def _check_of_weights(self) -> None:
        """Check what a trained detector is exported with."""
        if self.boxes and self.suppression:
            raise ValueError("boxes and suppression exclude each other: all of the best boxes, or those that are kept")
        for name, value in (("trial", self.trial), ("top", self.top)):
            if value is not None:
                raise ValueError(f"{name} needs run=FOLDER: a training is of one architecture")
        if "json" in self.formats:
            raise ValueError("format=json needs run=FOLDER: a detector is written as onnx, pt2 or python")

    @property
    def formats(self) -> tuple[Format, ...]:
        """The formats asked for, each once."""
        if self.format is None:
            return ("json",) if self.run is not None else ("onnx",)
        return tuple(dict.fromkeys(self.format if isinstance(self.format, tuple) else (self.format,)))

    @property
    def answer(self) -> "Answer":
        """The answer of a detector."""
        if self.suppression:
            return "kept"
        return "boxes" if self.boxes else "raw"

    def network_export(self, inside: Path | None) -> NetworkExport:
        """Return how networks are written."""
        formats = cast("tuple[NetworkFormat, ...]", tuple(form for form in self.formats if form != "json"))
        variant = Variant(dynamic_batch="batch" in self.dynamic, compiled=self.aot)
        return NetworkExport(formats, self.image_size_px, "size" in self.dynamic, variant, self.overwrite, inside)


def main(config: dict[str, Any]) -> None:
    """Write what the configuration asks for."""
    options = build(Options, config, "")
    paths = _export_run(options, options.run) if options.run is not None else _export_weights(options)
    for path in paths:
        print(short_path(path))


def _export_run(options: Options, run: Path) -> list[Path]:
    """Write trials of a run in every format."""
    record = read_record(run)
    trials = _trials(options, run, record)
    out, inside = options.out or run / "export", None if options.out else run
    how = options.network_export(inside)
    stems = trial_stems(trials, out)

    how.check(stems)
    if inside is not None:
        refuse_links(run)
    paths = export_trials(record, trials, run, out, inside=inside) if "json" in options.formats else []
    return paths + export_trial_networks(record, trials, run, stems, how) if how.formats else paths


def _trials(options: Options, run: Path, record: Record) -> list[Trial]:
    """Return the trials that are asked for, best first."""
    if options.trial is None:
        return list(highest_ranked(record, run, options.top or _TOP, print_aside))
    trial = record.trials.get(options.trial)
    if trial is None or trial.reward is None:
        raise InputError(f"trial={options.trial}: {run} has no finished trial of that number")
    return [trial]


def _export_weights(options: Options) -> list[Path]:
    """Write a trained detector or classifier in every format."""
    weights = trained_path(cast("Path", options.weights))
    folder = weights.parent
    stem = (options.out or folder / "export") / weights.stem
    how = options.network_export(None if options.out else folder)

    how.check([stem])
    return export_detector(weights, options.use, stem, how, options.answer)


if __name__ == "__main__":
    run_command("export", HELP, main)
