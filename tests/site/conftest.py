"""A browser, and the site over http and from its folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from companion.publish.browser import BROWSER, NO_BROWSER, served
from site_pages import SITE


@pytest.fixture(scope="module")
def bases() -> Iterator[dict[str, str]]:
    with served(SITE) as address:
        yield {"http": address, "file": SITE.as_uri() + "/"}


@pytest.fixture(scope="session")
def browser() -> Iterator:
    if BROWSER is None:
        pytest.skip(NO_BROWSER)
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()
