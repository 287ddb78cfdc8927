"""MODEL_CARD.md, written from the card inside the graph alone, so that its numbers cannot drift."""

from typing import Any

from model_export.evaluation.report import set_markdown, table
from model_export.licences import TRAINING_RECORDINGS
from service.engine.card import ModelCard

_WHAT_IT_IS_NOT = """\
**This model was not trained on CHiME-Home**, whose audio was not at hand. It was trained on mixtures
simulated from real isolated recordings and measured or simulated rooms, and the figures below are of
such mixtures. No equal error rate here can be put beside those of the paper or of DCASE 2016 Task 4."""
_HOW_MEASURED = """\
Measured on the exported graph through the engine that serves it. EER: equal error rate as the DCASE 2016
script computes it. F1 of segments of 1 s and 100 ms; of events with a collar of 200 ms; of intersections
of one half. In brackets: 95 % bootstrap intervals over chunks."""
_LIMITS = """\
- Every figure is of simulated mixtures: the recordings are real, their meeting in one room is not. Expect
  worse in a real living room, and choose the thresholds anew where labelled recordings of the place are
  at hand.
- Speech is mostly read and close to the microphone; there is no spontaneous play of children. All children
  come from one corpus of non-native readers of English; those of 11 and 12 are hardly told from women.
- Television is game audio, talk-show voices and a minute of film through a simulated loudspeaker; there is
  no news, advertising or broadcast music.
- `o` is an open class, learned from few kinds of sound: animals, eating, sweeping, sneezing and the like.
- Percussive sounds are kitchen ware, knocks on one phone, billiard balls and indoor steps.
- The truth of *when* a sound occurs comes from automatic activity detection on the dry recordings; the
  decay of a room counts as inactive.
- Scores rank; they are no calibrated probabilities, and depend on how frequent a tag is among the mixtures.
- The softmax over labels (Eq. 6) lets simultaneous sounds compete for each frame: where two overlap, the
  weaker one's presence is low."""


def render(card: ModelCard, version: str) -> str:
    """The Markdown page.

    Args:
        card: as embedded in the graph, its `metrics` a report of `python -m model_export evaluate`.
        version: of the file that holds it, see `file_version`.
    """
    parts = [
        f"# Model card: {card.name}",
        "Written by `python -m model_export card` from the document inside the graph; not edited by hand.",
        _WHAT_IT_IS_NOT,
        "## What it is",
        f"The ATT-LOC CGRNN of Xu, Kong, Huang, Wang and Plumbley (Interspeech 2017): waveform of "
        f"{card.sample_rate / 1000:g} kHz in, chunk-level tags, attention, localization and presence out. "
        f"Chunks of {card.window_seconds:g} s, {card.n_fft}-sample frames every {card.hop} samples, "
        f"{card.n_mels} mel bands.",
        f"Version `{version}`: so the service's answers name the file, by the first digits of its SHA-256.",
        table(
            ("code", "label", "scored"),
            [(label.code, label.name, "yes" if label.scored else "no") for label in card.labels],
        ),
        "## Figures",
        *_figures(card.metrics),
        "## Data and recipe",
        *_training(card.training),
        "## Decisions taken on validation",
        *_decisions(card),
        "## Limits",
        _LIMITS,
        "## Licences of the training recordings",
        "The audio itself is not distributed here.",
        table(("origin", "where", "terms", "used for"), [tuple(licence) for licence in TRAINING_RECORDINGS]),
    ]
    return "\n\n".join(parts) + "\n"


def _figures(metrics: dict[str, Any]) -> list[str]:
    if not metrics:
        return ["Nothing was measured on this graph."]
    parts = [_HOW_MEASURED]
    for name, figures in metrics["sets"].items():
        parts += [f"### {name}", set_markdown(figures)]
    return parts


def _training(training: dict[str, Any]) -> list[str]:
    if not training:
        return ["Nothing is recorded."]
    data = training.get("data", {})
    sets = [
        (role, name, manifest["split"], manifest["style"]["name"], manifest["count"], manifest["seed"])
        for role in ("train", "validation")
        for name, manifest in data.get(role, {}).items()
    ]
    parts = list(training.get("notes", []))
    if sets:
        parts += [
            "Mixtures of 4 s, their truth never shown to training; shipped is the checkpoint of the lowest "
            "mean EER over the validation sets.",
            table(("for", "set", "split", "style", "chunks", "seed"), sets),
            _commands(data),
        ]
    rest = {key: value for key, value in training.items() if key not in ("data", "calibration", "notes")}
    config = rest.pop("config", {})
    config = {key: value for key, value in config.items() if key != "labels"}
    rows = [(key, _brief(value)) for key, value in {**config, **rest}.items()]
    return [*parts, table(("setting", "value"), rows)]


def _commands(data: dict[str, Any]) -> str:
    """What makes the sets, the checkpoint and this page, for a shell."""
    lines = [
        f"python -m model_export mixtures --split {manifest['split']} --style {manifest['style']['name']} "
        f"--count {manifest['count']} --seed {manifest['seed']} --out data/{name}"
        for role in ("train", "validation")
        for name, manifest in data.get(role, {}).items()
    ]
    sets = [f"--{role} data/{name}" for role in ("train", "validation") for name in data.get(role, {})]
    lines += [
        f"python -m model_export train {' '.join(sets)} --config config.json",
        "python -m model_export release runs/att_loc_cgrnn/best.ckpt",
    ]
    return (
        "```sh\n"
        + "\n".join(lines)
        + "\n```\n\n`config.json` holds the settings below that are not defaults."
    )


def _brief(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_brief(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return " to ".join(str(item) for item in value)
    return str(value)


def _decisions(card: ModelCard) -> list[str]:
    source = card.training.get("calibration", {})
    rows = [
        (
            code,
            f"{card.tag_thresholds[code]:.3f}",
            f"{decoder.onset_threshold:.3f}",
            f"{decoder.offset_threshold:.3f}",
            f"{decoder.median_s:.3f}",
            f"{decoder.max_gap_s:.2f}",
            f"{decoder.min_duration_s:.2f}",
        )
        for code, decoder in card.events.items()
    ]
    head = ("tag", "tag threshold", "onset", "offset", "median s", "gap s", "shortest s")
    return [f"Decided on: {source.get('decided_on', 'nothing')}.", table(head, rows)]
