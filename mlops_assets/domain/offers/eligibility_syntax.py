"""Eligibility rules as people write them in YAML, read by a grammar of our own.

    status = 'active' and days_to_expiry between 0 and 7
    region in ('north', 'south') and not (n_offers > 2 or is_4g_capable = 0)

    rule       = all { "or" all }
    all        = negation { "and" negation }
    negation   = "not" negation | "(" rule ")" | condition
    condition  = column ("=" | "!=" | "<" | "<=" | ">" | ">=") (literal | column)
               | column ["not"] "in" "(" literal { "," literal } ")"
               | column ["not"] "between" literal "and" literal
    literal    = number | string;    number = 12, -3, 0.25;    string = 'text', with '' for a quote

Nothing else is a rule: no call, no arithmetic, no attribute; nothing is ever evaluated as code. Length, depth and the
number of conditions are limited, so that no text can exhaust the parser.

Belongs here: text to syntax tree. Does not belong here: which columns there are and their types
(eligibility_check.py), or the engine's expression (eligibility.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mlops_assets.domain.errors import ConfigError

MAX_LENGTH, MAX_DEPTH, MAX_CONDITIONS, MAX_LIST = 1_000, 10, 50, 100
COMPARISONS = ("=", "!=", "<=", ">=", "<", ">")
_KEYWORDS = {"and", "or", "not", "in", "between"}
_TOKEN = re.compile(
    r"(?P<number>-?[0-9]{1,15}(?:\.[0-9]{1,15})?(?![\w.]))"
    r"|(?P<string>'(?:[^'\x00-\x1f]|'')*')"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign><=|>=|!=|=|<|>|\(|\)|,)"
    r"|(?P<space>[ \t\r\n]+)",
    re.ASCII,
)
Literal = int | float | str


class RuleSyntaxError(ConfigError):
    """A rule is not one; `position` counts characters from 1."""

    def __init__(self, what: str, rule: str, position: int, *, expected: str, remedy: str = "") -> None:
        self.position = position
        shown = rule[max(position - 21, 0) : position + 19].replace("\n", " ")
        super().__init__(
            what,
            where=f"character {position} of the rule, near {shown!r}",
            expected=expected,
            remedy=remedy or "correct the rule in the offer catalogue",
        )


@dataclass(frozen=True)
class Column:
    """A column by name; `position` is where the rule names it."""

    name: str
    position: int


@dataclass(frozen=True)
class Comparison:
    """Column, one of COMPARISONS, and what it is compared with."""

    column: Column
    sign: str
    other: Literal | Column


@dataclass(frozen=True)
class Membership:
    """Column is (or is not) among some values."""

    column: Column
    values: tuple[Literal, ...]
    is_negated: bool


@dataclass(frozen=True)
class Between:
    """Column is (or is not) within two ends, both included."""

    column: Column
    low: Literal
    high: Literal
    is_negated: bool


@dataclass(frozen=True)
class Negation:
    """The part does not hold."""

    part: Rule


@dataclass(frozen=True)
class Junction:
    """All parts hold, or any of them."""

    is_all: bool
    parts: tuple[Rule, ...]


Condition = Comparison | Membership | Between
Rule = Condition | Negation | Junction


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    position: int


def parse_rule(rule: str) -> Rule:
    """Return the syntax tree of a rule.

    Raises:
        RuleSyntaxError: the text is not a rule, too long, too deep, or has too many conditions.
    """
    if len(rule) > MAX_LENGTH:
        raise RuleSyntaxError(
            f"a rule has {len(rule)} characters", rule, MAX_LENGTH, expected=f"at most {MAX_LENGTH}"
        )
    parser = _Parser(rule)
    tree = parser.junction(0)
    parser.expect_end()
    return tree


def list_conditions(rule: Rule) -> Iterator[Condition]:
    """Yield the conditions of a rule, from left to right."""
    if isinstance(rule, Junction):
        for part in rule.parts:
            yield from list_conditions(part)
    elif isinstance(rule, Negation):
        yield from list_conditions(rule.part)
    else:
        yield rule


def list_columns(rule: Rule) -> Iterator[Column]:
    """Yield the columns that a rule names, from left to right."""
    for condition in list_conditions(rule):
        yield condition.column
        if isinstance(condition, Comparison) and isinstance(condition.other, Column):
            yield condition.other


def _tokens(rule: str) -> Iterator[_Token]:
    at = 0
    while at < len(rule):
        found = _TOKEN.match(rule, at)
        if not found or found.lastgroup is None:
            raise RuleSyntaxError(
                f"{rule[at]!r} has no meaning here",
                rule,
                at + 1,
                expected="a column, a number, a 'string', a comparison, and, or, not, in, between",
                remedy="close strings with ', write numbers without exponent, and compare with a single =",
            )
        if found.lastgroup != "space":
            yield _Token(found.lastgroup, found.group(), at + 1)
        at = found.end()
    yield _Token("end", "the end of the rule", len(rule) + 1)


class _Parser:
    """Recursive descent; the depth of the text bounds that of the calls."""

    def __init__(self, rule: str) -> None:
        self._rule, self._tokens, self._at, self._conditions = rule, list(_tokens(rule)), 0, 0

    def junction(self, depth: int) -> Rule:
        """Read parts joined by `or`, each of parts joined by `and`."""
        return self._joined("or", depth)

    def expect_end(self) -> None:
        """Refuse what follows a whole rule."""
        if self._next.kind != "end":
            raise self._refuse("and, or, or the end of the rule")

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _joined(self, word: str, depth: int) -> Rule:
        parts = [self._part(word, depth)]
        while self._take_word(word):
            parts.append(self._part(word, depth))
        return parts[0] if len(parts) == 1 else Junction(word == "and", tuple(parts))

    def _part(self, word: str, depth: int) -> Rule:
        return self._joined("and", depth) if word == "or" else self._negation(depth)

    def _negation(self, depth: int) -> Rule:
        if depth >= MAX_DEPTH:
            raise self._refuse(f"at most {MAX_DEPTH} nested parentheses and negations")
        if self._take_word("not"):
            return Negation(self._negation(depth + 1))
        if self._take_sign("("):
            inner = self.junction(depth + 1)
            self._require_sign(")")
            return inner
        return self._condition()

    def _condition(self) -> Condition:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise self._refuse(f"at most {MAX_CONDITIONS} conditions")
        column = self._column()
        is_negated = self._take_word("not")
        if self._take_word("in"):
            return Membership(column, self._values(), is_negated)
        if self._take_word("between"):
            low = self._literal()
            if not self._take_word("and"):
                raise self._refuse("and, with the upper end")
            return Between(column, low, self._literal(), is_negated)
        if is_negated or self._next.text not in COMPARISONS:
            raise self._refuse("in or between" if is_negated else "a comparison, in, or between")
        sign = self._take().text
        return Comparison(column, sign, self._column() if self._is_column() else self._literal())

    def _values(self) -> tuple[Literal, ...]:
        self._require_sign("(")
        values = [self._literal()]
        while self._take_sign(","):
            if len(values) >= MAX_LIST:
                raise self._refuse(f"at most {MAX_LIST} values")
            values.append(self._literal())
        self._require_sign(")")
        return tuple(values)

    def _is_column(self) -> bool:
        return self._next.kind == "word" and self._next.text.lower() not in _KEYWORDS

    def _column(self) -> Column:
        if not self._is_column():
            raise self._refuse("a column")
        token = self._take()
        return Column(token.text, token.position)

    def _literal(self) -> Literal:
        token = self._next
        if token.kind not in ("number", "string"):
            raise self._refuse("a number or a 'string'")
        self._take()
        if token.kind == "string":
            return token.text[1:-1].replace("''", "'")
        return float(token.text) if "." in token.text else int(token.text)

    def _take(self) -> _Token:
        token = self._next
        self._at += 1
        return token

    def _take_word(self, word: str) -> bool:
        is_it = self._next.kind == "word" and self._next.text.lower() == word
        self._at += is_it
        return is_it

    def _take_sign(self, sign: str) -> bool:
        is_it = self._next.kind == "sign" and self._next.text == sign
        self._at += is_it
        return is_it

    def _require_sign(self, sign: str) -> None:
        if not self._take_sign(sign):
            raise self._refuse(sign)

    def _refuse(self, expected: str) -> RuleSyntaxError:
        found = self._next.text if self._next.kind == "end" else repr(self._next.text)
        return RuleSyntaxError(
            f"a rule cannot go on with {found}", self._rule, self._next.position, expected=expected
        )
