"""MODEL_CARD.md, written from the card inside the graph alone, so that its numbers cannot drift."""

import math
import shlex
from dataclasses import astuple
from typing import Any

from model_export.evaluation.markdown import set_markdown, summary
from model_export.evaluation.report import table
from model_export.models.calibration import UNFITTED, Calibration
from model_export.models.evidence import CURVES
from model_export.release.licences import TRAINING_RECORDINGS
from model_export.run.checkpoint import BEGUN_KEY
from service.engine.card import ModelCard

_PAPER = "Xu, Kong, Huang, Wang and Plumbley (Interspeech 2017)"
_SYSTEMS = {
    "att_loc_cgrnn": f"The ATT-LOC CGRNN of {_PAPER}: attention and localization",
    "att_cgrnn": f"The CGRNN with attention alone of {_PAPER}, Eq. 3-5: its localization is uniform",
    "cgrnn": f"The chunk-level CGRNN of {_PAPER}, Eq. 1-2: no attention, no localization",
    "mel_cnn": "The CNN on context windows after Cakir et al. (2016): no attention, no localization",
    "cqt_cnn": "The parallel CNN on constant-Q bands after Lidy and Schindler (2016): no attention, no "
    "localization",
    "dae_dnn": "The DNN on denoising auto-encoder features after Xu et al. (2017): no attention, no "
    "localization",
    "gmm": "The GMM on MFCC of the DCASE 2016 baseline: no attention, no localization",
}
_OWN_RECORDINGS = "Trained on recordings with chunk-level labels, listed below."
_NOTHING_ELSE = " Whatever these do not hold was not learned."
_OWN_LIMITS = """\
- The figures are of the recordings named above each table; expect worse elsewhere.
- When sounds occur was never told in training."""
_WHAT_IT_IS_NOT = """\
**This model was not trained on CHiME-Home**, whose audio was not at hand. It was trained on mixtures
simulated from real isolated recordings and measured or simulated rooms, and the figures below are of
such mixtures. No equal error rate here can be put beside those of the paper or of DCASE 2016 Task 4."""
_HOW_MEASURED = """\
Measured on the exported graph through the engine that serves it. EER: equal error rate as the DCASE 2016
script computes it. F1 of segments of 1 s and 100 ms; of events with a collar of 200 ms; of intersections
of one half. Calibration error: the distance between a score and how often it is right, mean over ten
bins. In brackets: 95 % bootstrap intervals over chunks."""
_FLATTER = "Thresholds, event decoders and probabilities were chosen on {}: figures of these flatter."
_PROBABILITIES = """\
A score p is meant to be right p of the times; it comes from the network's O'' (Eq. 8) by
p = sigmoid(a logit(O'') + b). The presence of a frame comes from sigmoid(h), the evidence that the sound is
heard there, times a gate that is one half where p is at the tag's threshold and steep around it, by
sigmoid(c logit(...) + d). All of it was fitted where the thresholds were{unfitted}
and is part of the graph: `tags` and `presence` are p and the frame's probability. How often a tag occurs
elsewhere shifts b; rankings do not depend on it. a, b, c, d:"""
_EVIDENCE = """\
h is a logistic regression on the frames of the chunks that have the tag. It weighs the logits of O'(t)
(Eq. 7), Z_loc (Eq. 6) and Z_att (Eq. 3), and the level, which is the mean of the log-mel features: each in
the frame, in the mean over half a second around it, and in that over the chunk. The network learned from
labels of chunks alone; these numbers know when the sounds of the validation sets occur."""
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
- Scores are calibrated on mixtures of the validation split: they hold for sounds about as frequent as there
  (each tag in about three of ten chunks), and somewhat less on ways of mixing not seen.
- The softmax over labels (Eq. 6) lets simultaneous sounds compete for each frame: where two overlap, the
  weaker one's presence is low."""


def render(card: ModelCard, version: str) -> str:
    """The Markdown page.

    Args:
        card: as embedded in the graph, its `metrics` a report of `python -m model_export evaluate`.
        version: of the file that holds it, see `file_version`.
    """
    data = card.training.get("data", {})
    own, begun = _own_recordings(data), data.get(BEGUN_KEY)
    config = card.training.get("config", {})
    name = config.get("network", {}).get("name", card.name)
    parts = [
        f"# Model card: {card.name}",
        "Written by `python -m model_export card` from the document inside the graph; not edited by hand.",
        (_OWN_RECORDINGS + ("" if begun else _NOTHING_ELSE)) if own else _WHAT_IT_IS_NOT,
        *([_beginning(begun)] if begun else []),
        "## What it is",
        f"{_SYSTEMS.get(name, f'The network `{name}`')}. Waveform of {card.sample_rate / 1000:g} kHz in, "
        f"chunk-level tags, attention, localization and presence out. "
        f"Chunks of {card.window_seconds:g} s, {card.n_fft}-sample frames every {card.hop} samples, "
        f"{card.n_mels} mel bands.",
        *_conditioning(config.get("frontend", {})),
        f"Version `{version}`: so the service's answers name the file, by the first digits of its SHA-256.",
        table(
            ("code", "label", "scored"),
            [(label.code, label.name, "yes" if label.scored else "no") for label in card.labels],
        ),
        "## Figures",
        *_figures(card.metrics, card.training.get("calibration", {}).get("decided_on", "nothing")),
        "## Data and recipe",
        *_training(card.training),
        "## Decisions taken on validation",
        *_decisions(card),
    ]
    if "discussion" in card.metrics:
        parts += ["## What goes wrong", card.metrics["discussion"]]
    parts += ["## Limits", _OWN_LIMITS if own else _LIMITS]
    if _holds_mixtures(data):
        origins = [tuple(licence) for licence in TRAINING_RECORDINGS]
        parts += [
            "## Licences of the training recordings",
            "The audio itself is not distributed here.",
            table(("origin", "where", "terms", "used for"), origins),
        ]
    return "\n\n".join(parts) + "\n"


