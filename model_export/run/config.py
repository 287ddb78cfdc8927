"""Every number of a training run, in one place; stored in each checkpoint."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import Field, NonNegativeInt, PositiveInt, TypeAdapter, ValidationError

from model_export.data.labels import CHIME_HOME
from model_export.frontend import FrontEndConfig
from model_export.models.att_loc_cgrnn import AttLocConfig
from model_export.models.network import NetworkConfig
from model_export.models.registry import DEFAULT, UnknownNetworkError, name_of, system
from service.engine.card import Label
from service.engine.errors import AttLocError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
OptimizerName = Literal["muon", "adam"]


class ConfigError(AttLocError):
    """A configuration with a field that does not exist or a value that is not valid, or no configuration."""


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """What is varied anew each time a training chunk is seen; on the log-mel features, so it costs little.

    Attributes:
        mix_share: share of chunks onto which another of the batch is added (energies add, labels unite).
        mix_gain_db: the added chunk's gain, uniform in this interval.
        gain_db: standard deviation of the level.
        filter_db: standard deviation of a random smooth frequency response, at `filter_points` mel bands.
        filter_points: bands between which the response is interpolated.
        time_masks: stretches of up to `time_mask_frames` frames set to the mean.
        time_mask_frames: frames.
        frequency_masks: groups of up to `frequency_mask_bands` bands set to the mean.
        frequency_mask_bands: mel bands.
        noise_share: share of chunks with steady noise, hum or hiss, of a random colour.
        noise_db: its level over the mean of the chunk's logarithms, uniform in this interval; of noise in all
            bands, in fewer it has the same energy.
        gate_share: share of chunks in which a noise gate, or noise suppression, lowers what is quiet.
        gate_part: of the frames that is at most.
        gate_db: by how much it is lowered, uniform in this interval.
        narrow_share: share of chunks whose upper bands are lowered, as much.
        narrow_part: of the bands that are left at least.
    """

    mix_share: float = 0.1
    mix_gain_db: tuple[float, float] = (-6.0, 6.0)
    gain_db: float = 4.0
    filter_db: float = 3.0
    filter_points: int = 6
    time_masks: int = 1
    time_mask_frames: int = 8
    frequency_masks: int = 1
    frequency_mask_bands: int = 5
    noise_share: float = 0.0
    noise_db: tuple[float, float] = (-25.0, 5.0)
    gate_share: float = 0.0
    gate_part: float = 0.7
    gate_db: tuple[float, float] = (6.0, 60.0)
    narrow_share: float = 0.0
    narrow_part: float = 0.5


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """A training run.

    Attributes:
        labels: the outputs, in order; an unscored one is trained but neither selected on nor reported.
        frontend: of the class that the network's system has in the registry.
        network: which system is trained, and its sizes.
        standardize: what the features are divided by: "bands" gives each band mean 0 and variance 1 over the
            training data; "unit" divides all by one number, a change of unit, as for the authors' magnitudes.
        epoch_chunks: chunks between validations, `epochs` times as many in all; None for every chunk once.
        batch_size: chunks a step, of all processes together.
        balance: 0 draws every chunk once a pass, more than 0 draws chunks of rare labels oftener (see
            `data.loading.balancing`), with replacement.
        unscored: what an unscored output (silence) is for: "learned" from its labels, as the authors did, or
            "free" to take up what localization gives to none of the others; then it is asked nothing.
        soft_labels: learn the share of annotators who heard a label instead of their majority's vote, or how
            sure the set's teachers are of it (see `teach`).
        optimizer: "muon" moves the matrices between hidden layers by orthogonalized momentum and the rest by
            Adam (see `optimizer`); "adam" moves all alike.
        learning_rate: at its highest; falls to a hundredth of it along a cosine.
        warmup_share: share of all steps in which the rate rises linearly from nothing.
        weight_decay: every step takes that share of the weights times the rate off them; with "adam" it is a
            penalty on their squares, added to the gradients.
        gradient_norm: gradients are scaled down to this norm.
        ema_decay: of the averaged weights that are validated and shipped, less at first (see `averaging`); 0
            for no averaging.
        precision: of the matrix products; "auto" is bfloat16 where the hardware has it, a third faster on
            recent CPUs. A checkpoint names what it was trained in.
        threads: of torch.
    """

    labels: tuple[Label, ...] = CHIME_HOME
    frontend: FrontEndConfig = field(default_factory=FrontEndConfig)
    network: NetworkConfig = field(default_factory=AttLocConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    standardize: Literal["bands", "unit"] = "bands"
    seed: NonNegativeInt = 1
    epochs: PositiveInt = 20
    epoch_chunks: PositiveInt | None = None
    batch_size: PositiveInt = 64
    balance: float = 0.0
    unscored: Literal["learned", "free"] = "learned"
    soft_labels: bool = False
    optimizer: OptimizerName = "muon"
    learning_rate: float = 2e-3
    warmup_share: float = 0.02
    weight_decay: float = 0.0
    gradient_norm: float = 1.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.995
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    threads: PositiveInt = 2

    def __post_init__(self) -> None:
        if self.network.labels != len(self.labels):
            raise ValueError(f"network has {self.network.labels} outputs for {len(self.labels)} labels")
        if self.network.n_mels != self.frontend.n_mels:
            raise ValueError(
                f"network reads {self.network.n_mels} mels, front-end gives {self.frontend.n_mels}"
            )
        if type(self.frontend) is not type(system(name_of(self.network)).frontend):
            raise ValueError(
                f"{name_of(self.network)} does not hear through a {type(self.frontend).__name__}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as stored in a checkpoint; `network` holds the system's `name` too."""
        values = asdict(self)
        values["network"]["name"] = name_of(self.network)
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrainConfig":
        """The inverse of `to_dict`; also reads what JSON makes of it.

        What is not given is the default of the named system, the ATT-LOC CGRNN if none is named; the
        network has an output for each label and an input for each band of the front-end.

        Raises:
            ConfigError: a field does not exist or has no valid value.
            UnknownNetworkError: no system has that name.
        """
        _refuse_unknown(values, cls)
        network = values.get("network", {})
        name = network.get("name", DEFAULT) if isinstance(network, dict) else DEFAULT
        known = system(name)
        _refuse_unknown(network, known.config, "name")
        _refuse_unknown(values.get("frontend", {}), type(known.frontend))
        _refuse_unknown(values.get("augment", {}), AugmentConfig)
        frontend = _validated(type(known.frontend), asdict(known.frontend) | values.get("frontend", {}))
        labels = values.get("labels", CHIME_HOME)
        many = len(labels) if isinstance(labels, list | tuple) else 0  # anything else is refused below
        sizes = {"labels": many, "n_mels": frontend.n_mels}
        sizes |= {field: value for field, value in network.items() if field != "name"}
        parts = {"frontend": frontend, "network": _validated(known.config, sizes)}
        return _validated(cls, values | parts)

    @classmethod
    def from_stored(cls, values: Any) -> "TrainConfig":
        """`from_dict` of what a checkpoint or a graph tells; what older ones leave out was as it then was.

        Raises:
            ConfigError: as `from_dict`.
            UnknownNetworkError: as `from_dict`.
        """
        if isinstance(values, dict) and isinstance(frontend := values.get("frontend", {}), dict):
            frontend = {"remove_offset": False, "least_peak": 0.0} | frontend
            values = {"optimizer": "adam"} | values | {"frontend": frontend}
        return cls.from_dict(values)

    def is_stored_as(self, values: Any) -> bool:
        """Whether that tells this configuration, as `from_stored` reads it."""
        try:
            return TrainConfig.from_stored(values) == self
        except (ConfigError, UnknownNetworkError):  # of another version of this project
            return False


