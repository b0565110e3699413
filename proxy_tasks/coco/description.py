"""A cached split in words: how much it holds, where it lies, and what was repaired or left out."""

from foundation import printable
from proxy_tasks.coco.cache import CachedSplit
from proxy_tasks.coco.mask_cache import BAD_LIST as BAD_MASKS

_NUM_NAMED = 5
"""Most images left out that are named."""


def describe_split(name: str, split: CachedSplit) -> tuple[str, ...]:
    """Return lines for a person; all but the first are indented."""
    annotations = split.annotations
    num_empty = int((annotations.first_box[1:] == annotations.first_box[:-1]).sum())
    num_gigabytes = sum(file.stat().st_size for file in split.path.iterdir()) / 1e9
    first_id, last_id = annotations.category_ids[0], annotations.category_ids[-1]

    lines = [
        f"{name}: {annotations.num_images} images, {num_empty} of them without a box; {len(annotations.labels)} boxes "
        f"of {len(annotations.category_ids)} categories, ids {first_id} to {last_id}",
        f"  {split.path} ({num_gigabytes:.2g} GB)",
    ]
    lines += [f"  {number} {repair}" for repair, number in annotations.repairs.items()]
    lines += [f"    {reason}" for reason in list(split.left_out.values())[:_NUM_NAMED]]

    lines += [f"  {num_bad} of {num_all} {kind} are bad" for kind, (num_bad, num_all) in split.bad.items()]
    if split.bad.keys() - {"masks"}:
        lines.append(f"  all that is bad is listed in {split.bad_list}")
    if "masks" in split.bad:
        lines.append(f"  bad masks are listed in {split.path / BAD_MASKS}")

    # Names come from the data set's own files.
    return tuple(printable(line) for line in lines)
