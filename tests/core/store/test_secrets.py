"""Secrets in URLs are refused where they are configured, and shown nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charpipe.config import load_config
from charpipe.config.corpora import resolve_corpus
from charpipe.errors import UsageError
from charpipe.store.secrets import find_secret, redact

SECRET = "hunter2geheim"
URLS = [
    f"https://user:{SECRET}@host/a.txt",
    f"https://{SECRET}@host/a.txt",
    f"HTTPS://user:{SECRET}@host/a.txt",
    f"https://host/a.txt?token={SECRET}",
    f"https://host/a.txt?a=1&X-Amz-Signature={SECRET}",
    f"https://host/a.txt?access_token={SECRET}#x",
    f"ftp://user:{SECRET}@host/a.txt",
]


@pytest.mark.parametrize("url", URLS)
def test_corpus_url_with_a_secret_is_refused_without_repeating_it(project: Path, url: str) -> None:
    with pytest.raises(UsageError, match="netrc") as refused:
        resolve_corpus(load_config().config, url)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("url", URLS)
def test_project_file_with_a_secret_is_refused_without_repeating_it(project: Path, url: str) -> None:
    (project / "pipelines.toml").write_text(f"[corpora.x]\nsources = [{url!r}]\n")
    with pytest.raises(UsageError, match="netrc") as refused:
        load_config()
    assert SECRET not in str(refused.value)


def test_tracking_uri_with_a_password_is_refused_without_repeating_it(project: Path) -> None:
    with pytest.raises(UsageError, match="MLFLOW_TRACKING_PASSWORD") as refused:
        load_config(settings={"tracking.uri": f"https://user:{SECRET}@host"})
    assert SECRET not in str(refused.value)


def test_ordinary_urls_hold_no_secret() -> None:
    for url in ("https://host/a.txt?page=2&lang=de", "/home/a@b/c.txt", "mail@host", "apt:linux-source-*"):
        assert find_secret(url) is None
        assert redact(url) == url


@given(
    st.text(st.characters(exclude_characters="/?#@'\"<> \t\r\n", exclude_categories=("C", "Z")), min_size=8)
)
def test_redacted_text_lacks_any_password(password: str) -> None:
    assert password not in redact(f"cannot open https://user:{password}@host/file?x=1: refused")


@pytest.mark.parametrize(
    "password", ["pa/ss", "p@ss", "pa?ss", "pa#ss", "pa ss", "'pa\"ss", "pa%2Fss", "pä:ss"]
)
def test_password_with_special_characters_is_refused_too(project: Path, password: str) -> None:
    with pytest.raises(UsageError, match="netrc") as refused:
        resolve_corpus(load_config().config, f"https://user:{password}@host/a.txt")
    assert password not in str(refused.value)
    (project / "pipelines.toml").write_text(
        f"[corpora.x]\nsources = ['''https://user:{password}@host/a.txt''']\n"
    )
    with pytest.raises(UsageError, match="netrc") as refused:
        load_config()
    assert password not in str(refused.value)
