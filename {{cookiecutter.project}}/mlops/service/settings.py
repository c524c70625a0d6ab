"""The settings of the service: those of its environment's file, unless overridden at its start."""

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from mlops.predict.release import Release, ServeSettings
from mlops.service.errors import StartError

PREFIX = "SERVE_"
KEY = "API_KEY"


class Settings(ServeSettings, frozen=True):
    """The settings of one service: those of its environment, its address, and the proxies that it trusts."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    trusted_proxies: str = ""

    @property
    def proxies(self) -> list[str]:
        """Returns the addresses and networks whose X-Forwarded-For is believed. Raises StartError."""
        parts = [part.strip() for part in self.trusted_proxies.split(",") if part.strip()]
        for part in parts:
            try:
                ip_network(part)
            except ValueError as error:
                raise StartError(
                    f"{PREFIX}TRUSTED_PROXIES can't hold {part!r} ({error}): give addresses or "
                    "networks with commas between them, for example 10.0.0.0/8, 127.0.0.1"
                ) from None
        return parts

    @property
    def max_body(self) -> int:
        return int(self.max_body_megabytes * 1_000_000)


TYPES = {field.name: field.type for field in msgspec.structs.fields(Settings)}


def read_settings(
    release: Release, variables: Mapping[str, str], options: Mapping[str, str | None]
) -> Settings:
    """Returns the settings of the released `environments/<name>.yaml`, overridden by the variables SERVE_...
    and those by the options that are not None. Raises StartError for a value that cannot be."""
    file = f"environments/{release.environment}.yaml"
    given = [
        *(
            (name, value, f"{file}, serve.{name}")
            for name, value in release.serve.items()
            if name in TYPES  # a newer release may hold more
        ),
        *(
            (name.removeprefix(PREFIX).lower(), text, name)
            for name, text in variables.items()
            if name.startswith(PREFIX)
        ),
        *((name, text, f"--{name}") for name, text in options.items() if text is not None),
    ]
    return Settings(**{name: convert_setting(name, value, source) for name, value, source in given})


def convert_setting(name: str, value: object, source: str) -> Any:
    """Returns the value in the type of the setting. Raises StartError, which names its source."""
    if name not in TYPES:
        known = ", ".join(f"{PREFIX}{known.upper()}" for known in TYPES)
        raise StartError(f"{source} is not a setting: the settings are {known}")
    try:
        return msgspec.convert(value, TYPES[name], strict=False)
    except msgspec.ValidationError as error:
        raise StartError(f"{source} can't be {value!r}: {error}") from None


def api_key(settings: Settings, variables: Mapping[str, str]) -> bytes | None:
    """Returns what the header X-API-Key must hold, or None if no key is asked for. Raises StartError if a
    required key is missing or cannot be sent in a header."""
    key = variables.get(KEY)
    if not key:
        if settings.api_key_required:
            raise StartError(
                f"an API key is required (serve.api_key_required) and {KEY} is not set: "
                f"start with {KEY}=..., which for example `openssl rand -hex 32` makes"
            )
        return None
    if not key.isascii() or not key.isprintable() or " " in key:
        raise StartError(f"{KEY} must be printable ASCII without spaces, to travel in a header")
    return key.encode()
