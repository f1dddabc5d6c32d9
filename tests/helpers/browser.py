"""Opening a page without a network, for the tests of pages."""

from __future__ import annotations


def offline_page(browser, address: str, **context) -> tuple:
    """Open a page without a network; return it and the list that its scripts' errors go to."""
    page = browser.new_context(offline=True, **context).new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(address)
    return page, faults
