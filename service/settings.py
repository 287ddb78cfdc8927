"""Every setting of the service: one `ATTLOC_*` environment variable each, all with defaults."""

import difflib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.engine.errors import AttLocError

PREFIX = "ATTLOC_"
MIB = 1024 * 1024
# As the header `Host` has them, less the port.
NAME = re.compile(r"\*|[A-Za-z0-9._-]*[A-Za-z0-9_-]")


class SettingsError(AttLocError):
    """An environment variable holds a value the service cannot use, or is not one of its own."""


class Settings(BaseSettings):
    """What an operator may choose; units are in the names."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        # Compose files and shells set a variable to nothing where they mean to leave it out. An empty host
        # would be every address of the machine.
        env_ignore_empty=True,
        allow_inf_nan=False,
        frozen=True,
        extra="forbid",
    )

    host: Annotated[str, Field(description="Address to listen on; beyond loopback, set API keys.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Field(ge=0, le=65535, description="TCP port; 0 takes a free one.")] = 8000
    model: Annotated[Path, Field(description="The exported graph, an `attloc` ONNX file.")] = Path(
        "weights/att_loc_cgrnn.onnx"
    )
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        Field(description="Where the graph runs; `cuda` is strict and refuses to start without one."),
    ] = "auto"
    workers: Annotated[
        int | None,
        Field(
            ge=1,
            le=1024,
            description="Inference threads; unset: the cores of cgroup and affinity, on a GPU 2.",
        ),
    ] = None
    queue_windows: Annotated[
        int | None,
        Field(
            ge=1,
            description="Windows that may be in memory waiting for the model, few of each recording; "
            "beyond it new ones get 503; unset: 128 for each core, on a GPU 4096, at least 1024.",
        ),
    ] = None
    deadline_s: Annotated[
        float,
        Field(
            gt=0,
            le=3600,
            description="Seconds that a recording may take once received, however short; beyond it 504.",
        ),
    ] = 60.0
    deadline_per_hour_s: Annotated[
        float, Field(ge=0, le=36_000, description="Seconds more for each hour of audio in a recording.")
    ] = 360.0
    max_body_bytes: Annotated[
        int, Field(ge=1, description="Largest request body in bytes; beyond it 413.")
    ] = 700 * MIB
    max_duration_s: Annotated[
        float, Field(gt=0, description="Longest recording in seconds of decoded audio; beyond it 413.")
    ] = 3600.0
    max_uploads: Annotated[
        int, Field(ge=1, description="Recordings received or analysed at once; beyond it 503.")
    ] = 64
    read_timeout_s: Annotated[
        float,
        Field(gt=0, description="Longest silence of a client that is sending its request; beyond it 408."),
    ] = 10.0
    data_dir: Annotated[Path, Field(description="Directory of the SQLite database.")] = Path("data")
    database_url: Annotated[
        str | None,
        Field(description="SQLAlchemy URL of the timeline; unset: SQLite in `ATTLOC_DATA_DIR`.", repr=False),
    ] = None
    retention_days: Annotated[
        float | None,
        Field(gt=0, le=36_500, description="Recordings older than this are forgotten; unset: kept for ever."),
    ] = None
    retention_bytes: Annotated[
        int | None,
        Field(
            ge=1,
            description="Beyond so many bytes of curves the oldest recordings are forgotten; unset: never.",
        ),
    ] = None
    api_keys_file: Annotated[
        Path | None, Field(description="File of hashed API keys; as soon as it holds one, keys are required.")
    ] = None
    allowed_hosts: Annotated[
        tuple[str, ...] | None,
        NoDecode,
        Field(
            description="Names by which the service may be asked while no keys are required, with commas, or "
            "`*`; unset: on loopback `localhost` alone, else any. Addresses always are."
        ),
    ] = None
    max_streams: Annotated[
        int,
        Field(
            ge=0, description="Event streams (SSE) and live inputs (WebSocket) open at once; beyond it 503."
        ),
    ] = 64
    heartbeat_s: Annotated[
        float, Field(gt=0, description="Seconds between heartbeats of an idle event stream.")
    ] = 15.0
    grace_s: Annotated[
        float, Field(ge=0, description="Seconds that accepted work may still take after SIGTERM.")
    ] = 30.0
    tracing: Annotated[
        bool,
        Field(description="Send traces to `OTEL_EXPORTER_OTLP_ENDPOINT`; needs the extra `otel`."),
    ] = False
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="Least severity that is logged.")
    ] = "info"
    log_format: Annotated[
        Literal["auto", "json", "text"],
        Field(description="One JSON object a line, or text; `auto` is text on a terminal."),
    ] = "auto"

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _separated(cls, value: Any) -> Any:
        """Names with commas between; none of them is as good as unset."""
        if not isinstance(value, str):
            return value
        names = tuple(filter(None, map(str.strip, value.split(","))))
        for name in names:
            if NAME.fullmatch(name) is None:
                raise ValueError(f"{name!r} is no name: leave out scheme, port and path; `*` stands alone")
        return names or None

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names by which the service may be asked, beside addresses and `localhost`; `*` is any."""
        if self.allowed_hosts is not None:
            return self.allowed_hosts
        return () if self.loopback else ("*",)

    @property
    def timeline_url(self) -> str:
        """SQLAlchemy URL of the timeline."""
        return self.database_url or f"sqlite:///{self.data_dir / 'timeline.db'}"

    def model_file(self) -> Path:
        """The model's file, which is there.

        Raises:
            SettingsError: it is not; the message says where it was looked for.
        """
        if not self.model.is_file():
            raise SettingsError(f"{variable('model')}={self.model}: there is no file {self.model.absolute()}")
        return self.model

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")


def read_settings() -> Settings:
    """Settings from the `ATTLOC_*` variables of the environment.

    Raises:
        SettingsError: a value out of type or range, or a variable that is none of ours; the message
            names each variable, what it holds and what would be right.
    """
    known = [variable(field) for field in Settings.model_fields]
    complaints = [
        _unknown(name, known)
        for name in os.environ
        if name.upper().startswith(PREFIX) and name.upper() not in known
    ]
    settings = None
    try:
        settings = Settings()
    except ValidationError as error:
        complaints += [
            f"{variable(str(details['loc'][0]))}={details['input']!r}: "
            + details["msg"].removeprefix("Value error, ")
            for details in error.errors()
        ]
    if settings is None or complaints:
        raise SettingsError("\n".join(complaints))
    return settings


def variable(field: str) -> str:
    """The environment variable of a field of `Settings`."""
    return PREFIX + field.upper()


def describe() -> list[tuple[str, str, str]]:
    """(variable, default, description) of every setting, in the order of the class."""
    return [
        (variable(name), "unset" if field.default is None else str(field.default), field.description or "")
        for name, field in Settings.model_fields.items()
    ]


def _unknown(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name.upper(), known, n=1)
    return f"{name} is no setting of this service" + (f"; did you mean {near[0]}?" if near else "")
