"""Typed settings: a file, then the environment, then flags; the later wins."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from bailiwick.errors import InvalidInput

DEFAULT_FILE = "bailiwick.toml"
FILE_VARIABLE = "BAILIWICK_CONFIG"


class Settings(BaseSettings):
    """Everything that can be configured. Each field is read from ``BAILIWICK_<FIELD>`` or the TOML file."""

    model_config = SettingsConfigDict(env_prefix="BAILIWICK_", extra="forbid", frozen=True)

    home: Path = Field(Path(".bailiwick"), description="folder for the default database and the model artefacts")
    database_url: str | None = Field(
        None, description="sqlite:///file.db or postgresql://user@host/name; default: bailiwick.db in the home folder"
    )
    redis_url: SecretStr | None = Field(None, description="redis://host:6379/0; unset: cache inside each process")
    graph_url: str | None = Field(None, description="bolt://host:7687 or neo4j://host; unset: the main database")
    graph_user: str | None = Field(None, description="user of the Bolt server")
    graph_password: SecretStr | None = Field(None, description="password of the Bolt server")
    domains_url: str | None = Field(
        None, description="another Bailiwick to fetch domains from, such as http://host:8700"
    )
    domains_file: Path | None = Field(
        None, description="domain document that serves while the database holds no domain or does not answer"
    )
    host: str = Field("127.0.0.1", description="address that the server listens on")
    port: int = Field(8700, ge=0, le=65535, description="port that the server listens on; 0 picks a free one")
    reload_interval_s: float = Field(0.5, gt=0, le=60, description="how often a gateway looks for newer revisions")
    max_body_bytes: int = Field(4 << 20, ge=1024, le=1 << 30, description="longest request body that a gateway takes")
    upstream_client: Literal["own", "aiohttp"] = Field(
        "own", description="HTTP client for upstream models: own costs least; aiohttp also reads compressed answers"
    )
    upstream_proxy: SecretStr | None = Field(
        None, description="http://host:3128, an HTTP proxy for every upstream model; needs and chooses aiohttp"
    )
    upstream_networks: tuple[str, ...] | None = Field(
        None,
        description="where upstream models may be beside the public internet, such as 10.1.0.0/16; unset: anywhere but "
        "link-local addresses",
    )
    keys: Literal["optional", "required"] = Field(
        "optional",
        description="required: the gateway answers nobody without a key; optional: a key, if given, must be one",
    )
    control_plane: bool = Field(
        True, description="serve the control plane too; off: the gateway alone, for networks that are not trusted"
    )
    drain_s: float = Field(30.0, ge=0, le=3600, description="how long a stopping server waits for running requests")
    drain_notice_s: float = Field(
        2.0, ge=0, le=300, description="how long a busy server that shall stop still accepts, with /readyz saying 503"
    )
    max_connections: int = Field(4_096, ge=1, description="connections to a server at the same time; more are refused")
    keep_alive_s: int = Field(
        75, ge=1, le=3600, description="how long a connection waits for its next request; longer than a balancer's"
    )
    head_timeout_s: float = Field(10.0, gt=0, le=600, description="how long a request's head may take to come")
    body_timeout_s: float = Field(60.0, gt=0, le=3600, description="how long a request's body may take to come")
    stall_timeout_s: float = Field(60.0, gt=0, le=3600, description="how long a client may leave an answer unread")
    workers: int = Field(0, ge=0, le=256, description="processes for extraction; 0: one per core")
    metrics_interval_s: float = Field(1.0, gt=0, le=60, description="how often observations are written in a batch")
    metrics_queue: int = Field(100_000, ge=1, description="observations that wait in memory at most; more are dropped")
    requests_kept_days: float = Field(30, gt=0, description="how long feedback finds the request that it is about")
    minutes_kept_days: float = Field(3, ge=1, description="how long metrics are kept by the minute; then by the hour")
    hours_kept_days: float = Field(400, ge=2, description="how long metrics are kept by the hour; days stay for good")
    experiments_interval_s: float = Field(30, gt=0, le=3600, description="how often experiments are looked after")
    exposures_kept_days: float = Field(30, gt=0, description="how long single exposures to experiments are kept")
    unit_key: SecretStr | None = Field(
        None,
        description="16 to 64 characters that key the digests of users in logs; unset: kept in the database",
    )
    environment: str = Field(
        "production", pattern=r"^[a-z][a-z0-9_-]{0,63}$", description="whose gate policies deployments are judged by"
    )
    extraction_root: Path | None = Field(
        None, description="folder below which the REST interface may read files; unset: it reads none"
    )
    audit_origin: str = Field(
        "bailiwick", pattern=r"^[A-Za-z0-9./_-]{1,100}$", description="name of this installation in audit heads"
    )
    audit_key_file: Path | None = Field(
        None, description="Ed25519 key (PEM) that signs audit heads; default: made in the home folder"
    )
    audit_anchors: tuple[str, ...] = Field(
        (), description="where audit heads are kept: file:///path or https://host/path; default: in the home folder"
    )
    audit_interval_s: float = Field(
        5.0, gt=0, le=3600, description="how often a server signs and anchors what is new in the audit trail"
    )
    webhook_networks: tuple[str, ...] = Field(
        (), description="networks that webhooks may go to although they are not public, such as 10.1.0.0/16"
    )
    secrets_key: SecretStr | None = Field(
        None, min_length=32, description="encrypts generated webhook secrets in the database; unset: kept as they are"
    )
    access_log: str | None = Field(
        None, description="file that a gateway appends one JSON line per request to, without texts; -: standard output"
    )
    access_log_prompts: bool = Field(
        False, description="lines of the access log hold what the user asked, its first 10,000 characters"
    )
    traces: bool = Field(
        False, description="one OpenTelemetry span per request; needs bailiwick[otel], configured by OTEL_* variables"
    )
    routing_mode: Literal["off", "shadow", "on"] = Field(
        "off", description="what learning may do for requests to `auto` until `bailiwick route mode` says otherwise"
    )
    routing_algorithm: Literal["ucb", "thompson", "linucb"] = Field(
        "ucb", description="how routing chooses and explores"
    )
    routing_metric: str = Field(
        "correct", pattern=r"^[^\x00-\x1f]{1,200}$", description="feedback that routing learns from"
    )
    routing_candidates: int = Field(3, ge=1, le=5, description="domains of the detection's ranking that are considered")
    routing_margin: float = Field(0.2, ge=0, le=1, description="reward that a candidate may be expected to lack")
    routing_exploration_floor: float = Field(
        0.02, ge=0, le=0.1, description="smallest probability of each candidate where there is a choice"
    )
    routing_prior_strength: float = Field(
        1, ge=0.1, le=1e6, description="judged answers that detection's confidence counts as"
    )
    routing_learning_rate: float = Field(1.0, ge=0, le=100, description="answers that one judged answer counts as")
    routing_half_life_days: float = Field(14, ge=0, le=3650, description="after which feedback counts half; 0: never")
    routing_change_evidence: float = Field(
        4, ge=0, le=1e6, description="nats that show a change, after which routing learns anew; 0: never looked for"
    )
    routing_latency_weight: float = Field(0, ge=0, le=100, description="reward that one second costs")
    routing_cost_weight: float = Field(0, ge=0, le=100, description="reward that a thousand tokens cost")
    routing_sticky: Literal["none", "conversation", "user"] = Field(
        "conversation", description="what keeps its domain while weights change"
    )
    routing_update_interval_s: float = Field(60, gt=0, le=86_400, description="how often routing learns from feedback")
    routing_kept_days: float = Field(30, gt=0, description="how long decisions of routing are kept")
    routing_queue: int = Field(100_000, ge=1, description="decisions that wait in memory at most; more are dropped")
    seed: int = Field(20260101, ge=0, description="of every random choice in training")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags before environment before file."""
        return init_settings, env_settings, InitSettingsSource(settings_cls, file_values())

    @property
    def database(self) -> str:
        """The database URL with its default filled in."""
        return self.database_url or f"sqlite:///{self.home / 'bailiwick.db'}"


