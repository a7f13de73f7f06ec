"""docs/operation.md lists every refusal and every step down as the code has them."""

import re
from pathlib import Path

from edge_agent.control import modes, order_rules
from edge_agent.control.modes import Mode
from edge_agent.control.step_down import RULES, UNIT_OUT_S, UNPROVEN_MAX, Cause
from edge_agent.texts.catalogue import TEXTS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "operation.md"


def between(name: str) -> list[str]:
    """The rows of the table between two marks of the page."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(rf"<!-- {name}: begin -->\n(.*)<!-- {name}: end -->", text, re.DOTALL)
    assert found is not None
    return found[1].splitlines()[2:]


def refusal_rows() -> list[str]:
    """Code and words of every refusal that mode, override and release can give."""
    sources = [Path(module.__file__ or "").read_text(encoding="utf-8") for module in (modes, order_rules)]
    folder = Path(modes.__file__).parent
    sources += [(folder / name).read_text(encoding="utf-8") for name in ("operation.py", "order_form.py")]
    codes = dict.fromkeys(code for source in sources for code in re.findall(r'Refusal\(\s*"(\w+)"', source))
    return [f"| `{code}` | {TEXTS[code].zh} | {TEXTS[code].en} |" for code in codes]


def minutes(seconds: float | None) -> str:
    return "人 person" if seconds is None else "–" if not seconds else f"{seconds / 60:.0f} min"


def step_rows() -> list[str]:
    """Each cause, what it leads to, and when control comes back."""
    rows = []
    for cause in Cause:
        rule, words = RULES[cause], TEXTS[cause]
        to = "不按计划 without the plan" if rule.mode is Mode.AUTO else f"`{rule.mode}`"
        plant = (
            "照常供热,不蓄热 heat goes on, nothing is charged"
            if rule.mode is Mode.AUTO
            else "机组由自己的面板运行 units run by their own panels"
        )
        after, back = minutes(rule.after_s), minutes(rule.back_after_s)
        rows.append(f"| {words.zh} / {words.en} | {to} | {after} | {back} | {plant} |")
    return rows


def test_refusals() -> None:
    rows = refusal_rows()
    assert len(rows) > 18  # the search itself works
    assert between("refusals") == rows


def test_steps_down() -> None:
    *sites, unit = between("steps")
    assert sites == step_rows()
    assert f" {UNPROVEN_MAX} 次" in unit
    assert f" {UNIT_OUT_S / 60:.0f} min,{2 * UNIT_OUT_S / 60:.0f} min," in unit
