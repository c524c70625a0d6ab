import socket

import pytest

from mlops.predict.release import Release
from mlops.service import server, settings
from mlops.service.errors import StartError
from mlops.service.settings import Settings


def release(**serve: object) -> Release:
    return Release("prod", "c" * 40, "a.dir", {}, serve=serve)


def test_the_environments_file_is_overridden_by_variables_and_those_by_options() -> None:
    released = release(max_rows=7, of_a_newer_template=1)
    assert settings.read_settings(released, {}, {"port": None}) == Settings(max_rows=7)
    told = {"SERVE_MAX_ROWS": "8", "SERVE_PORT": "1", "SERVE_API_KEY_REQUIRED": "true", "PATH": ""}
    assert settings.read_settings(released, told, {"port": "2"}) == Settings(
        max_rows=8, port=2, api_key_required=True
    )


@pytest.mark.parametrize(
    ("variables", "option", "words"),
    [
        ({"SERVE_MAX_ROWS": "0"}, None, "SERVE_MAX_ROWS can't be '0': Expected `int` >= 1"),
        ({"SERVE_MAX_ROWS": "many"}, None, "SERVE_MAX_ROWS can't be 'many': Expected `int`"),
        ({"SERVE_MAX_SECONDS": "nan"}, None, "SERVE_MAX_SECONDS can't be 'nan'"),
        ({"SERVE_MAX_SECONDS": "inf"}, None, "SERVE_MAX_SECONDS can't be 'inf'"),
        ({"SERVE_API_KEY_REQUIRED": "perhaps"}, None, "SERVE_API_KEY_REQUIRED can't be 'perhaps'"),
        (
            {"SERVE_MAX_ROW": "1"},
            None,
            "SERVE_MAX_ROW is not a setting: the settings are .*SERVE_MAX_ROWS",
        ),
        ({}, "http", "--port can't be 'http': Expected `int`"),
        ({}, "65536", "--port can't be '65536'"),
    ],
)
def test_a_setting_that_can_not_be_is_named(
    variables: dict[str, str], option: str | None, words: str
) -> None:
    with pytest.raises(StartError, match=words):
        settings.read_settings(release(), variables, {"port": option})


@pytest.mark.parametrize("proxies", ["*", "proxy.example.org", "10.0.0.1/8", "127.0.0.1;::1"])
def test_a_proxy_that_is_no_address_or_network_is_refused(proxies: str) -> None:
    given = settings.read_settings(release(), {"SERVE_TRUSTED_PROXIES": proxies}, {})
    with pytest.raises(StartError, match="SERVE_TRUSTED_PROXIES can't hold"):
        assert given.proxies


def test_a_released_setting_that_can_not_be_is_named_with_its_file() -> None:
    with pytest.raises(StartError, match=r"environments/prod\.yaml, serve\.max_rows can't be"):
        settings.read_settings(release(max_rows=[]), {}, {})


def test_a_key_is_asked_for_where_it_is_set_and_must_be_set_where_it_is_required() -> None:
    required = Settings(api_key_required=True)
    assert settings.api_key(Settings(), {}) is None
    assert settings.api_key(Settings(), {"API_KEY": "k"}) == b"k"
    assert settings.api_key(required, {"API_KEY": "k"}) == b"k"
    for variables in ({}, {"API_KEY": ""}):
        with pytest.raises(StartError, match="API_KEY is not set: start with API_KEY="):
            settings.api_key(required, variables)


@pytest.mark.parametrize("key", [" k", "k\n", "a key", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused(key: str) -> None:
    with pytest.raises(StartError, match="printable ASCII"):
        settings.api_key(Settings(), {"API_KEY": key})


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            StartError, match=f"port {port} of 127.0.0.1 .*: Address already in use"
        ):
            server.listen_on(Settings(port=port))


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 100, "192.0.2.1"])
def test_a_host_that_is_not_here_is_named(host: str) -> None:
    with pytest.raises(StartError, match=f"of {host} can't be listened on"):
        server.listen_on(Settings(host=host))
