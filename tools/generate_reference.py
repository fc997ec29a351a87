"""Writes the tables of settings and metrics and the help texts in docs/reference, from the code itself.

The pages are text by people with generated parts between two comments; `--check` finds parts that are stale.
"""

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import typer
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from typer.testing import CliRunner

from chassis.settings import ServiceSettings
from cli.__main__ import app
from services.attribution.settings import AttributionSettings, LinkSettings, RedirectSettings
from services.notify.settings import NotifySettings
from services.rewards.settings import RewardsSettings

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
PAGES = (REFERENCE / "settings.md", REFERENCE / "command-line.md", REFERENCE / "metrics.md")
SETTINGS: dict[str, type[ServiceSettings]] = {
    "settings of every service": ServiceSettings,
    "settings of links": LinkSettings,
    "settings of attribution": AttributionSettings,
    "settings of the redirect": RedirectSettings,
    "settings of rewards": RewardsSettings,
    "settings of notify": NotifySettings,
}
PROCESSES = tuple(
    import_module(f"services.{name}")
    for name in ("attribution.__main__", "attribution.redirect_main", "rewards.__main__", "notify.__main__")
)
"""Whatever a process has of metrics is there once its composition root is imported."""
UNITS = {"seconds": "seconds", "bytes": "bytes"}
"""The units that names end with, before `_total`; all others count."""
COLUMNS = 100
"""How wide help texts are: lines of code in pages of docs are read without scrolling."""
PART = re.compile(r"(<!-- generated: (.+?) -->\n).*?(<!-- end -->\n)", re.DOTALL)


def meanings(settings: type[ServiceSettings]) -> dict[str, str]:
    """The docstring below each field of the class itself, on one line."""
    body = ast.parse(textwrap.dedent(inspect.getsource(settings))).body[0]
    assert isinstance(body, ast.ClassDef)
    told = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as text)):
                told[name] = " ".join(text.split())
    return told


def shown_default(field: FieldInfo) -> str:
    """The default as somebody would write it into an environment; empty for none."""
    if field.is_required():
        return "required"
    value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    if value in (None, ""):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def settings_table(settings: type[ServiceSettings]) -> str:
    """A row for each variable that the class adds, in the order of the class."""
    told = meanings(settings)
    own = [name for name in settings.model_fields if name in inspect.get_annotations(settings)]
    missing = [name for name in own if name not in told]
    if missing:
        raise SystemExit(f"{settings.__name__}: no docstring below {', '.join(missing)}")
    rows = [
        f"| `UPLINE_{name.upper()}` | {shown_default(settings.model_fields[name])} | {told[name]} |" for name in own
    ]
    return "\n".join(["", "| variable | default | meaning |", "|---|---|---|", *rows, "", ""])


def commands(group: typer.main.TyperGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command, groups before their own commands, in the order of `upline --help`."""
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, typer.main.TyperGroup):
            yield from commands(command, (*path, name))


def command_line() -> str:
    """The help text of every command."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.main.TyperGroup)
    runner = CliRunner(env={"NO_COLOR": "1"})
    text = ""
    for path in ((), *commands(group)):
        result = runner.invoke(app, [*path, "--help"], prog_name="upline", terminal_width=COLUMNS)
        if result.exit_code:
            raise SystemExit(f"upline {' '.join(path)} --help: {result.output}")
        body = "\n".join(line.rstrip() for line in result.output.strip().splitlines())
        text += f"\n## {' '.join(('upline', *path))}\n\n```text\n{body}\n```\n"
    return text + "\n"


def metrics() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Name, type, labels and meaning of every metric of Upline's own, by name."""
    found = []
    for collector in REGISTRY._collector_to_names:
        if isinstance(collector, MetricWrapperBase) and collector._name.startswith("upline_"):
            (family,) = collector.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found.append((name, family.type, collector._labelnames, family.documentation))
    yield from sorted(found)


def unit(name: str) -> str:
    """The unit of a metric, by its name."""
    stem = name.removesuffix("_total")
    if name.endswith("_timestamp_seconds"):
        return "seconds since 1970"
    return next((told for ending, told in UNITS.items() if stem.endswith(f"_{ending}")), "")


def metrics_table() -> str:
    """A row for each metric."""
    rows = [
        f"| `{name}` | {kind} | {', '.join(f'`{each}`' for each in labels)} | {unit(name)} | {meaning} |"
        for name, kind, labels, meaning in metrics()
    ]
    return "\n".join(["", "| metric | type | labels | unit | meaning |", "|---|---|---|---|---|", *rows, "", ""])


def part(name: str) -> str:
    """The text that belongs between the comments of that name."""
    if name == "commands":
        return command_line()
    return metrics_table() if name == "metrics" else settings_table(SETTINGS[name])


def main() -> int:
    """Writes the generated parts anew, or checks them with `--check`; the exit status is 1 if a page is stale."""
    stale = []
    for page in PAGES:
        text = page.read_text()
        fresh = PART.sub(lambda found: found[1] + part(found[2]) + found[3], text)
        if fresh == text:
            continue
        stale.append(page)
        if "--check" not in sys.argv:
            page.write_text(fresh)
    if "--check" not in sys.argv:
        return 0
    for page in stale:
        print(f"stale reference: {page.relative_to(ROOT)} (run `make reference`)")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
