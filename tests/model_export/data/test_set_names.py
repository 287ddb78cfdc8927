from pathlib import Path

from model_export.data.set_names import names_of


def test_sets_are_called_by_the_shortest_end_that_tells_them_apart() -> None:
    folders = [Path(name) for name in ("x/a/validation", "/y/b/validation", "c/test", "/validation")]
    assert list(names_of(folders).values()) == ["a/validation", "b/validation", "test", "/validation"]
    assert names_of([Path("x/a/set"), Path("x/b/set"), Path("y/b/set")]) == {
        Path("x/a/set"): "a/set",
        Path("x/b/set"): "x/b/set",
        Path("y/b/set"): "y/b/set",
    }


def test_one_folder_has_one_name_however_it_is_given() -> None:
    here = Path("data/set")
    assert names_of([here, here, here.absolute()]) == {here: "set", here.absolute(): "set"}
