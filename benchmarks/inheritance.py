"""Do inherited weights rank? Children of one mutation, started from their parent's tensors, against from scratch.

python -m benchmarks.inheritance RESULTS [parents] [children of each]

Parents are the best architectures that the shipped table of trainings has from uniform draws. Each is trained, and one
mutation away from it are its children. A child takes its parent's tensors wherever block, edge and shape agree, and is
trained by each of `FORMS`; the truth is what it reaches from scratch in the quickstart's own epochs, with two seeds.
The figure is Kendall's tau between a form and the truth among the children of one parent, the mean over parents, with
its 95 % interval by bootstrap over parents and then over their children; sound children are those that have a path to
the finest output on which no block is coarser. The truth's two seeds are compared with each other too: no form can be
expected to rank better than the truth ranks itself.

RESULTS is a JSONL file that gets a line after each training, and the same command goes on where it was stopped.
"""

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from nas.assessment.correlation import Floats, kendall_tau_b
from nas.options.command_line import compose
from nas.setup import Setup, build_setup
from proxy_tasks import NO_WEIGHTS, Fidelity, Weights, silent
from proxy_tasks.coco.open_data import open_data
from proxy_tasks.detection.task import DetectionProxy
from proxy_tasks.networks.named_networks import build_detector
from proxy_tasks.networks.retinanet import RetinaNet
from proxy_tasks.networks.torch_file import read_torch_file
from proxy_tasks.networks.weights import save_network
from proxy_tasks.training_table import read_table
from search_space import ArchSpec, Candidate, Decisions
from search_space.resolution import levels_above
from search_space.spec import live_blocks

TABLE = Path(__file__).parent / "tables" / "quickstart.jsonl.gz"
Inherited: TypeAlias = Literal["nothing", "all that agrees", "unchanged blocks"]
PARENT_SEEDS = (0, 1)
TRUTH_SEEDS = (0, 1)
FORM_SEED = 2
"""Seed of the shortened trainings: none that the truth has, as in a search."""
NUM_RESAMPLES = 2000
NO_EPOCHS = 1e-9
"""Epochs that a child's tensors count as: so few that its training is the whole schedule."""


@dataclass(frozen=True, slots=True)
class Form:
    """A cheaper way to judge a child.

    Attributes:
        name: in words.
        epochs: of its training, a whole schedule of its own.
        inherited: what it takes from its parent.
        parent_seeds: trainings of the parent that it is started from; with several, its AP is their mean.
        rate: factor of the learning rate.
    """

    name: str
    epochs: float
    inherited: Inherited = "all that agrees"
    parent_seeds: tuple[int, ...] = (0,)
    rate: float = 1.0


FORMS = (
    Form("1 epoch from scratch", 1, "nothing"),
    Form("2 epochs from scratch", 2, "nothing"),
    Form("1 epoch inherited", 1),
    Form("2 epochs inherited", 2),
    Form("2 epochs inherited, twice the rate", 2, rate=2.0),
    Form("2 epochs, unchanged blocks alone", 2, "unchanged blocks"),
    Form("1 epoch each, of two parents' trainings", 1, parent_seeds=PARENT_SEEDS),
)


@dataclass(frozen=True, slots=True)
class Child:
    """An architecture with the parent that it is one mutation away from."""

    parent: ArchSpec
    spec: ArchSpec

    @property
    def is_sound(self) -> bool:
        """True where some path to the finest output has no coarser block."""
        finest = min(self.spec.output_levels)
        return levels_above(self.spec)[finest] == 0


