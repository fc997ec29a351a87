"""YAML nodes into the shapes of a scenario, by their type hints alone.

Every mistake is noted with its position, and decoding goes on.
"""

import types
from dataclasses import dataclass, field, is_dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml

from cli.bundle.assets import asset_digits, currency_digits
from cli.bundle.decode import Decoder, join_path
from cli.bundle.names import did_you_mean, enum_prefix, enum_values
from cli.bundle.problems import Position
from cli.bundle.program import Bundle, load
from cli.bundle.scalars import WrongValueError
from cli.bundle.source import NULL, kind_of, position_of
from cli.plan_check import check_plan
from cli.scenario.hints import hints_of, required_fields, split_marks
from cli.scenario.scalars import read_moment, read_scalar
from cli.scenario.shapes.marks import (
    ASSET,
    CONTEST,
    RULE,
    AnyName,
    InAsset,
    InAssetOf,
    InCurrency,
    InKey,
    KnownName,
    NewName,
    OneOf,
    ProgramFile,
)

_WRONG = object()
"""A stand-in for a value whose mistake is noted."""


@dataclass(slots=True)
class ShapeDecoder:
    """Decodes one scenario file."""

    folder: Path
    """The folder in which program files are looked for."""
    program: Bundle
    decoder: Decoder = field(default_factory=Decoder)
    known: dict[str, dict[str, Position]] = field(default_factory=dict)
    """Names by kind, with where they were made."""
    digits: dict[str, int] = field(default_factory=dict)
    """The decimal places of each asset and currency."""
    assets_of: dict[str, str] = field(default_factory=dict)
    """The asset of each redemption and the like, by its name."""
    applied: dict[str, Bundle] = field(default_factory=dict)
    """Other program files that the scenario applies, by their name in it."""

    def __post_init__(self) -> None:
        currency = self.program.program.currency_code
        self.digits[currency] = currency_digits(currency)
        self._learn(self.program)

    def value(self, node: yaml.Node, hint: Any, path: str, key: str = "") -> Any:
        """The value of a node; _WRONG with the mistake noted. `key` is the name under which it stands in a mapping."""
        self.decoder.positions.setdefault(path, position_of(node))
        base, marks = split_marks(hint)
        if get_origin(base) in (Union, types.UnionType):
            return self._choice(node, get_args(base), path, key, marks)
        if is_dataclass(base) and isinstance(base, type):
            return self._shape(node, base, path, key)
        if get_origin(base) is dict:
            key_hint, value_hint = get_args(base)
            return self._mapping(node, key_hint, value_hint, path)
        if get_origin(base) is tuple:
            return self._list(node, get_args(base)[0], path)
        try:
            made = read_scalar(node, base)
            self._hold_against(marks, made, node)
        except WrongValueError as error:
            self.decoder.note(node, path, str(error))
            return _WRONG
        return made

    def _choice(self, node: yaml.Node, options: tuple[Any, ...], path: str, key: str, marks: tuple[Any, ...]) -> Any:
        wanted = [each for each in options if each is not type(None)]
        if set(wanted) == {timedelta, datetime}:
            try:
                return read_moment(node)
            except WrongValueError as error:
                self.decoder.note(node, path, str(error))
                return _WRONG
        for each in wanted[:-1]:
            if get_origin(each) is Literal and isinstance(node, yaml.ScalarNode) and node.value in get_args(each):
                return node.value
        hint = wanted[-1]
        for mark in marks:
            hint = Annotated[hint, mark]
        return self.value(node, hint, path, key)

    def _shape(self, node: yaml.Node, shape: type, path: str, key: str) -> Any:
        hints = hints_of(shape)
        short = getattr(shape, "SHORT", "")
        given: dict[str, Any] = {}
        nodes: dict[str, yaml.Node] = {}
        if short and isinstance(node, yaml.ScalarNode) and node.tag != NULL:
            nodes[short] = node
            given[short] = self.value(node, hints[short], path)
        elif not isinstance(node, yaml.MappingNode):
            empty = " (an empty one is written {})" if kind_of(node) == "nothing" else ""
            self.decoder.note(node, path, f"expected a mapping{empty}, found {kind_of(node)}")
            return _WRONG
        else:
            for name, key_node, value_node in self.decoder.entries(node, path):
                here = join_path(path, name)
                if name not in hints:
                    self.decoder.note(key_node, here, f"unknown field{did_you_mean(name, hints)}")
                    continue
                self.decoder.positions[here] = position_of(key_node)
                nodes[name] = value_node
                given[name] = self.value(value_node, hints[name], here)
        missing = [name for name in required_fields(shape) if name not in given]
        for name in missing:
            self.decoder.note(node, join_path(path, name), "is missing")
        if "id" in given and "asset" in given:
            self.assets_of[given["id"]] = given["asset"]
        self._check_amounts(shape, given, nodes, path, key)
        # A shape with mistakes makes its names too, so that what refers to it is not told for another mistake.
        for made_kind, name in getattr(shape, "new_names", _nothing)(key, given):
            self.known.setdefault(made_kind, {}).setdefault(name, position_of(node))
        if missing or any(each is _WRONG for each in given.values()):
            return _WRONG
        return shape(**given)

    def _mapping(self, node: yaml.Node, key_hint: Any, value_hint: Any, path: str) -> Any:
        if not isinstance(node, yaml.MappingNode):
            self.decoder.note(node, path, f"expected a mapping, found {kind_of(node)}")
            return _WRONG
        made, wrong = {}, False
        for name, key_node, value_node in self.decoder.entries(node, path):
            here = f"{path}[{name}]"
            key = self.value(key_node, key_hint, here)
            value = self.value(value_node, value_hint, here, name)
            if not wrong and isinstance(value, Decimal):
                self._check_decimals(value_node, value, split_marks(value_hint)[1], {}, name, here)
            wrong = wrong or key is _WRONG or value is _WRONG
            made[name] = value
        return _WRONG if wrong else made

    def _list(self, node: yaml.Node, hint: Any, path: str) -> Any:
        if not isinstance(node, yaml.SequenceNode):
            self.decoder.note(node, path, f"expected a list, found {kind_of(node)}")
            return _WRONG
        items = [self.value(item, hint, f"{path}[{index}]") for index, item in enumerate(node.value)]
        return _WRONG if any(each is _WRONG for each in items) else tuple(items)

    def _hold_against(self, marks: tuple[Any, ...], text: Any, node: yaml.Node) -> None:
        for mark in marks:
            if isinstance(mark, KnownName) and text:
                self._require(mark.kind, text)
            elif isinstance(mark, (NewName, AnyName)):
                names = self.known.setdefault(mark.kind, {})
                if isinstance(mark, NewName) and text in names:
                    raise WrongValueError(f"there is a {mark.kind} {text} already, on line {names[text].line}")
                if not text:
                    raise WrongValueError("must not be empty")
                names.setdefault(text, position_of(node))
            elif isinstance(mark, OneOf) and text.upper() not in enum_values(mark.enum):
                prefix = enum_prefix(mark.enum)
                offered = [each.name.removeprefix(prefix) for each in mark.enum.values if each.number]
                raise WrongValueError(f'"{text}" is not one of {", ".join(offered)}')
            elif isinstance(mark, ProgramFile):
                self._load(text)

    def _require(self, wanted: str, name: str) -> None:
        names = self.known.get(wanted, {})
        if name not in names:
            if wanted in (ASSET, CONTEST, RULE):
                raise WrongValueError(f"the plan has no {wanted} {name}{did_you_mean(name, names)}")
            raise WrongValueError(f"there is no {wanted} {name} so far{did_you_mean(name, names)}")

    def _load(self, name: str) -> None:
        if self.folder / name == Path(self.program.file):
            return
        try:
            self.applied[name] = load_sound_program(self.folder / name)
        except OSError as error:
            raise WrongValueError(f"{self.folder / name}: {error.strerror}") from error
        self._learn(self.applied[name])

    def _learn(self, bundle: Bundle) -> None:
        for each in bundle.plan.assets if bundle.plan else ():
            self.digits[each.code] = asset_digits(each, bundle.program.currency_code)
            self.known.setdefault(ASSET, {}).setdefault(each.code, Position(1, 1))
        for contest in bundle.plan.contests if bundle.plan else ():
            self.known.setdefault(CONTEST, {}).setdefault(contest.contest_id, Position(1, 1))
        for rule in bundle.plan.rules if bundle.plan else ():
            self.known.setdefault(RULE, {}).setdefault(rule.rule_id, Position(1, 1))

    def _check_amounts(
        self, shape: type, given: dict[str, Any], nodes: dict[str, yaml.Node], path: str, key: str
    ) -> None:
        for name, value in given.items():
            if isinstance(value, Decimal):
                marks = split_marks(hints_of(shape)[name])[1]
                self._check_decimals(nodes[name], value, marks, given, key, join_path(path, name))

    def _check_decimals(
        self, node: yaml.Node, value: Decimal, marks: tuple[Any, ...], beside: dict[str, Any], key: str, path: str
    ) -> None:
        """Notes an amount that is finer than its asset's smallest unit."""
        for mark in marks:
            if isinstance(mark, InCurrency):
                asset = self.program.program.currency_code
            elif isinstance(mark, InKey):
                asset = key
            elif isinstance(mark, InAsset):
                asset = beside.get(mark.field) or self.only_asset()
            elif isinstance(mark, InAssetOf):
                asset = self.assets_of.get(beside.get(mark.field, key), "")
            else:
                continue
            if asset in self.digits and -int(value.as_tuple().exponent) > self.digits[asset]:
                wanted = f"{self.digits[asset]} decimal place{'s' * (self.digits[asset] != 1)}"
                self.decoder.note(node, path, f"{asset} has {wanted}, {value} has more")

    def only_asset(self) -> str:
        """The plan's asset where it has one only; empty otherwise."""
        if self.program.plan is None or len(self.program.plan.assets) != 1:
            return ""
        return str(self.program.plan.assets[0].code)


def load_sound_program(file: Path) -> Bundle:
    """A program file whose plan the services would take. Raises BundleError with every mistake in it, OSError if it
    cannot be read."""
    bundle = load(file)
    check_plan(bundle)
    return bundle


def _nothing(_key: str, _given: dict[str, Any]) -> list[tuple[str, str]]:
    return []