def _conditioning(frontend: dict[str, Any]) -> list[str]:
    told = []
    if frontend.get("remove_offset"):
        told.append("The mean of a waveform is taken off.")
    if least := frontend.get("least_peak"):
        told.append(
            f"Where its largest sample is below {20 * math.log10(least):.0f} dB of full scale it is made "
            f"that loud, by {20 * math.log10(frontend['most_gain']):.0f} dB at most."
        )
    return [" ".join(told)] if told else []


def _figures(metrics: dict[str, Any], decided_on: str) -> list[str]:
    if not metrics:
        return ["Nothing was measured on this graph."]
    flatter = [] if decided_on == "nothing" else [_FLATTER.format(decided_on)]
    parts = [_HOW_MEASURED, *flatter, *summary(metrics)]
    for name, figures in metrics["sets"].items():
        parts += [f"### {name}", set_markdown(figures)]
    return parts


def _training(training: dict[str, Any]) -> list[str]:
    if not training:
        return ["Nothing is recorded."]
    data = training.get("data", {})
    sets = [
        (role, name, manifest["split"], manifest["style"]["name"], manifest["count"], manifest["seed"] or "-")
        for role in ("train", "validation")
        for name, manifest in data.get(role, {}).items()
    ]
    parts = list(training.get("notes", []))
    if sets:
        others = training.get("mean_with", [])
        shipped = (
            f"mean of the weights of one checkpoint and of those of version {' and '.join(others)}"
            if others
            else "checkpoint of the lowest mean EER over the validation sets"
        )
        parts += [
            "Chunks of which training saw the labels alone, never when a sound occurs; shipped is the "
            f"{shipped}.",
            table(("for", "set", "split", "style", "chunks", "seed"), sets),
            _commands(data, others),
        ]
    rest = {key: value for key, value in training.items() if key not in ("data", "calibration", "notes")}
    config = rest.pop("config", {})
    config = {key: value for key, value in config.items() if key != "labels"}
    rows = [(key, _brief(value)) for key, value in {**config, **rest}.items()]
    return [*parts, table(("setting", "value"), rows)]


def _commands(data: dict[str, Any], mean_with: list[str]) -> str:
    """What makes the sets, the checkpoint and this page, for a shell."""
    lines = [
        _command(name, manifest)
        for role in ("train", "validation")
        for name, manifest in data.get(role, {}).items()
    ]
    lines = list(dict.fromkeys(lines))  # one command makes both parts of a table
    taught = [
        _teaching(name, manifest["taught"])
        for name, manifest in data.get("train", {}).items()
        if "taught" in manifest
    ]
    lines += taught
    sets = [f"--{role} data/{name}" for role in ("train", "validation") for name in data.get(role, {})]
    if begun := data.get(BEGUN_KEY):
        sets += [
            f"--start-from {shlex.quote(begun['from'])}",
            *(f"--anew {layer}" for layer in begun["anew"]),
        ]
    lines.append(f"python -m model_export train {' '.join(sets)} --config config.json")
    released = "runs/att_loc_cgrnn/best.ckpt"
    if mean_with:
        others = " ".join(f"--mean-with {version}" for version in mean_with)
        lines.append(f"python -m model_export export runs/att_loc_cgrnn/last.ckpt {others} --out mean.onnx")
        released = "mean.onnx"
    lines.append(f"python -m model_export release {released} --overwrite")
    told = "`config.json` holds the settings below that are not defaults."
    if taught or mean_with:
        told += " Twelve digits stand for the file of that version."
    return "```sh\n" + "\n".join(lines) + f"\n```\n\n{told}"


