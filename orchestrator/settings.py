"""Settings: defaults, then a TOML file, then ORCHESTRATOR_* variables, then flags; the later one wins.

    bootstrap_server = "kafka-1:9092,kafka-2:9092"     ORCHESTRATOR_BOOTSTRAP_SERVER    --bootstrap-server

    [kafka]                                            librdkafka's own names, passed through untouched
    security.protocol = "SASL_SSL"                     ORCHESTRATOR_KAFKA__SECURITY_PROTOCOL    --set kafka.security.protocol=..
    sasl.password_file = "/run/secrets/kafka"          a secret is read from a file where its name ends in _file

Secrets are shown as ***. A name that is not known is an error.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from orchestrator import compiled, defaults
from orchestrator.errors import UsageError
from orchestrator.language.problems import nearest

PREFIX: Final = "ORCHESTRATOR_"
CONFIG_VARIABLE: Final = "ORCHESTRATOR_CONFIG"
HIDDEN: Final = "***"

_SECRET_WORDS: Final = ("password", "secret", "ssl.key.pem", "sasl.oauthbearer.config", "token", "user.info")
TABLES: Final = ("kafka", "registry")  # settings of clients, by the clients' own names
_NOT_SETTINGS: Final = frozenset(
    {CONFIG_VARIABLE, "ORCHESTRATOR_REQUIRE_KAFKA", "ORCHESTRATOR_DEBUG", "ORCHESTRATOR_FAILPOINT", compiled.VARIABLE}
)


class Settings(BaseSettings):
    """What a process of the orchestrator is told. Made by `Settings.load`, never changed afterwards."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    bootstrap_server: str = Field("localhost:9092", description="Kafka brokers to start from, host:port, comma between.")
    kafka: dict[str, str] = Field(default_factory=dict, description="Further librdkafka settings, by librdkafka's names.")
    registry: dict[str, str] = Field(
        default_factory=dict,
        description="The schema registry, by its client's names: url, basic.auth.user.info, ssl.ca.location.",
    )
    allow_sasl_plaintext: bool = Field(False, description="Let a password go over a connection that is not encrypted.")
    topologies: Path = Field(Path("topologies"), description="Folder with journeys/, policy.yaml and streams.yaml.")
    schemas: Path | None = Field(
        None, description="Folder with the event schemas. [schemas/avro beside the topologies, else the shipped]"
    )
    state_dir: Path = Field(Path("state"), description="Folder of the local stores; belongs to one worker.")
    worker_id: str = Field("", description="Stable name of the worker; else one is written into the state directory.")
    processes: int = Field(1, ge=1, le=64, description="Processes that a worker runs as, each with its share of the partitions.")
    advertised: str = Field("", description="host:port under which other workers and the console reach this one.")
    commit_interval_ms: int = Field(100, ge=1, le=60_000, description="Longest time between commits under load.")
    connect_timeout_s: float = Field(30.0, gt=0, description="How long to try for Kafka at start before giving up.")
    value_bytes: int = Field(1_000_000, ge=1_000, description="Largest event that is taken; larger ones become incidents.")
    metrics_address: str = Field(
        "", description="host:port, or a port of this machine alone, to serve /metrics on without the rest; else nowhere."
    )
    traces_endpoint: str = Field(
        "", description="OTLP/HTTP address that traces go to, such as http://localhost:4318/v1/traces; needs [otel]. [nowhere]"
    )
    http_address: str = Field(
        "", description="host:port, or a port of this machine alone, to serve health, metrics and state on; else nowhere."
    )
    http_access_file: Path | None = Field(None, description="Who may see state over HTTP, and how they are known. [nobody]")
    http_certificate: Path | None = Field(None, description="PEM file of the worker's certificate: HTTP is then served with TLS.")
    http_key: Path | None = Field(None, description="PEM file of the certificate's key.")
    http_client_ca: Path | None = Field(None, description="PEM file of the authority whose client certificates are accepted.")
    http_token_file: Path | None = Field(None, description="Commands only: file with the token that they show to workers.")
    http_ca: Path | None = Field(
        None, description="Commands only: PEM file of the authority that signed the workers' certificates."
    )
    http_client_certificate: Path | None = Field(
        None, description="Commands only: PEM file of certificate and key that they show to workers."
    )
    stuck_after_s: float = Field(
        60.0, ge=0, description="End the process (status 5) when its event loop gave no sign of life for so long; 0: never."
    )
    breaker_incidents: int = Field(100, ge=0, description="More records than this becoming incidents stop a partition; 0: never.")
    breaker_window: int = Field(1_000, ge=1, description="Among how many records in a row they are counted.")
    incident_header_style: str = Field(
        "kip-1034",
        pattern="^(kip-1034|connect|spring)(,(kip-1034|connect|spring))*$",
        description="Headers of incidents: kip-1034, which they always have, and besides connect, spring or connect,spring.",
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="debug, info, warning or error.")
    log_key_file: Path | None = Field(
        None, description="File whose content keys the customers' hashes in logs, one for all processes. [random, each its own]"
    )
    log_format: str = Field("auto", pattern="^(auto|json|text)$", description="json, text, or by whether it is a terminal.")

    @classmethod
    def load(cls, config: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
        """Put all sources together. `overrides` are flags; None in them means not given. Raises UsageError."""
        _refuse_unknown_variables(cls)
        path = _config_path(config)
        from_file = _read_toml(path) if path else {}
        given = {name: value for name, value in (overrides or {}).items() if value is not None}
        for values, where in ((from_file, str(path)), (given, "flags")):
            _refuse_unknown(cls, values, where)
        try:
            settings = _from_sources(cls, from_file, given)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise UsageError(f"setting {name}: {first['msg']}", next_step="see `orchestrator <command> --help`") from None
        _refuse_open_passwords(settings)
        return settings

    def shown(self) -> dict[str, Any]:
        """Give the values fit to show: secrets are ***."""
        plain = self.model_dump(mode="json")
        for table in TABLES:
            plain[table] = {name: HIDDEN if is_secret(name) else value for name, value in plain[table].items()}
        return plain

    def __repr__(self) -> str:
        """Show no secrets in tracebacks and logs either."""
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.shown().items())})"

    __str__ = __repr__

    @property
    def schemas_dir(self) -> Path:
        """The folder that event schemas are read from."""
        return self.schemas or defaults.SCHEMAS


