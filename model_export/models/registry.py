"""Every system of the paper's Table 3 by the name that `--network` takes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from model_export.constant_q import ConstantQ, ConstantQConfig
from model_export.frontend import FrontEnd, FrontEndConfig, LogMel
from model_export.models.att_cgrnn import AttCGRNN, AttConfig
from model_export.models.att_loc_cgrnn import AttLocCGRNN, AttLocConfig
from model_export.models.cgrnn import CGRNN, CGRNNConfig
from model_export.models.cqt_cnn import CqtCNN, CqtCNNConfig
from model_export.models.dae_dnn import DaeDNN, DaeDNNConfig
from model_export.models.gmm import GMM, GMMConfig
from model_export.models.mel_cnn import MelCNN, MelCNNConfig
from model_export.models.network import Network, NetworkConfig
from service.engine.errors import AttLocError


class UnknownNetworkError(AttLocError):
    """No system has that name."""


class System(NamedTuple):
    """A network and what it hears through.

    Attributes:
        config: its parameters.
        network: the module; takes a `config`.
        frontend: default parameters of its front-end.
    """

    config: type[NetworkConfig]
    network: type[Network]
    frontend: FrontEndConfig = FrontEndConfig()


DEFAULT = "att_loc_cgrnn"
SYSTEMS: Mapping[str, System] = MappingProxyType(
    {
        DEFAULT: System(AttLocConfig, AttLocCGRNN),
        "att_cgrnn": System(AttConfig, AttCGRNN),
        "cgrnn": System(CGRNNConfig, CGRNN),
        "mel_cnn": System(MelCNNConfig, MelCNN),
        "cqt_cnn": System(CqtCNNConfig, CqtCNN, ConstantQConfig()),
        "dae_dnn": System(DaeDNNConfig, DaeDNN),
        "gmm": System(GMMConfig, GMM),
    }
)


def system(name: str) -> System:
    """The system of this name.

    Raises:
        UnknownNetworkError: there is none.
    """
    try:
        return SYSTEMS[name]
    except (KeyError, TypeError):  # a configuration file may name a list
        raise UnknownNetworkError(f"no network {name!r}; there are {', '.join(SYSTEMS)}") from None


def name_of(config: NetworkConfig) -> str:
    """The name of the system that has these parameters."""
    return next(name for name, known in SYSTEMS.items() if type(config) is known.config)


def build_network(config: NetworkConfig) -> Network:
    """An untrained network of these parameters."""
    make: Any = SYSTEMS[name_of(config)].network
    network: Network = make(config)
    return network


def build_frontend(config: FrontEndConfig) -> FrontEnd:
    """The front-end of these parameters."""
    return ConstantQ(config) if isinstance(config, ConstantQConfig) else LogMel(config)