class Results:
    """Trainings on disk, each by its name; one that is there is not trained again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self._known: dict[str, dict[str, Any]] = {entry["name"]: entry for entry in map(json.loads, lines)}

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def __getitem__(self, name: str) -> dict[str, Any]:
        return self._known[name]

    def add(self, name: str, **figures: Any) -> None:  # noqa: ANN401  # plain values
        """Put a training on disk before anything else happens."""
        self._known[name] = {"name": name, **figures}
        with self._path.open("a") as file:
            file.write(json.dumps(self._known[name]) + "\n")
            file.flush()
            os.fsync(file.fileno())


def main() -> None:
    path, num_parents, num_children = Path(sys.argv[1]), *(int(word) for word in (*sys.argv[2:], "6", "6")[:2])
    setup = build_setup(compose("config", ["experiment=quickstart"]))
    task = setup.task
    assert isinstance(task, DetectionProxy)
    task.prepare(silent)

    results = Results(path)
    families = draw_families(setup, results, num_parents, num_children)
    with tempfile.TemporaryDirectory() as folder:
        for number, children in enumerate(families):
            train_family(task, setup.fidelity, children, results, Path(folder))
            print(f"parent {number}: {len(children)} children", flush=True)
    show(families, results)


def draw_families(setup: Setup, results: Results, num_parents: int, num_children: int) -> list[list[Child]]:
    """Return the children of each parent; which these are is decided once, as the table grows."""
    if "families" not in results:
        drawn = [row for row in read_table(TABLE).rows if row.source == "drawn" and row.decisions is not None]
        best = {row.key: row for row in sorted(drawn, key=lambda row: -row.metrics["ap"])}
        chosen = [row.decisions for row in list(best.values())[:num_parents] if row.decisions is not None]
        results.add("families", decisions=[draw_family(setup, parent, num_children) for parent in chosen])

    decode = setup.space.decode
    return [
        [Child(decode(tuple(parent)).spec, decode(tuple(child)).spec) for child in children]
        for parent, *children in results["families"]["decisions"]
    ]


def draw_family(setup: Setup, parent: Decisions, num_children: int) -> list[Decisions]:
    """Return a parent, and different architectures that one mutation makes of it."""
    space, rng = setup.space, np.random.default_rng(0)
    family = {space.decode(parent).key: parent}
    while len(family) <= num_children:
        child = space.mutate(parent, rng)
        family.setdefault(space.decode(child).key, child)
    return list(family.values())


def train_family(
    task: DetectionProxy, fidelity: Fidelity, children: Sequence[Child], results: Results, folder: Path
) -> None:
    """Train what is missing of a parent and its children."""
    parent = children[0].parent
    names = [form.name for form in FORMS]
    if all(f"{child.spec.key} {name}" in results for child in children for name in ("truth", *names)):
        return

    states: dict[int, Mapping[str, Tensor]] = {}
    for seed in PARENT_SEEDS:
        weights = Weights(keep_in=folder / "parents" / f"{parent.key}-{seed}.pt")
        evaluation = task.evaluate(Candidate(parent), fidelity=fidelity, seed=seed, weights=weights)
        assert weights.keep_in is not None
        states[seed] = read_torch_file(weights.keep_in)["network"]
        if f"{parent.key} {seed}" not in results:
            results.add(f"{parent.key} {seed}", ap=evaluation.metrics["ap"])

    for child in children:
        if (name := f"{child.spec.key} truth") not in results:
            by_seed = [task.evaluate(Candidate(child.spec), fidelity=fidelity, seed=seed) for seed in TRUTH_SEEDS]
            results.add(
                name, ap=[one.metrics["ap"] for one in by_seed], seconds=[sum_s(one.seconds) for one in by_seed]
            )
        for form in FORMS:
            if (name := f"{child.spec.key} {form.name}") not in results:
                results.add(name, form=asdict(form), **train_child(task, child, form, states, folder))


def train_child(
    task: DetectionProxy, child: Child, form: Form, states: Mapping[int, Mapping[str, Tensor]], folder: Path
) -> dict[str, Any]:
    """Train a child in one form; return its figures."""
    faster = replace(task, recipe=replace(task.recipe, learning_rate=task.recipe.learning_rate * form.rate))
    aps, seconds, share = [], 0.0, 0.0
    for parent_seed in form.parent_seeds:
        weights = NO_WEIGHTS
        if form.inherited != "nothing":
            network, share = inherit(task, child, states[parent_seed], form.inherited)
            weights = Weights(start_from=folder / "children" / "child.pt")
            assert weights.start_from is not None
            save_network(network, weights.start_from, NO_EPOCHS)

        evaluation = faster.evaluate(
            Candidate(child.spec), fidelity=Fidelity(form.epochs), seed=FORM_SEED, weights=weights
        )
        # A file that does not fit would mean training from scratch, with a remark.
        assert not evaluation.remarks, evaluation.remarks
        aps.append(evaluation.metrics["ap"])
        seconds += sum_s(evaluation.seconds)
    return {"ap": statistics.mean(aps), "seconds": seconds, "share": share}


def inherit(
    task: DetectionProxy, child: Child, state: Mapping[str, Tensor], inherited: Inherited
) -> tuple[RetinaNet, float]:
    """Return a child's network with its parent's tensors, and the share of its numbers that these are."""
    num_classes = open_data(task.data_options).num_classes
    parent = build_detector(child.parent, task.scale, num_classes)
    parent.load_state_dict(state)
    torch.manual_seed(FORM_SEED)
    network = build_detector(child.spec, task.scale, num_classes)

    unchanged = {f for f in range(len(child.spec.features)) if is_unchanged(child, f)}
    parts = dict(parts_of(parent, child.parent))
    num_inherited = num_numbers = 0
    with torch.no_grad():
        for place, tensor in parts_of(network, child.spec):
            num_numbers += tensor.numel()
            source = parts.get(place)
            if source is None or source.shape != tensor.shape:
                continue
            if inherited == "unchanged blocks" and place.child is not None and place.child not in unchanged:
                continue
            tensor.copy_(source)
            num_inherited += tensor.numel()
    return network, num_inherited / num_numbers


@dataclass(frozen=True, slots=True)
class Place:
    """The use of a tensor in a network: two that have the same place do the same.

    Attributes:
        name: what is left of the tensor's name without the numbers of blocks.
        child: the feature that it computes, or computes from others; None for stem and heads.
        source: the feature that it resamples, if any.
        blocks: level and kind of both.
    """

    name: str
    child: int | None = None
    source: int | None = None
    blocks: tuple[tuple[int, str] | None, ...] = ()


def parts_of(network: RetinaNet, spec: ArchSpec) -> Iterator[tuple[Place, Tensor]]:
    """Yield each part of a detector's tensors with its place; a layer that children share is one part for each."""
    readers: dict[int, list[int]] = {}
    parents_of: dict[int, tuple[int, ...]] = {}
    for live in live_blocks(spec):
        parents_of[live.feature] = live.parents
        for f in live.parents:
            readers.setdefault(f, []).append(live.feature)

    def place(name: str, child: int, source: int | None = None) -> Place:
        features = [child] if source is None else [child, source]
        blocks = tuple((spec.features[f].level, spec.features[f].kind) for f in features)
        return Place(name, child, source, blocks)

    for name, tensor in network.state_dict().items():
        match name.split("."):
            case "backbone", ("blocks" | "endpoints") as part, number, *rest:
                yield place(".".join([part, *rest]), int(number)), tensor
            case "backbone", "fusions", number, "resamples", index, *rest:
                child = int(number)
                yield place(".".join(["resample", *rest]), child, parents_of[child][int(index)]), tensor
            case "backbone", "narrows", number, *rest if tensor.dim():
                source = int(number)
                for child, part in zip(readers[source], tensor.chunk(len(readers[source])), strict=True):
                    yield place(".".join(["narrow", *rest]), child, source), part
            case _:
                yield Place(name), tensor


