"""The table of commands: each one's name, its options, and what it is for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """A command, which is the module `nas.NAME` too.

    Attributes:
        name: as a person types it.
        config_name: YAML file in `experiments/` that holds its options.
        options: path of the class that its options fill.
        purpose: one line for people.
        own_options: path of a class that has further options; empty where there are none.
    """

    name: str
    config_name: str
    options: str
    purpose: str
    own_options: str = ""


COMMANDS: tuple[Command, ...] = (
    Command("search", "config", "nas.setup.Setup", "search for architectures, or resume a search"),
    Command("prepare", "prepare", "nas.setup.Setup", "read, decode and resize the images of a search beforehand"),
    Command("leaderboard", "leaderboard", "nas.leaderboard.Options", "rank the architectures of one run or several"),
    Command("report", "report", "nas.report.Options", "write what runs found as one HTML page"),
    Command("enqueue", "enqueue", "nas.enqueue.Options", "put architectures of one's own into a search"),
    Command("replay", "replay", "nas.setup.Setup", "train the best architectures of a run again"),
    Command("proxy", "proxy", "nas.setup.Setup", "say how good a proxy is, or which of several", "nas.proxy.Options"),
    Command("stopping", "stopping", "nas.stopping.Options", "say what stopping trainings early would save and cost"),
    Command("table", "table", "nas.table.Options", "gather the trainings of runs in one file"),
    Command("train", "train", "nas.train.Options", "train one architecture in full, to weights that people use"),
    Command("evaluate", "evaluate", "nas.evaluate.Options", "score a trained detector on COCO-format data"),
    Command("detect", "detect", "nas.detect.Options", "find objects in pictures by a trained detector"),
    Command("export", "export", "nas.export.Options", "write architectures and detectors for other programs"),
    Command("import_weights", "import_weights", "nas.import_weights.Options", "turn released weights into a detector"),
    Command("draw", "draw", "nas.draw.Options", "draw an architecture"),
    Command("profile", "profile", "nas.profile.Options", "show what an architecture costs, block by block"),
)
"""In the order in which a person meets them."""
