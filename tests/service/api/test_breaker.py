import pytest

from service.api import breaker
from service.api.breaker import Breaker
from service.engine.errors import UnavailableError


def test_it_remembers_for_a_moment_and_then_lets_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(breaker, "monotonic", lambda: clock[0])
    away = Breaker()
    away.check()
    with pytest.raises(UnavailableError), away.trying():
        raise UnavailableError("the database is away")
    clock[0] += 1.5
    with pytest.raises(UnavailableError, match="the database is away") as caught:
        away.check()
    assert caught.value.retry_after_s == pytest.approx(0.5)
    clock[0] += 0.5
    away.check()


def test_other_errors_are_none_of_its_business() -> None:
    away = Breaker()
    with pytest.raises(ValueError, match="wrong"), away.trying():
        raise ValueError("wrong")
    away.check()
