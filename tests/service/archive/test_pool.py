"""Which recordings a thread is given at a time."""

from service.archive.entry import Entry, Task
from service.archive.pool import _BURST, _BURST_BYTES, _burst


def tasks(*entries: tuple[str, int | None]) -> list[Task]:
    return [Task(Entry(name, size), 0) for name, size in entries]


def bursts(given: list[Task]) -> list[int]:
    source, sizes = iter(given), []
    while burst := _burst(source):
        sizes.append(len(burst))
    return sizes


def test_short_recordings_go_together() -> None:
    given = tasks(*((f"/{number}.wav", 1000) for number in range(2 * _BURST + 1)))
    assert bursts(given) == [_BURST, _BURST, 1]


def test_a_large_one_ends_its_burst() -> None:
    large = _BURST_BYTES + 1
    given = tasks(("/a", 1000), ("/b", large), ("/c", large), ("/d", 1000), ("/e", 0))
    assert bursts(given) == [2, 1, 2]


def test_what_must_be_waited_for_goes_alone() -> None:
    given = tasks(("s3://bucket/a", 1000), ("s3://bucket/b", 1000), ("/unknown", None), ("/c", 1000))
    assert bursts(given) == [1, 1, 1, 1]