def client_config(settings: Settings, **own: Any) -> dict[str, Any]:
    """Give a confluent-kafka configuration: the user's settings, and over them `own` (`_` for `.`) as the caller needs it."""
    return {
        "bootstrap.servers": settings.bootstrap_server,
        **settings.kafka,
        **{name.replace("_", "."): value for name, value in own.items()},
    }


def origins(config: Path | None = None, overrides: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Give where each value comes from, for the arguments of `Settings.load`; what is not named in it is a default.

    Names are those of the settings, and `kafka.` or `registry.` with those of their clients.
    """
    path = _config_path(config)
    found = dict.fromkeys(_names(_read_toml(path)), str(path)) if path else {}
    for variable in os.environ:
        name = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX) and variable not in _NOT_SETTINGS:
            table, _, key = name.partition("__")
            found[f"{table}.{_base(key.replace('_', '.'))}" if key else name] = variable
    return found | dict.fromkeys(_names({k: v for k, v in (overrides or {}).items() if v is not None}), "command line")


def _names(values: Mapping[str, Any]) -> Iterable[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from (f"{name}.{_base(key)}" for key, _ in _flat(value))
        else:
            yield name


def _base(name: str) -> str:
    """The name of a secret whose value stands in a file."""
    base = name[: -len("_file")]
    return base if name.endswith(("_file", ".file")) and is_secret(base) else name


def _config_path(config: Path | None) -> Path | None:
    return config or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)


def overrides_from(assignments: Sequence[str], **flags: Any) -> dict[str, Any]:
    """Read `--set name=value` options, and add the command's own flags. Raises UsageError."""
    found: dict[str, Any] = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {text}: expected name=value", next_step="for example --set kafka.security.protocol=SSL")
        table, _, inner = name.partition(".")
        if table in TABLES and inner:
            found.setdefault(table, {})[inner] = value
        else:
            found[name] = value
    return found | {name: value for name, value in flags.items() if value is not None}


def is_secret(name: str) -> bool:
    """Tell whether the value of a librdkafka setting must not be shown."""
    return any(word in name for word in _SECRET_WORDS) and not name.endswith((".url", ".location"))


def _from_sources(cls: type[Settings], from_file: Mapping[str, Any], given: Mapping[str, Any]) -> Settings:
    """Let pydantic merge the sources, each with its `kafka` names brought into one form, so that they meet."""

    class Sourced(cls):  # type: ignore[misc, valid-type]
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], **_: PydanticBaseSettingsSource
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (
                InitSettingsSource(settings_cls, _with_tables(given)),
                _Environment(settings_cls),
                InitSettingsSource(settings_cls, _with_tables(from_file)),
            )

    sourced = Sourced()
    return cls.model_construct(**{name: getattr(sourced, name) for name in cls.model_fields})


