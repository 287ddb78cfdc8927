import pytest

from service.api import admission
from service.api.admission import Admission
from service.engine.errors import UnavailableError


def test_places_are_given_back_whatever_happens() -> None:
    refused: list[bool] = []
    places = Admission(1, lambda: refused.append(True))
    with pytest.raises(ValueError, match="inside"), places.place():
        raise ValueError("inside")
    with places.place():
        assert places.taken == 1
        with pytest.raises(UnavailableError), places.place():
            pass
    assert places.taken == 0
    assert len(refused) == 1


def test_the_wait_is_what_is_here_over_the_rate_it_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(admission, "monotonic", lambda: clock[0])
    places = Admission(10, lambda: None)
    for _ in range(200):  # five a second
        with places.place():
            clock[0] += 0.2
    held = [places.place() for _ in range(10)]
    for place in held:
        place.__enter__()
    assert places.wait_s() == pytest.approx(10 / 5, rel=0.1)
    assert len(places._left) < 100
    clock[0] += 120
    assert places.wait_s() == 1.0
