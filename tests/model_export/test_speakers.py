"""Rows by speaker, from a made-up corpus table."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model_export.data.mixture_set import MixtureSetError
from model_export.evaluation.answers import Answers
from model_export.evaluation.speakers import read_recordings, speaker_figures
from model_export.metrics import equal_error_rate

HEAD = "id,tag,origin,speaker_age\n"
TABLE = (
    HEAD + "young,c,reading,7\nold,c_hard,reading,12\nwoman,f,reading,30\nphoned,f,phone,\nhum,b,fridge,\n"
)
THRESHOLDS = {"c": 0.5, "f": 0.5}


@pytest.fixture
def answers(tmp_path: Path) -> Answers:
    """Sixty chunks: 20 with a young child, 10 an older one, 15 a woman reading, 15 one on the phone."""
    heard = [["young"]] * 20 + [["old", "hum"]] * 10 + [["woman"]] * 15 + [["phoned"]] * 15
    lines = [f"{chunk},{source}\n" for chunk, of in enumerate(heard) for source in of]
    (tmp_path / "events.csv").write_text("chunk,source\n" + "".join(lines))
    (tmp_path / "sources.csv").write_text(TABLE)
    random = np.random.default_rng(0)
    present = np.zeros((60, 2), bool)
    present[:30, 0] = present[30:, 1] = True
    empty = np.zeros((60, 5, 2), np.float32)
    tags = random.random((60, 2)).astype(np.float32)
    tags[:20, 0] += 1  # the young are told perfectly
    return Answers(
        tmp_path, "read", ("c", "f"), present, tags, None, empty, empty[:, :, 0], empty, 0.016, 0.016, 1.0
    )


def test_rows_hold_the_chunks_of_their_speakers(answers: Answers) -> None:
    rows = speaker_figures(answers, read_recordings(answers.folder / "sources.csv"), THRESHOLDS, 20, 0)
    assert {name: (of.chunks, of.against) for name, of in rows.items()} == {
        "c, up to 8 years": (20, 30),
        "c, 11 and 12 years (c_hard)": (10, 30),
        "c, without those of 11 and 12": (20, 30),
        "c against f, both of reading, by the score of c": (30, 15),
        "c against f, both of reading, by c minus f": (30, 15),
    }
    assert rows["c, up to 8 years"].equal_error_rate.value == 0
    assert rows["c, up to 8 years"].recall == 1
    hard = rows["c, 11 and 12 years (c_hard)"]
    scores = answers.tags[10:, 0][10:]
    truth = np.arange(40) < 10
    assert hard.equal_error_rate.value == equal_error_rate(truth, scores)
    assert hard.recall == pytest.approx((scores[:10] >= 0.5).mean())
    assert np.isnan(rows["c against f, both of reading, by c minus f"].recall)


def test_years_are_those_completed(answers: Answers) -> None:
    sources = answers.folder / "sources.csv"
    sources.write_text(
        "id,tag,origin,speaker_age\nyoung,c,reading,8.5\nold,c_hard,reading,12.9\nnone,c,reading,\n"
    )
    ages = [recording.age for recording in read_recordings(sources).values()]
    assert ages[:2] == [8, 12]
    assert np.isnan(ages[2])


def test_ages_may_be_unknown(answers: Answers) -> None:
    sources = answers.folder / "sources.csv"
    sources.write_text(
        "id,tag,origin\nyoung,c,reading\nold,c_hard,reading\nwoman,f,reading\nphoned,f,phone\nhum,b,fridge\n"
    )
    rows = speaker_figures(answers, read_recordings(sources), THRESHOLDS, 20, 0)
    assert list(rows) == [
        "c, without those of 11 and 12",
        "c against f, both of reading, by the score of c",
        "c against f, both of reading, by c minus f",
    ]


def test_faulty_tables_are_told(answers: Answers) -> None:
    sources = answers.folder / "sources.csv"
    sources.write_text(HEAD + "young,c,reading,7\n")
    with pytest.raises(MixtureSetError, match="'old'"):
        speaker_figures(answers, read_recordings(sources), THRESHOLDS, 2, 0)
    sources.write_text(HEAD + "young,c,reading,seven\n")
    with pytest.raises(MixtureSetError, match=r"speaker_age of 'young' in .* a number of years: 'seven'"):
        read_recordings(sources)
    sources.write_text("id,tag\n")
    with pytest.raises(MixtureSetError, match="origin"):
        read_recordings(sources)
    with pytest.raises(MixtureSetError, match="cannot read"):
        read_recordings(answers.folder / "none.csv")


def test_other_vocabularies_have_no_such_rows(answers: Answers) -> None:
    other = replace(answers, labels=("dog", "f"))
    assert speaker_figures(other, {}, THRESHOLDS, 2, 0) == {}
