"""Files of settings: read as they are meant, or refused with name, line and reason."""

import re
import time

import pytest

from odinn.errors import InputError
from odinn.text import DEEPEST, LARGEST, parse_yaml, read_json, read_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def written(tmp_path, content, name="c.yaml"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_settings_are_words_numbers_dates_lists_and_sections(tmp_path):
    text = "a: {A: 4e-17, n: 3, name: é}\nsame: &s [1, 2.5]\nagain: *s\nb: {<<: {k: 1}, k: 2}\n"
    for encoding in ("utf-8", "utf-8-sig"):
        assert read_yaml(written(tmp_path, text.encode(encoding))) == {
            "a": {"A": 4e-17, "n": 3, "name": "é"},
            "same": [1, 2.5],
            "again": [1, 2.5],
            "b": {"k": 2},
        }
    assert read_yaml(written(tmp_path, "")) == {}
    assert read_json(written(tmp_path, '{"a": {"b": [1, 2.5]}}')) == {"a": {"b": [1, 2.5]}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB, "aliases .* stand for more than"),
        ("a: &a {b: *a}", "holds itself"),
        ("a: " + "[" * 3000 + "]" * 3000, "one inside the other"),
        ("a:\n" + "\n".join(" " * k + "a:" for k in range(1, 400)), "one inside the other"),
        ("- " * 3000 + "x", "one inside the other"),
        ("{a: " * 3000, "one inside the other"),
        ("a: &a " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 30 + "*a" + "]" * 30, "one inside"),
        ("name: Gébroulaz".encode("latin-1"), "not UTF-8 text .byte 0xe9 in line 1"),
        ("a: 1".encode("utf-16"), "not UTF-8 text"),
        ("a: 1".encode("utf-16-le"), "NUL bytes"),
        (b"a: 1\n\x00", "NUL bytes"),
        ("a: \x07", "not valid YAML"),
        ("a: 1\nb: 2\na: 3", "line 3, column 1: the key 'a' is there twice .first in line 1"),
        ("1: x", "the key '1' is read as a int"),
        ("yes: x", "the key 'yes' is read as a bool"),
        ("? [a, b]\n: x", "a list or a section where a key"),
        ("a: 2000-13-41", "'2000-13-41' is no timestamp"),
        ("a: !!bool maybe", "'maybe' is no bool"),
        ("a: " + "1" * 5000, "too long for a number"),
        ("a: " + ":".join(["1"] * 50_000), "too long for a number"),
        ("a: !!set {x}", "could not determine a constructor"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: b: c", "line 1, column 5: mapping values are not allowed"),
        ("a: [1", "line 1"),
        ("--- {}\n--- {}", "expected a single document"),
        ("a: *b", "undefined alias"),
        ("[1, 2]", "expected sections or keys, .*found list"),
        ("words", "found str"),
        (b" " * (LARGEST["YAML"] + 1), "larger than 1 MB"),
    ],
)
def test_a_yaml_file_that_is_no_settings_is_named_within_a_second(tmp_path, content, message):
    path = written(tmp_path, content)
    began = time.process_time()
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: .*{message}") as caught:
        read_yaml(path)
    assert time.process_time() - began < 5.0, "seconds are hours for what grows as a power"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": ' + "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1) + "}", "one inside the other"),
        ("[" * 100_000, "one inside the other|not valid JSON"),
        ('{"a": 1, "a": 2}', "the key 'a' is there twice"),
        (b'{"a": 1', "not valid JSON"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        ('{"a": ' + "1" * 5000 + "}", "not valid JSON"),
        ("[1]", "found list"),
    ],
)
def test_a_json_file_that_is_no_settings_is_named(tmp_path, content, message):
    path = written(tmp_path, content, "c.json")
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: .*({message})"):
        read_json(path)


def test_a_folder_and_a_missing_file_are_no_settings(tmp_path):
    with pytest.raises(InputError, match="cannot be read .Is a directory"):
        read_yaml(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_json(tmp_path / "none.json")


def test_a_value_alone_is_named_by_its_place():
    assert parse_yaml("[1, 2e3]", "-s a=[1, 2e3]") == [1, 2e3]
    with pytest.raises(InputError, match=r"^-s a=\[: not valid YAML \(line 1"):
        parse_yaml("[", "-s a=[")
