"""What is compared: named configurations and the one that the others are held against."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from service.engine.errors import AttLocError

if TYPE_CHECKING:
    from model_export.run.config import TrainConfig

Fields = Mapping[str, Any]


class SuiteError(AttLocError):
    """A suite that does not exist or is not of the form that is read."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Configurations to compare.

    Attributes:
        reference: the configuration that every other one's difference is relative to.
        configurations: by name, the fields of `TrainConfig` that differ from `base`.
        base: fields of `TrainConfig` of all configurations that differ from its defaults.
    """

    reference: str
    configurations: Mapping[str, Fields]
    base: Fields

    def fields(self, name: str) -> dict[str, Any]:
        """The fields of one configuration, those of `base` included."""
        return merged(self.base, self.configurations[name])

    def only(self, names: list[str]) -> "Suite":
        """The suite with these configurations; the first one is the reference if the old one is not there.

        Raises:
            SuiteError: one is not in the suite.
        """
        if unknown := [name for name in names if name not in self.configurations]:
            raise SuiteError(f"no configuration {unknown}; there are {', '.join(self.configurations)}")
        chosen = {name: fields for name, fields in self.configurations.items() if name in names}
        reference = self.reference if self.reference in chosen else next(iter(chosen))
        return Suite(reference, chosen, self.base)


# The rate falls to a hundredth by the end, which averages enough; an average over 200 steps would drag
# the beginning along where there are only a few hundred.
_BASE: Fields = {"batch_size": 32, "ema_decay": 0.0}


def _network(**fields: Any) -> dict[str, Any]:
    return {"network": fields}


def _without_silence() -> dict[str, Any]:
    from dataclasses import asdict

    from model_export.data.labels import CHIME_HOME

    return {"labels": [asdict(label) for label in CHIME_HOME if label.scored]}


def built_in() -> Mapping[str, Suite]:
    """The suites that need no file.

    The systems of the paper's Table 3, what the paper leaves open, and what keeps attention from saturating.
    """
    return {
        "systems": Suite(
            "cgrnn",
            {
                name: _network(name=name)
                for name in (
                    *("cgrnn", "att_loc_cgrnn", "att_cgrnn"),
                    *("mel_cnn", "cqt_cnn", "dae_dnn", "gmm"),
                )
            },
            _BASE,
        ),
        "ablations": Suite(
            "default",
            {
                "default": {},
                "X(t) = mel": _network(attend="mel"),
                "gate on GRU": _network(gate="gru"),
                "X(t) = mel, gate on GRU": _network(attend="mel", gate="gru"),
                "without S": _without_silence(),
                "S free": {"unscored": "free"},
                "linear mel, standardized": {"frontend": {"log": False}},
                "linear mel, not standardized": {"frontend": {"log": False}, "standardize": "unit"},
                "log mel, not standardized": {"standardize": "unit"},
                "batch 64": {"batch_size": 64},
                "batch 128": {"batch_size": 128},
                "Adam alone": {"optimizer": "adam"},
                "no dropout": _network(dropout=0.0),
                "dropout 0.4": _network(dropout=0.4),
                "soft labels": {"soft_labels": True},
            },
            _BASE,
        ),
        "attention": Suite(
            "default",
            {
                "default": {},
                "without S": _without_silence(),
                **{
                    f"without S, cost {cost}": _without_silence() | _network(attention_cost=cost)
                    for cost in (0.05, 0.1, 0.2)
                },
                "cost 0.1": _network(attention_cost=0.1),
                "S free": {"unscored": "free"},
                "S free, cost 0.1": {"unscored": "free"} | _network(attention_cost=0.1),
            },
            _BASE,
        ),
    }


def merged(fields: Fields, over: Fields) -> dict[str, Any]:
    """Fields, replaced by those of `over`; what both have as mappings is merged one level deeper."""
    result = dict(fields)
    for name, value in over.items():
        below = result.get(name)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[name] = merged(below, value) if both else value  # type: ignore[arg-type]
    return result


def read_suite(name: str) -> Suite:
    """A built-in suite by name, or one from a JSON file with the fields of `Suite`.

    Raises:
        SuiteError: neither, or a file without its fields.
    """
    known = built_in()
    if name in known:
        return known[name]
    try:
        text = Path(name).read_text(encoding="utf-8")
        suite = TypeAdapter(Suite).validate_python({"base": _BASE} | json.loads(text))
    except (OSError, ValueError, TypeError) as error:
        raise SuiteError(
            f"{name} is neither a built-in suite ({', '.join(known)}) nor a JSON file "
            f'{{"reference": NAME, "configurations": {{NAME: FIELDS}}, "base": FIELDS}}: {error}'
        ) from error
    if suite.reference not in suite.configurations:
        raise SuiteError(f"{name} has the reference {suite.reference!r}, which is not a configuration")
    return suite


def train_config(fields: Fields, seed: int, chunks: int, checkpoints: int) -> "TrainConfig":
    """One configuration's run with a budget.

    Args:
        fields: of `TrainConfig`.
        seed: of the run.
        chunks: chunk passes in all, at most; each chunk counts each time that it is learned from.
        checkpoints: parts after each of which the run can be resumed.

    Raises:
        SuiteError: a field that does not exist or has no valid value, or parts that do not fill a batch.
    """
    from model_export.run.config import ConfigError, TrainConfig

    each = chunks // checkpoints
    budget = {"seed": seed, "epochs": checkpoints, "epoch_chunks": max(1, each)}
    try:
        config = TrainConfig.from_dict(merged(fields, budget))
    except ConfigError as error:
        raise SuiteError(f"not a configuration: {error}") from error
    if each < config.batch_size:
        raise SuiteError(
            f"{chunks} chunk passes in {checkpoints} parts do not fill a batch of {config.batch_size} in each"
        )
    return config


def chunk_passes(config: "TrainConfig") -> int:
    """What a run with a budget learns from: of each of its parts the whole batches."""
    return config.epochs * ((config.epoch_chunks or 0) // config.batch_size) * config.batch_size