class _Environment(EnvSettingsSource):
    def __call__(self) -> dict[str, Any]:
        values = super().__call__()
        for table in TABLES:
            if isinstance(values.get(table), Mapping):
                values[table] = {name.replace("_", "."): value for name, value in _flat(values[table])}
        return _with_tables(values)


def _with_tables(values: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(values)
    for table in TABLES:
        given = values.get(table) or {}
        if not isinstance(given, Mapping):
            raise UsageError(f"{table} must be a table of settings", next_step=f"for example [{table}] in the TOML file")
        found[table] = _read_secret_files(table, dict(_flat(given)))
    return found


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Undo TOML's nesting of dotted names; librdkafka takes text for every setting."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, str(value).lower() if isinstance(value, bool) else str(value)


def _read_secret_files(table: str, given: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in given.items():
        if name == "bootstrap.servers":
            raise UsageError("kafka.bootstrap.servers is set by another name", next_step="use bootstrap_server")
        base = _base(name)
        if base != name:
            try:
                found[base] = Path(value).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise UsageError(f"the secret for {table}.{base} cannot be read: {error.strerror}", where=value) from None
        else:
            found[name] = value
    return found


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the settings file cannot be read: {error.strerror}", where=str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the settings file is not TOML: {error}", where=str(path)) from None


def _refuse_unknown(cls: type[Settings], values: Mapping[str, Any], where: str) -> None:
    for name in values:
        if name not in cls.model_fields:
            raise _unknown(name, where, nearest(name, cls.model_fields))


def _refuse_unknown_variables(cls: type[Settings]) -> None:
    for variable in os.environ:
        name = variable.removeprefix(PREFIX).lower().partition("__")[0]
        if variable.startswith(PREFIX) and variable not in _NOT_SETTINGS and name not in cls.model_fields:
            near = nearest(name, cls.model_fields)
            raise _unknown(variable, "environment", f"{PREFIX}{near.upper()}" if near else "")


def _unknown(name: str, where: str, near: str) -> UsageError:
    advice = f"did you mean {near}?" if near else f"known are {', '.join(Settings.model_fields)}"
    return UsageError(f"there is no setting {name}", where=where, next_step=advice)


def _refuse_open_passwords(settings: Settings) -> None:
    if settings.kafka.get("security.protocol", "").upper() == "SASL_PLAINTEXT" and not settings.allow_sasl_plaintext:
        raise UsageError(
            "SASL_PLAINTEXT sends the password over a connection that is not encrypted",
            where="kafka.security.protocol",
            next_step="use SASL_SSL, or set allow_sasl_plaintext = true if the network is trusted",
        )
    _refuse_open_registry(settings)


def _refuse_open_registry(settings: Settings) -> None:
    urls = settings.registry.get("url", "")
    if "@" in urls:
        raise UsageError(
            "registry.url holds a password, and a URL is shown and logged",
            where="registry.url",
            next_step="put user:password into a file, and its name into registry.basic.auth.user.info_file",
        )
    if "http://" in urls and any(is_secret(name) for name in settings.registry) and not settings.allow_sasl_plaintext:
        raise UsageError(
            "registry.url sends a password or token over a connection that is not encrypted",
            where="registry.url",
            next_step="use https, or set allow_sasl_plaintext = true if the network is trusted",
        )
