"""In how many parts a process takes its share of a batch."""

import pytest

from foundation import InputError
from proxy_tasks.full_training.trainer import num_parts_of


@pytest.mark.parametrize(
    ("batch_size", "num_processes", "images_at_once", "expected"),
    [(256, 8, None, 1), (256, 8, 32, 1), (256, 8, 31, 2), (256, 6, 43, 1), (256, 6, 22, 2), (1, 1, 1, 1)],
)
def test_a_share_is_taken_in_as_few_parts_as_memory_allows(
    batch_size: int, num_processes: int, images_at_once: int | None, expected: int
) -> None:
    assert num_parts_of(batch_size, num_processes, images_at_once) == expected


def test_processes_that_would_take_other_numbers_of_parts_are_refused_with_a_number_that_works() -> None:
    with pytest.raises(InputError, match=r"in 1 or 2 parts, and all need as many; try images_at_once=22$"):
        num_parts_of(256, 6, 42)


def test_more_processes_than_images_are_refused() -> None:
    with pytest.raises(InputError, match="batch_size=4 is less than the number of processes, 8"):
        num_parts_of(4, 8, None)
