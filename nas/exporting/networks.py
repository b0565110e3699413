"""Export of networks: files that other programs run, each checked before it is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import JsonValue

from foundation import InputError, check_writable, short_path, write_whole
from nas.exporting.formats import SUFFIXES
from nas.options.output import print_aside
from nas.record.architecture import scale_of, trial_name
from nas.record.record import Record
from nas.record.trial import Trial
from proxy_tasks.exporting.formats import NetworkFormat, Variant
from proxy_tasks.onnx_extra import check_onnx_packages

if TYPE_CHECKING:
    from proxy_tasks.exporting.subject import Answer, Subject


@dataclass(frozen=True, slots=True)
class NetworkExport:
    """The manner in which networks are written.

    Attributes:
        formats: of the files, one file for each.
        image_size_px: side of the images that a file takes; None for that of the scale.
        dynamic_size: whether a file takes images of several sizes, in place of one.
        variant: what can be chosen of the files.
        overwrite: whether files that are there already are replaced.
        inside: folder below which no link is followed; see `write_whole`.
    """

    formats: tuple[NetworkFormat, ...]
    image_size_px: int | None
    dynamic_size: bool
    variant: Variant
    overwrite: bool
    inside: Path | None

    def check(self, stems: Sequence[Path]) -> None:
        """Check, before any work begins, that the files can be made and replace nothing unasked.

        Args:
            stems: the files without the endings of their formats.

        Raises:
            InputError: a package or a compiler is missing, a file is there, or the folder cannot be made or written to.
        """
        if "onnx" in self.formats:
            check_onnx_packages("format=onnx")
        if self.variant.compiled:
            from proxy_tasks.exporting.compiled_program import check_compiler

            check_compiler("aot=true")

        for folder in {stem.parent for stem in stems}:
            check_writable(folder, "name a folder for the files with out=...", inside=self.inside)
        there = [path for stem in stems for path in self.paths(stem) if path.is_symlink() or path.exists()]
        if there and not self.overwrite:
            raise InputError(
                f"{short_path(there[0])} exists: name another folder, or replace what is there with overwrite=true"
            )

    def paths(self, stem: Path) -> list[Path]:
        """Return the file of each format."""
        return [stem.with_name(stem.name + SUFFIXES[form]) for form in self.formats]

    def write(self, subject: "Subject", stem: Path) -> list[Path]:
        """Write a network in every format, each after it was checked; return the paths.

        Raises:
            InputError: it cannot be exported, does not agree with the network, or cannot be written.
        """
        from proxy_tasks.exporting.checked import export_checked

        if subject.size_step_px is not None:
            print_aside("tracing for images of several sizes, which takes minutes")
        paths, contents = self.paths(stem), []
        for form, path in zip(self.formats, paths, strict=True):
            checked = export_checked(subject, form, self.variant)
            contents.append(checked.content)
            print_aside(f"{path.name}: {checked.in_words}")

        # Only once all have passed: the files of a network are there together or not at all.
        for path, content in zip(paths, contents, strict=True):
            write_whole(path, content, inside=self.inside)
        return paths


def trial_stems(trials: Sequence[Trial], out: Path) -> list[Path]:
    """Return the path of each trial's network without an ending: a name that Python can import."""
    return [out / f"spinenet_{rank:02d}_{trial.key}" for rank, trial in enumerate(trials, start=1)]


def export_trial_networks(
    record: Record, trials: Sequence[Trial], run: Path, stems: Sequence[Path], how: NetworkExport
) -> list[Path]:
    """Write the backbones of trials, with fresh weights; return the paths."""
    from proxy_tasks.exporting.subject import backbone_subject

    paths = []
    for trial, stem in zip(trials, stems, strict=True):
        provenance: dict[str, JsonValue] = {
            "name": trial_name(run, trial),
            "run": run.name,
            "trial": trial.number,
            "key": trial.candidate.key,
        }
        scale = scale_of(trial, record)
        size = how.image_size_px or scale.image_size_px
        subject = backbone_subject(trial.spec, scale, size, provenance, dynamic_size=how.dynamic_size)
        paths += how.write(subject, stem)
    return paths


def export_detector(
    weights: Path, which: Literal["averaged", "raw"] | None, stem: Path, how: NetworkExport, answer: "Answer"
) -> list[Path]:
    """Write a trained detector or classifier; return the paths."""
    from proxy_tasks.exporting.classifiers import is_classifier_file
    from proxy_tasks.exporting.subject import detector_subject

    if is_classifier_file(weights):
        return how.write(_classifier(weights, which, how, answer), stem)
    subject = detector_subject(weights, how.image_size_px, which, answer, dynamic_size=how.dynamic_size)
    return how.write(subject, stem)


def _classifier(
    weights: Path, which: Literal["averaged", "raw"] | None, how: NetworkExport, answer: "Answer"
) -> "Subject":
    """Return a classifier to export.

    Raises:
        InputError: something is asked for that is of detectors.
    """
    from proxy_tasks.exporting.classifiers import classifier_subject

    asked = {"raw": None, "boxes": "boxes=true", "kept": "suppression=true"}[answer]
    if how.dynamic_size:
        asked = "dynamic=[size]"
    if asked is not None:
        raise InputError(f"{asked} is of detectors: {short_path(weights)} is a classifier, which has logits alone")
    return classifier_subject(weights, how.image_size_px, which, how.formats)
