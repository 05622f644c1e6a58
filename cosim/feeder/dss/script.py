"""How OpenDSS cuts a script: lines, block comments, and the tokens of a command.

A scan must see what the engine sees, so this follows the parser of DSS C-API 0.14 in its oddities too:
a token may be quoted by any of `( " ' [ {`, a comment may start in the middle of a word, a quoted word
or one behind a stray `=` is still a command, and a value `@name` is replaced by the variable of that
name before anybody looks at it. Text is bytes read as latin-1, so that no byte is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

_QUOTES: Final = dict(zip("(\"'[{", ")\"']}", strict=True))
_BLANK: Final = " \t"
_DELIMITER: Final = re.compile(r"[,= \t!]|//")
_NOT_BLANK: Final = re.compile(r"[^ \t]")
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_COMMENT: Final = "!"
UTF8_MARK: Final = "\xef\xbb\xbf"
UTF16_MARKS: Final = ("\xff\xfe", "\xfe\xff")


class Parser:
    """Parameters of one command, one after the other, with the variables set so far."""

    def __init__(self, line: str, variables: Mapping[str, str]) -> None:
        self._text = line + " "
        self._pos = 0
        self._last = " "
        self._variables = variables
        self.span = (0, 0)
        """First and end of the last parameter in the line, its name and the delimiter behind it included."""
        self._skip_blank()

    def next(self) -> tuple[str, str]:
        """Name (empty where there is none) and value of the next parameter; both empty at the end."""
        if self._pos >= len(self._text):
            return "", ""
        self._last = " "
        first = self._pos
        name, value = "", self._token()
        if self._last == "=":
            name, value = value, self._token()
        self.span = (first, self._pos)
        return name, self._with_variable(value)

    def rest(self) -> Iterator[tuple[str, str]]:
        """All further parameters, those after an empty one too, where the engine may stop."""
        while self._pos < len(self._text):
            before = self._pos
            yield self.next()
            if self._pos == before:
                return

    @property
    def remainder(self) -> str:
        """What has not been read yet."""
        return self._text[self._pos :]

    def _token(self) -> str:
        text, start, end = self._text, self._pos, len(self._text) - 1
        if start > end:
            return ""
        closing = _QUOTES.get(text[start])
        if closing is not None:
            found = text.find(closing, start + 1, end)
            token = text[start + 1 : end if found < 0 else found]
            self._pos = end if found < 0 else found + 1
        else:
            stop = _DELIMITER.search(text, start, end)
            if stop is not None:
                mark = stop.group()
                self._last = _COMMENT if mark in ("!", "//") else " " if mark in _BLANK else mark
            self._pos = end if stop is None else stop.start()
            token = text[start : self._pos]
        self._step_over_delimiter()
        return token

    def _step_over_delimiter(self) -> None:
        if self._last == _COMMENT:
            self._pos = len(self._text)
            return
        if self._last == " ":
            self._skip_blank()
        if self._text[self._pos] in ",=":
            self._last = self._text[self._pos]
            self._pos += 1
        self._skip_blank()

    def _skip_blank(self) -> None:
        end = len(self._text) - 1
        found = _NOT_BLANK.search(self._text, self._pos, end)
        self._pos = max(self._pos, end) if found is None else found.start()

    def _with_variable(self, token: str) -> str:
        """A token with its leading `@name` replaced; it ends at the first `^`, else at the first dot."""
        if len(token) < 2 or token[0] != "@":
            return token
        cut = token.find("^") if "^" in token else token.find(".")
        name, tail = (token, "") if cut < 0 else (token[:cut], token[cut:])
        value = self._variables.get(name.lower())
        if value is None:
            return token
        return (value[1:-1] if value.startswith("{") else value) + tail


def edited(text: str, edits: Mapping[int, Mapping[tuple[int, int], str]]) -> str:
    """A script with parts of some lines replaced, by number of the line and span in it; the others stay as they are."""
    mark = UTF8_MARK if text.startswith(UTF8_MARK) else ""
    parts = re.split(f"({_LINE_END.pattern})", text.removeprefix(mark))
    for number, replaced in edits.items():
        line = parts[2 * (number - 1)]
        for (first, end), new in sorted(replaced.items(), reverse=True):
            line = line[:first] + new + line[end:]
        parts[2 * (number - 1)] = line
    return mark + "".join(parts)


def definition(value: str) -> str:
    """What a variable holds once it was given a value: one that names a variable is put in braces."""
    return "{" + value + "}" if "@" in value else value


def command_lines(text: str) -> Iterator[tuple[int, str]]:
    """Number and text of every line that the engine runs; a block comment takes whole lines."""
    in_comment = False
    for number, line in enumerate(_LINE_END.split(text.removeprefix(UTF8_MARK)), 1):
        if not line:
            continue
        in_comment = in_comment or line.startswith("/*")
        if not in_comment:
            yield number, line
        elif "*/" in line:
            in_comment = False