def _command(name: str, manifest: dict[str, Any]) -> str:
    """What makes one set."""
    if "options" in manifest:
        return _recordings(name, manifest["options"])
    if "table" in manifest:  # of a set whose manifest tells no more
        return f"python -m model_export recordings {manifest['table']} --out data/{name}"
    if manifest["style"]["name"] == "recordings":
        return f"# {name}: chunks of {manifest['split']}, see `python -m model_export reproduce --help`"
    corpora = manifest.get("corpora", [])
    mixed_from = "".join(f"--corpus data/{corpus} " for corpus in corpora) if len(corpora) > 1 else ""
    return (
        f"python -m model_export mixtures {mixed_from}--split {manifest['split']} "
        f"--style {manifest['style']['name']} --count {manifest['count']} --seed {manifest['seed']} "
        f"--out data/{name}"
    )


def _recordings(name: str, options: dict[str, Any]) -> str:
    """What makes a set of own recordings, or both parts of a table."""
    share = options["validation_share"]
    words = ["python", "-m", "model_export", "recordings", *options["sources"]]
    if options["vocabulary"]:
        words += ["--vocabulary", options["vocabulary"]]
    if share:
        words += ["--validation-share", f"{share:g}", "--seed", str(options["seed"])]
    words += [
        "--chunk-seconds",
        f"{options['chunk_seconds']:g}",
        "--sample-rate",
        str(options["sample_rate"]),
    ]
    return shlex.join([*words, "--out", "data" if share else f"data/{name}"])


def _teaching(name: str, taught: dict[str, Any]) -> str:
    """What softened the labels of a set; its teachers by the first digits of their SHA-256."""
    teachers = " ".join(f"--teacher {digest}" for digest in taught["by"])
    kept = "".join(f" --keep {code}" for code in taught.get("kept", ()))
    return f"python -m model_export teach data/{name} {teachers} --weight {taught['weight']}{kept}"


def _own_recordings(data: dict[str, Any]) -> bool:
    """Whether it was trained on anything but mixtures."""
    return any(manifest["style"]["name"] == "recordings" for manifest in data.get("train", {}).values())


def _holds_mixtures(data: dict[str, Any]) -> bool:
    """Whether it, or what it began with, was trained on mixtures, or on what nobody recorded."""
    styles = [manifest["style"]["name"] for manifest in data.get("train", {}).values()]
    if not styles or any(style != "recordings" for style in styles):
        return True
    return BEGUN_KEY in data and _holds_mixtures(data[BEGUN_KEY]["data"])


def _beginning(begun: dict[str, Any]) -> str:
    """What its weights were before, as far back as is recorded, the latest first."""
    lines = []
    while begun:
        anew = f", {' and '.join(begun['anew'])} anew" if begun["anew"] else ""
        sets = ", ".join(begun["data"].get("train", {})) or "sets that are not recorded"
        lines.append(
            f"- `{begun['from']}` (version `{begun['version']}`){anew}, which had learned from {sets}"
        )
        begun = begun["data"].get(BEGUN_KEY, {})
    told = (
        "It began with the weights of the first of these, each of them with those of the next, and something "
        "of all is in it:"
    )
    return "\n".join([told, "", *lines])


def _brief(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_brief(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        # Bounds of an interval; sizes are whole numbers.
        bounds = len(value) == 2 and all(isinstance(item, float) for item in value)
        return (" to " if bounds else ", ").join(str(item) for item in value)
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
    parts = [f"Decided on: {source.get('decided_on', 'nothing')}.{_kept(source)}", table(head, rows)]
    calibration = Calibration.of_card(card)
    if calibration.tags:
        slopes = [
            (code, *(f"{number:.3f}" for way in (tag, calibration.frames[code]) for number in astuple(way)))
            for code, tag in calibration.tags.items()
        ]
        blind = [code for code, way in calibration.frames.items() if way == UNFITTED]
        unfitted = f" (but c and d of {', '.join(blind)}: nobody knew when these sound)" if blind else ""
        parts += [_PROBABILITIES.format(unfitted=unfitted), table(("tag", "a", "b", "c", "d"), slopes)]
    if calibration.evidence:
        weighed = [
            (code, *(", ".join(f"{weight:.2f}" for weight in scales) for scales in evidence.weights))
            for code, evidence in calibration.evidence.items()
        ]
        parts += [_EVIDENCE, table(("tag", *CURVES), weighed)]
    if product := [code for code in calibration.tags if code not in calibration.evidence]:
        parts.append(f"Of {', '.join(product)}, h is the logit of O'(t) (Eq. 7).")
    return parts


def _kept(source: dict[str, Any]) -> str:
    """What is said as an earlier calibration had it, because the sets of this one do not tell."""
    codes: dict[tuple[str, str], list[str]] = {}
    for part, what in (("scores", "all of"), ("times", "what says when of")):
        for code, decided_on in source.get("kept", {}).get(part, {}).items():
            codes.setdefault((what, decided_on), []).append(code)
    said = [f"{what} {', '.join(kept)} from {decided_on}" for (what, decided_on), kept in codes.items()]
    return f" Kept: {'; '.join(said)}." if said else ""
