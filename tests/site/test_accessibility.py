"""axe-core finds nothing serious on any page, in the light theme, in the dark and on a phone."""

from __future__ import annotations

from importlib.resources import files

import pytest

from site_pages import NEEDS_SITE, READ, settle

pytestmark = NEEDS_SITE

# Folds are opened without their animation: axe would measure colours that are half there.
OPEN = "details[open] > * { animation: none !important; } * { transition: none !important; }"
# What a name says and what a reader sees of it: not among axe's usual rules.
RULES = "'label-content-name-mismatch': {enabled: true}"
LIKE = 12  # rows of a long list
LOOK = f"""async phone => {{
  document.querySelectorAll('details').forEach(fold => fold.open = true);
  // The rows of a list, and the cells of a table as printed, come from one template: some suffice.
  for (const list of document.querySelectorAll('table.ledger tbody, .paper-tables tbody')) {{
    [...list.rows].slice({LIKE}).forEach(row => row.remove());
  }}
  const nodes = (found, grave) => found.violations.filter(rule => grave.includes(rule.impact))
    .flatMap(rule => rule.nodes.map(node => `${{rule.id}}: ${{node.html.slice(0, 120)}}`));
  const rules = {{{RULES}, 'color-contrast': {{enabled: !phone}}}};
  const grave = ['serious', 'critical'];
  const seen = nodes(await axe.run({{resultTypes: ['violations'], rules}}), grave);
  if (phone) return seen;  // the colours are those of a laptop
  document.documentElement.dataset.theme = 'dark';
  const dark = nodes(await axe.run({{runOnly: 'color-contrast'}}), grave);
  return [...seen, ...dark.map(fault => `dark, ${{fault}}`)];
}}"""


def faults(page, *, phone: bool = False) -> list[str]:
    """Return what axe-core calls serious or critical; on a laptop in the dark too."""
    page.add_style_tag(content=OPEN)
    axe = pytest.importorskip("axe_playwright_python")
    page.evaluate((files(axe) / "axe.min.js").read_text("utf-8"))
    return page.evaluate(LOOK, phone)


@pytest.mark.parametrize(
    ("width", "name"), [(width, name) for name in READ for width in (1440, 390)]
)
def test_axe_finds_nothing_serious(browser, bases: dict[str, str], width: int, name: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="light")
    try:
        page.goto(bases["file"] + name, wait_until="load")
        settle(page)
        assert faults(page, phone=width < 600) == []
    finally:
        page.close()


def test_axe_sees_a_mutant(browser) -> None:
    """A picture without a description, a faint text in each theme, and a name that misleads."""
    page = browser.new_page()
    try:
        page.set_content(
            "<html lang=en><title>t</title><style>.a { color: #bbb; background: #fff }"
            "[data-theme=dark] .b { color: #333; background: #111 }</style><main><h1>h</h1>"
            "<img src='data:,'><p class=a>faint</p><p class=b>dark</p>"
            "<button aria-label='Toggle'>Show the code</button></main></html>"
        )
        found = {fault.rpartition(": ")[0] for fault in faults(page)}
    finally:
        page.close()
    rules = {"image-alt", "color-contrast", "label-content-name-mismatch"}
    assert rules <= found and "dark, color-contrast" in found