def is_unchanged(child: Child, feature: int) -> bool:
    """Return whether a child's block is its parent's: level, kind, and the levels and kinds of what it reads."""

    def described(spec: ArchSpec) -> tuple[object, ...]:
        block = spec.features[feature]
        parents = getattr(block, "parents", ())
        return block.level, block.kind, [(f, spec.features[f].level, spec.features[f].kind) for f in parents]

    return described(child.spec) == described(child.parent)


def show(families: Sequence[Sequence[Child]], results: Results) -> None:
    """Print how each form ranks."""
    num_children = sum(map(len, families))
    num_sound = sum(child.is_sound for children in families for child in children)
    print(f"{num_children} children of {len(families)} parents, {num_sound} of them sound")
    print(f"{'':40}  {'tau, all children':>24}  {'tau, sound ones':>24}  {'seconds':>7}  {'inherited':>9}")

    truths = [[results[f"{child.spec.key} truth"] for child in children] for children in families]
    seconds = statistics.mean(s for family in truths for truth in family for s in truth["seconds"])
    first, second = ([np.array([truth["ap"][i] for truth in family]) for family in truths] for i in range(2))
    print_line("4 epochs, one seed and the other", families, first, second, seconds, None)

    mean = [np.array([statistics.mean(truth["ap"]) for truth in family]) for family in truths]
    for form in FORMS:
        entries = [[results[f"{child.spec.key} {form.name}"] for child in children] for children in families]
        found = [np.array([entry["ap"] for entry in family]) for family in entries]
        flat = [entry for family in entries for entry in family]
        share = statistics.mean(entry["share"] for entry in flat)
        print_line(form.name, families, found, mean, statistics.mean(e["seconds"] for e in flat), share)


def print_line(
    name: str,
    families: Sequence[Sequence[Child]],
    found: Sequence[Floats],
    truth: Sequence[Floats],
    seconds: float,
    share: float | None,
) -> None:
    """Print one form's agreement with the truth, over all children and over the sound ones."""
    sound = [np.array([child.is_sound for child in children]) for children in families]
    everyone = tau_within(list(zip(found, truth, strict=True)))
    sound_ones = tau_within([(a[keep], b[keep]) for a, b, keep in zip(found, truth, sound, strict=True)])
    inherited = "" if share is None else f"{share:.0%}"
    print(f"{name:40}  {everyone:>24}  {sound_ones:>24}  {seconds:7.1f}  {inherited:>9}")


def tau_within(families: Sequence[tuple[Floats, Floats]]) -> str:
    """Return the mean of Kendall's tau over parents with its interval, in words."""
    families = [(a, b) for a, b in families if len(a) > 1]
    rng = np.random.default_rng(0)
    means = []
    for _ in range(NUM_RESAMPLES):
        taus = []
        for number in rng.integers(len(families), size=len(families)):
            a, b = families[number]
            rows = rng.integers(len(a), size=len(a))
            taus.append(float(kendall_tau_b(a[rows], b[rows])))
        means.append(np.nanmean(taus))
    low, high = np.nanpercentile(means, (2.5, 97.5))
    value = np.nanmean([float(kendall_tau_b(a, b)) for a, b in families])
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def sum_s(seconds: Mapping[str, float]) -> float:
    """Return the seconds of a training in all."""
    return sum(seconds.values())


if __name__ == "__main__":
    main()
