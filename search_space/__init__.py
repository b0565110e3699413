"""Search spaces: architectures as plain values, and the spaces that hold them. Imports no torch."""

from search_space.base import Decision, Decisions, SearchSpace
from search_space.candidate import Candidate
from search_space.kinds import BlockKind, add_kind, kind_named, kind_names
from search_space.published import PUBLISHED_SCALES, load_spec, published_names, published_scale, published_spec
from search_space.scale import ModelScale
from search_space.scale_permuted import ScalePermutedSpace
from search_space.scaling import ScalingSpace
from search_space.seeds import mobile_seed, resnet_seed
from search_space.spec import ArchSpec, BlockSpec, StemBlock
from search_space.spec_file import SpecFile, read_spec, write_spec

__all__ = [
    "PUBLISHED_SCALES",
    "ArchSpec",
    "BlockKind",
    "BlockSpec",
    "Candidate",
    "Decision",
    "Decisions",
    "ModelScale",
    "ScalePermutedSpace",
    "ScalingSpace",
    "SearchSpace",
    "SpecFile",
    "StemBlock",
    "add_kind",
    "kind_named",
    "kind_names",
    "load_spec",
    "mobile_seed",
    "published_names",
    "published_scale",
    "published_spec",
    "read_spec",
    "resnet_seed",
    "write_spec",
]
