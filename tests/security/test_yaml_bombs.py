"""YAML that exhausts its reader, or becomes something else than plain data, is refused at once and in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.config.yaml_source import read_yaml
from mlops_assets.domain.errors import ConfigError
from mlops_assets.domain.feeds.contract import Geography

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 24))
BOMBS = {
    "deep list": ("a: " + "[" * 3000 + "]" * 3000, "nested too deeply"),
    "deep mapping": ("a: " + "{b: " * 3000 + "1" + "}" * 3000, "nested too deeply"),
    "deep indentation": ("\n".join(" " * d + f"k{d}:" for d in range(1000)), "nested too deeply"),
    "alias of itself": ("a: &a [*a]", "nested too deeply"),
    "a million laughs": (LAUGHS, "more than 20000 values"),
    "many values": ("a: [" + "1," * 30_000 + "]", "more than 20000 values"),
    "tag that runs code": ("a: !!python/object/apply:os.system [ls]", "tag .*python/object/apply"),
    "tag on a mapping": ("a: !!python/object:os.environ {b: 1}", "tag .* is not accepted"),
    "tag without value": ("a: !!int ''", "tag .* is not accepted"),
    "merge key": ("a: &a {b: 1}\nc:\n  <<: *a", "merge key `<<` is not accepted"),
    "key that is a list": ("? [a, b]\n: 1", "key is a list or a mapping"),
    "number without end": ("a: 0x" + "f" * 20_000, "number is too large"),
    "nul": ('a: "x\\0y"', "NUL or half a character"),
    "half a character": ('a: "\\ud800"', "NUL or half a character"),
    "half a character in a key": ('"\\udfff": 1', "NUL or half a character"),
    "key twice": ("a: 1\na: 2", "given twice"),
    "no such day": ("a: 2026-99-99", "cannot be read"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused(name: str, tmp_path: Path) -> None:
    text, message = BOMBS[name]
    path = tmp_path / "bomb.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_yaml(path)


def test_a_folder_or_a_broken_link_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "link.yaml").symlink_to(tmp_path / "nowhere")
    for name in ("folder.yaml", "link.yaml"):
        with pytest.raises(ConfigError, match="cannot be read"):
            read_yaml(tmp_path / name)


@pytest.mark.parametrize(
    "zone", ["America", "Europe", "x" * 5000, "../../etc/passwd", "/etc/localtime", "a\0b", ""]
)
def test_a_time_zone_is_a_name_and_no_path(zone: str) -> None:
    with pytest.raises(ValueError, match="unknown time zone"):
        Geography(code="cl", name="Chile", timezone=zone, currency="CLP", usd_per_unit=0.001)
