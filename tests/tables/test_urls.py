import pytest

from mlops.errors import Refused, UsageError
from mlops.tables import urls

WORD = "hunter2"


@pytest.mark.parametrize(
    ("url", "cure"),
    [
        (f"postgresql://ann:{WORD}@host/db", "PGPASSWORD or ~/.pgpass"),
        (f"postgres://ann:{WORD}@host:5433/db", "PGPASSWORD or ~/.pgpass"),
        (f"postgresql:///db?host=/run&password={WORD}", "PGPASSWORD or ~/.pgpass"),
        (f"redis://:{WORD}@host:6379/0", "REDIS_PASSWORD"),
        (f"rediss://host?Password={WORD}", "REDIS_PASSWORD"),
        (f"s3://key:{WORD}@bucket/rows.csv", "of its own library"),
        (f"s3://bucket/rows.csv?token={WORD}", "of its own library"),
    ],
)
def test_a_password_is_refused_and_not_repeated(url: str, cure: str) -> None:
    with pytest.raises(Refused, match="contains a password") as refused:
        urls.parse_url(url)
    assert WORD not in str(refused.value)
    assert cure in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann@host/db",
        "postgresql://ann:@/db?host=/var/run/postgresql",
        "sqlite:///predictions.db",
        "redis://host:6379/0",
        "data/incoming",
    ],
)
def test_a_url_without_a_password_is_accepted_and_shown_as_it_is(url: str) -> None:
    parsed = urls.parse_url(url)
    assert parsed.text == str(parsed) == url


@pytest.mark.parametrize(
    "url", ["sqlite:///a#1.db", "sqlite:///a?b.db", "sqlite:///a.db?mode=ro", "redis://host/0#1"]
)
def test_a_part_that_nobody_would_read_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="the part after '#' or"):
        urls.parse_url(url)


def test_a_name_of_a_database_that_is_too_long_is_refused() -> None:
    with pytest.raises(UsageError, match="File name too long: give a shorter name"):
        urls.database_file(urls.parse_url(f"sqlite:///{'n' * 300}.db"))


def test_the_parts_of_a_url() -> None:
    url = urls.parse_url("postgres://ann@host:5433/db?host=/run&sslmode=require")
    assert (url.scheme, url.user, url.host, url.port, url.path) == (
        "postgresql",
        "ann",
        "host",
        5433,
        "/db",
    )
    assert url.options == {"host": "/run", "sslmode": "require"}


@pytest.mark.parametrize(
    "rest", ["@host:port/db", "/2@host/db", "#2@host/db", "@host:99999/db", "@[host/db"]
)
def test_a_url_that_cannot_be_read_is_not_repeated_either(rest: str) -> None:
    with pytest.raises(UsageError, match="the postgresql URL can't be read: ") as refused:
        urls.parse_url(f"postgresql://ann:{WORD}{rest}")
    assert WORD not in str(refused.value)


def test_every_password_in_a_text_is_left_out() -> None:
    text = f"copy of s3://a:{WORD}@b and redis://:{WORD}@c/0?password={WORD}&db=1"
    assert (
        urls.redact_passwords(text) == "copy of s3://a:***@b and redis://:***@c/0?password=***&db=1"
    )
