"""Text files that hold settings, in YAML or JSON, read with care: a file that is damaged, built to
harm or not what it is taken for is one error within a second.

A file is UTF-8, of one mapping whose keys are words, each there once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError
from yaml.nodes import Node, ScalarNode

from odinn.errors import InputError

Settings = dict[str, Any]

LARGEST: Final = {"YAML": 1_000_000, "JSON": 8_000_000}  # bytes; YAML is read slowly
DEEPEST: Final = 50  # lists and mappings one inside the other
MOST_REPEATED: Final = 10_000  # entries that aliases of YAML stand for
_LONGEST = 100  # characters of a number or a date
_TEXT: Final = "tag:yaml.org,2002:str"
_KINDS: Final = ("null", "bool", "int", "float", "timestamp", "str", "seq", "map")


def read_yaml(path: str | Path) -> Settings:
    """The mapping of a YAML file; {} for an empty one.

    Raises:
        InputError: names the file, and the line of what is wrong: text that is not UTF-8, too
            large, nested too deeply, multiplied by aliases, with a key twice, or no mapping.
    """
    return _mapping(parse_yaml(_read(path, "YAML"), str(path)), path)


def read_json(path: str | Path) -> Settings:
    """The mapping of a JSON file. Errors as for :func:`read_yaml`."""
    text = _read(path, "JSON")
    try:
        value = json.loads(text, object_pairs_hook=_without_twins)
        deep = _is_deep(value)
    except RecursionError:
        deep = True
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error})") from error
    if deep:
        raise InputError(f"{path}: not valid JSON ({_TOO_DEEP})")
    return _mapping(value, path)


def parse_yaml(text: str, place: str) -> Any:
    """The value of a text in YAML.

    Args:
        place: what its errors name: a file, an option.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        raise InputError(f"{place}: {_located(error)}") from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{place}: not valid YAML ({reason})") from None


_TOO_DEEP: Final = f"more than {DEEPEST} lists or sections one inside the other"


class _Loader(yaml.SafeLoader):
    """YAML whose numbers may be written 4e-17, as everywhere else (YAML 1.1 wants 4.0e-17)."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth, self.repeated = 0, 0
        self.spans: dict[Node, tuple[int, int]] = {}  # entries, depth

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """A node and what is in it, if it is neither too deep nor multiplied."""
        mark = self.peek_event().start_mark
        is_alias = self.check_event(yaml.AliasEvent)
        if self.depth >= DEEPEST:
            raise ComposerError(None, None, _TOO_DEEP, mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        if node is None:
            return None
        if is_alias:
            self._count(node, mark)
        else:
            self.spans[node] = self._span(node)
        if self.depth + self.spans[node][1] > DEEPEST:
            raise ComposerError(None, None, _TOO_DEEP, mark)
        return node

    def compose_scalar_node(self, anchor: Any) -> ScalarNode:
        """A word, a number or a date; long ones are no numbers, and slow to read as such."""
        node = super().compose_scalar_node(anchor)
        if node.tag != _TEXT and len(node.value) > _LONGEST:
            problem = f"{node.value[:20]}... is too long for a number"
            raise ComposerError(None, None, problem, node.start_mark)
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """A section whose keys are words, each there once."""
        node = super().compose_mapping_node(anchor)
        seen: dict[str, Node] = {}
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.tag != _TEXT:
                raise ComposerError(None, None, _no_word(key), key.start_mark)
            if key.value in seen:
                first = seen[key.value].start_mark.line + 1
                problem = f"the key {key.value!r} is there twice (first in line {first})"
                raise ComposerError(None, None, problem, key.start_mark)
            seen[key.value] = key
        return node

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        """The value of a node; what looks like a number or a date and is none is an error."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, AttributeError, TypeError, OverflowError) as error:
            what = f"{node.value!r} is no {node.tag.rpartition(':')[2]} ({error})"
            raise ConstructorError(None, None, what, node.start_mark) from error

    def _count(self, node: Node, mark: yaml.Mark) -> None:
        """Count what an alias stands for."""
        if node not in self.spans:
            raise ComposerError(None, None, "a section that holds itself", mark)
        self.repeated += self.spans[node][0]
        if self.repeated > MOST_REPEATED:
            problem = f"aliases (*name) that stand for more than {MOST_REPEATED} entries"
            raise ComposerError(None, None, problem, mark)

    def _span(self, node: Node) -> tuple[int, int]:
        """How many entries a node has, and how deep it is, aliases filled in."""
        inside: list[Node] = []
        if isinstance(node, yaml.SequenceNode):
            inside = node.value
        elif isinstance(node, yaml.MappingNode):
            inside = [part for pair in node.value for part in pair]
        spans = [self.spans[part] for part in inside]
        entries = 1 + sum(count for count, _ in spans)
        return entries, 1 + max((depth for _, depth in spans), default=0)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)
# Settings are words, numbers, dates, lists and sections: no sets, no bytes.
_SAID = {None, *(f"tag:yaml.org,2002:{kind}" for kind in _KINDS)}
_Loader.yaml_constructors = {
    tag: call for tag, call in yaml.SafeLoader.yaml_constructors.items() if tag in _SAID
}


def _read(path: str | Path, kind: str) -> str:
    """The text of a file."""
    largest = LARGEST[kind]
    try:
        with Path(path).open("rb") as file:
            content = file.read(largest + 1)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in a path
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason})") from error
    if len(content) > largest:
        limit = f"{largest / 1e6:g} MB"
        raise InputError(f"{path}: larger than {limit}, which no file of settings is")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        message = f"not UTF-8 text (byte 0x{content[error.start]:02x} in line {line})"
        raise InputError(f"{path}: {message}; save it as UTF-8") from None
    if "\0" in text:
        message = "holds NUL bytes, so it is no UTF-8 text (is it UTF-16, or not text at all?)"
        raise InputError(f"{path}: {message}; save it as UTF-8")
    return text


def _mapping(value: Any, path: str | Path) -> Settings:
    if value is None:
        return {}
    if not isinstance(value, dict):
        found = type(value).__name__
        raise InputError(f"{path}: expected sections or keys, such as name: value, found {found}")
    return value


def _located(error: yaml.MarkedYAMLError) -> str:
    """The error in one line, with its place."""
    mark = error.problem_mark or error.context_mark
    reason = ", ".join(filter(None, (error.context, error.problem)))
    place = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
    return f"not valid YAML ({place}{' '.join(reason.split())})"


def _no_word(key: Node) -> str:
    if not isinstance(key, ScalarNode):
        return "a list or a section where a key is expected"
    kind = key.tag.rpartition(":")[2]
    return f"the key {key.value!r} is read as a {kind}; put it in quotes if it is a name"


def _without_twins(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} is there twice")
        found[key] = value
    return found


def _is_deep(value: Any) -> bool:
    """Whether lists and mappings stand too deep in one another, without recursion."""
    level = [value]
    for _ in range(DEEPEST):
        containers = [entry for entry in level if isinstance(entry, dict | list)]
        if not containers:
            return False
        level = []
        for entry in containers:
            level.extend(entry.values() if isinstance(entry, dict) else entry)
    return any(isinstance(entry, dict | list) for entry in level)