def read_fields(path: Path) -> dict[str, Any]:
    """What a JSON file says that is not to be as the defaults say.

    Raises:
        ConfigError: it cannot be read, or holds something else than a JSON object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f'{path} is no configuration, which is a JSON object as {{"epochs": 5}}')
    return values


def with_network(values: dict[str, Any], name: str) -> dict[str, Any]:
    """The fields with the name of a system put in; what is no mapping stays, for `from_dict` to refuse."""
    network = values.get("network", {})
    return values | {"network": network | {"name": name}} if isinstance(network, dict) else values


def _refuse_unknown(values: Any, of: "type[DataclassInstance]", *besides: str) -> None:
    """A misspelt field must not be left at its default silently."""
    if not isinstance(values, dict):
        raise ConfigError(f"the fields of {of.__name__} are a JSON object, not {values!r}")
    known = {*besides, *(field.name for field in fields(of))}
    if unknown := sorted(values.keys() - known):
        raise ConfigError(
            f"{of.__name__} has no field {', '.join(unknown)}; it has {', '.join(sorted(known))}"
        )


def _validated(of: type[T], values: dict[str, Any]) -> T:
    try:
        return TypeAdapter(of).validate_python(values)
    except ValidationError as error:
        told = [
            ".".join(map(str, each["loc"])) + f"={each['input']!r}: {each['msg']}"
            if each["loc"]
            else each["msg"]
            for each in error.errors()
        ]
        raise ConfigError(f"{of.__name__}: {'; '.join(told)}") from error
