"""Read JSON with the type and range of every field checked; anything invalid is a ``ValueError``."""

import re
from collections.abc import Callable
from typing import Any

HEX64 = "[0-9a-f]{64}"


def unique_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For ``json.loads``: an object whose fields differ in name."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a field occurs twice")
    return dict(pairs)


class Fields:
    """The fields of one JSON object, each to be taken once with its type and range."""

    def __init__(self, fields: Any, where: str):
        if not isinstance(fields, dict):
            raise ValueError(f"{where} is not an object")
        self._fields, self._where = dict(fields), where

    def _take(self, name: str, fits: Callable[[Any], bool]) -> Any:
        if name not in self._fields:
            raise ValueError(f"{self._where} has no {name}")
        value = self._fields.pop(name)
        if not fits(value):
            raise ValueError(f"{self._where}: {name} is {str(value)[:60]!r}")
        return value

    def __contains__(self, name: str) -> bool:
        """Whether a field that may be left out is there."""
        return name in self._fields

    def number(self, name: str, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``."""
        number: int = self._take(name, lambda value: type(value) is int and low <= value <= high)
        return number

    def flag(self, name: str) -> bool:
        """True or false."""
        flag: bool = self._take(name, lambda value: type(value) is bool)
        return flag

    def text(self, name: str, pattern: str = r".{0,4096}") -> str:
        """Text that fits the pattern."""
        matches = re.compile(pattern, re.DOTALL).fullmatch
        text: str = self._take(name, lambda value: isinstance(value, str) and matches(value) is not None)
        return text

    def items(self, name: str, most: int) -> list[Any]:
        """A list of at most ``most`` items."""
        items: list[Any] = self._take(name, lambda value: isinstance(value, list) and len(value) <= most)
        return items

    def inner(self, name: str) -> "Fields":
        """An object."""
        return Fields(self._take(name, lambda value: isinstance(value, dict)), name)

    def optional(self, name: str) -> "Fields | None":
        """An object, or null."""
        fields = self.object(name)
        return None if fields is None else Fields(fields, name)

    def text_or_none(self, name: str, pattern: str) -> str | None:
        """Text that fits the pattern, or null."""
        if self._fields.get(name, "") is None:
            return self._take(name, lambda value: value is None)  # type: ignore[no-any-return]
        return self.text(name, pattern)

    def object(self, name: str) -> dict[str, Any] | None:
        """An object, as it is, or null."""
        fields: dict[str, Any] | None = self._take(name, lambda value: value is None or isinstance(value, dict))
        return fields

    def done(self) -> None:
        """Refuse fields that were not taken."""
        if self._fields:
            raise ValueError(f"{self._where} has fields of no meaning: {sorted(self._fields)[:5]}")