def config_file() -> Path | None:
    """The settings file: ``$BAILIWICK_CONFIG``, else ``bailiwick.toml`` in the working directory, else none.

    Raises:
        InvalidInput: the variable names a file that does not exist.
    """
    named = os.environ.get(FILE_VARIABLE)
    if named is None:
        return Path(DEFAULT_FILE) if Path(DEFAULT_FILE).is_file() else None
    if not Path(named).is_file():
        raise InvalidInput(f"the settings file {named!r} does not exist", what=FILE_VARIABLE, where=named)
    return Path(named)


def file_values() -> dict[str, Any]:
    """What the settings file says, by name; empty without a file.

    Raises:
        InvalidInput: the file cannot be read, or is not TOML.
    """
    path = config_file()
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"the settings file cannot be read: {error}", where=str(path)) from error


def load_settings(**flags: Any) -> Settings:
    """Read the settings; flags that are None are left to the environment and the file.

    Raises:
        InvalidInput: a value is of the wrong type or out of bounds, a name is unknown, or the file is not TOML.
    """
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise InvalidInput(
                f"there is no setting {name!r}",
                what=name,
                where=str(config_file()),
                remedy="see `bailiwick config` for every setting",
            ) from error
        raise InvalidInput(
            f"setting {name!r}: {first['msg']}",
            what=name,
            requested=None
            if any(word in name for word in ("password", "redis", "proxy", "_key"))
            else repr(first.get("input")),
            remedy="see `bailiwick config` for every setting",
        ) from error
