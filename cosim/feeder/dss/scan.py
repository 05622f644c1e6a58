"""What an OpenDSS script would do, found out before the engine runs it.

A `.dss` is a program. Even with forms, editor, shell and folder changes switched off, `export` and
`save` write files and `redirect` reads any. So a script is read here first, redirects followed as the
engine follows them, and is refused where it uses a command, option or property that writes a file,
starts a program, loads a library, changes the folder, or reads outside the root. `show` is among
those: it writes a report even where no form may open. Unknown commands are refused as well, for an
allow-list must not guess.

What only draws (`plot`, `visualize`), closes what was never opened (`closedi`) or ends a console
(`quit`) does nothing in the engine and is let through, since many masters end so. `set` options of
reports are let through where they say no.

The root is the folder above the master's own, because feeders as distributed keep line codes for
several circuits there (`redirect ../IEEELineCodes.DSS`); it is the master's own folder where the one
above is the top of the file system, the user's home or above that.

Files are looked up as the engine does on this system, upper and lower case apart, with `/` for a
backslash. A word anywhere in an element's definition that names an existing file counts as read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cosim.errors import InputError, Problem
from cosim.feeder.dss import paths, rules
from cosim.feeder.dss.script import UTF16_MARKS, Parser, command_lines, definition

MAX_SCRIPTS: Final = 10_000
"""Scripts read in one scan, repetitions counted: a few files that redirect twice each would never end."""
MAX_PROBLEMS: Final = 200
_ENGINE_VARIABLES: Final = frozenset(
    (
        "@lastfile",
        "@lastexportfile",
        "@lastshowfile",
        "@lastplotfile",
        "@lastredirectfile",
        "@lastcompilefile",
        "@result",
    )
)


@dataclass(frozen=True)
class Scan:
    """A script that may run."""

    master: Path
    root: Path
    """Folder that holds everything it reads."""
    files: tuple[Path, ...]
    """Every file the engine reads, links resolved, in the order of their first use; the master is first."""


def default_root(master: Path) -> Path:
    """The folder a master may read in where none was named."""
    folder = master.resolve().parent
    above = folder.parent
    try:
        holds_home = Path.home().resolve().is_relative_to(above)
    except RuntimeError:  # nobody's process
        holds_home = False
    return folder if above == above.parent or holds_home else above


def scan(master: Path, root: Path | None = None) -> Scan:
    """Read a master file and all it leads to; return what it reads.

    Parameters
    ----------
    master : Path
        The script that builds the circuit.
    root : Path, optional
        Folder outside which nothing is read; `default_root` where not given.

    Raises
    ------
    InputError
        With every line that is refused, and every file that is missing.
    """
    script = Path(os.path.realpath(master))
    if not script.is_file():
        raise InputError(Problem("no such file", value=str(master)))
    if any(mark in str(script) for mark in '"\n\r'):
        raise InputError(Problem("the path has a character that OpenDSS cannot be given", value=str(master)))
    inside = default_root(script) if root is None else Path(os.path.realpath(root))
    if not inside.is_dir():
        raise InputError(Problem("no such folder", path="feeder.dss_root", value=str(root)))
    if not script.is_relative_to(inside):
        raise InputError(Problem(f"the master file is not in dss_root = {inside}", value=str(master)))
    scanner = _Scanner(inside)
    scanner.read_script(paths.Found(str(script), script), is_compile=True)
    if scanner.problems:
        raise InputError(scanner.problems)
    return Scan(script, inside, tuple(scanner.files))


@dataclass
class _Scanner:
    """The state of the engine as far as it decides what a line does."""

    root: Path
    problems: list[Problem] = field(default_factory=list)
    files: dict[Path, None] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    folder: str = ""
    """Where relative names start."""
    active_class: str = ""
    """Class of the active element; empty where it is not certain."""
    file: str = ""
    line: int | None = None
    _open: list[Path] = field(default_factory=list)
    _n_scripts: int = 0
    _entries: dict[str, frozenset[str] | None] = field(default_factory=dict)

    def refuse(self, message: str, value: object = None) -> None:
        """Note a problem with the present line."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(message, value=value, file=self.file, line=self.line))

    def read_script(self, found: paths.Found, is_compile: bool) -> None:
        """Run through a script; `compile` leaves its folder behind, `redirect` returns to the old one."""
        self._n_scripts += 1
        if self._n_scripts > MAX_SCRIPTS:
            self.refuse(f"more than {MAX_SCRIPTS} scripts are read, some over and over")
            return
        text = self._text_of(found)
        if text is None:
            return
        before = self.folder, self.file, self.line
        self._open.append(found.real)
        self.folder, self.file = str(Path(found.spelled).parent), found.spelled
        own_folder = self.folder
        for self.line, line in command_lines(text):
            if len(self.problems) >= MAX_PROBLEMS or self._n_scripts > MAX_SCRIPTS:
                break
            self._command(line)
        self._open.pop()
        self.folder, self.file, self.line = before
        if is_compile:
            self.folder = own_folder

    def _text_of(self, found: paths.Found) -> str | None:
        self.files.setdefault(found.real)
        try:
            text = found.real.read_bytes().decode("latin-1")
        except OSError as wrong:
            self.refuse(f"cannot be read: {wrong.strerror}", found.spelled)
            return None
        if "\0" in text or text.startswith(UTF16_MARKS):
            self.refuse("is not a text of one byte a character (ASCII, Latin-1 or UTF-8)", found.spelled)
            return None
        return text

    def _command(self, line: str) -> None:
        parser = Parser(line, self.variables)
        name, word = parser.next()
        if not word:
            return
        if name:
            self._assign(name, word, parser.remainder)
            return
        if line.lstrip(" \t=(\"'[{").startswith("@"):
            self.refuse("a variable where a command should stand", word)
            return
        command = rules.first_match(word, rules.COMMANDS)
        if not command:
            self.refuse("OpenDSS has no such command", word)
        elif command in rules.REFUSED_COMMANDS:
            self.refuse(f"`{command}` is refused: it {rules.REFUSED_COMMANDS[command]}", line.strip())
        else:
            self._allowed(command, parser)

    def _allowed(self, command: str, parser: Parser) -> None:
        if command in rules.EDITS:
            self._edit(parser, is_new=command == "new")
        elif command in rules.CONTINUES:
            self._properties(parser.rest())
        elif command in rules.READS_SCRIPT:
            self._redirect(command, parser.next()[1])
        elif command in rules.READS_DATA:
            self.read_data(parser.next()[1], is_certain=True)
        elif command in ("set", "solve"):
            self._options(parser.rest())
            self.active_class = ""
        elif command == "var":
            self._define(parser.rest())
        elif command != "//":
            self.active_class = ""

    def _assign(self, name: str, value: str, remainder: str) -> None:
        """`Class.name.property=value`, which the engine puts together anew before it reads it."""
        head, _, prop = name.rpartition(".") if name.count(".") < 3 else _split_twice(name)
        if head:
            self._activate(head)
        self._properties(Parser(f'{prop}="{value}" {remainder}', self.variables).rest())

    def _activate(self, element: str) -> None:
        kind, dot, _ = element.partition(".")
        self.active_class = kind.lower() if dot and kind.lower() in rules.CLASSES else ""

    def _edit(self, parser: Parser, is_new: bool) -> None:
        _, element = parser.next()
        self._activate(element)
        if is_new and element.lower().startswith("circuit."):
            self.active_class = "vsource"
        self._properties(parser.rest())
        if not is_new:  # the engine says nothing where no element has that name, and the old one stays active
            self.active_class = ""

    def _redirect(self, command: str, name: str) -> None:
        found = self._find(name)
        if found is None:
            return
        if found.real in self._open:
            self.refuse(f"`{command}` comes back to a script that is being read", name)
            return
        self.active_class = ""
        self.read_script(found, is_compile=command == "compile")
        self.active_class = ""

    def _define(self, parameters: Iterable[tuple[str, str]]) -> None:
        for name, value in parameters:
            if name.lower() in _ENGINE_VARIABLES:
                self.refuse("this variable belongs to the engine", name)
            elif name.startswith("@"):
                self.variables[name.lower()] = definition(value)

    def _options(self, parameters: Iterable[tuple[str, str]]) -> None:
        position = 0
        for name, value in parameters:
            option = rules.first_match(name, rules.OPTIONS) if name else _at(rules.OPTIONS, position)
            position = rules.OPTIONS.index(option) + 1 if option else 0 if name else position + 1
            self._value(value)
            if option in rules.REFUSED_OPTIONS:
                self.refuse(f"`set {option}` is refused: it {rules.REFUSED_OPTIONS[option]}", value)
            elif option in rules.REFUSED_WHEN_ON and value and not rules.is_off(value):
                self.refuse(f"`set {option}` is refused: it {rules.REFUSED_WHEN_ON[option]}", value)
            elif option == "mode" and value:
                self._mode(value)

    def _mode(self, value: str) -> None:
        meant = [mode for mode in rules.MODES if mode.startswith(value.lower())]
        why = next((rules.MODES[mode] for mode in meant if rules.MODES[mode]), "")
        if not meant or why:
            allowed = ", ".join(mode for mode, reason in rules.MODES.items() if not reason)
            self.refuse(f"this solution mode is refused: it {why or 'is not known'}; allowed: {allowed}", value)

    def _properties(self, parameters: Iterable[tuple[str, str]]) -> None:
        """Parameters of an element, for every class that it may be of."""
        classes = (self.active_class,) if self.active_class else tuple(rules.PROPERTIES)
        positions = dict.fromkeys((c for c in classes if c in rules.PROPERTIES), 0)
        for name, value in parameters:
            self._value(value)
            for kind, position in positions.items():
                known = rules.PROPERTIES[kind]
                prop = rules.first_match(name, known) if name else _at(known, position)
                positions[kind] = known.index(prop) + 1 if prop else 0 if name else position + 1
                if prop and value and self._property(kind, prop, value):
                    break

    def _property(self, kind: str, prop: str, value: str) -> bool:
        """Hold a property to the rules; whether it was dealt with, so that no other class is asked."""
        if prop in rules.FILE_PROPERTIES:
            self.read_data(value, is_certain=kind == self.active_class)
        elif prop in rules.LIBRARY_PROPERTIES:
            self.refuse(f"`{prop}` is refused: it loads a program library", value)
        elif prop in rules.TRACE_PROPERTIES and not rules.is_off(value):
            self.refuse(f"`{prop}` is refused: it writes a file", value)
        elif prop == "action" and value[0].lower() in rules.WRITING_ACTIONS.get(kind, ()):
            self.refuse("this `action` is refused: it writes a file", value)
        else:
            return False
        return True

    def _value(self, value: str) -> None:
        """Files that a value names: `(file=x.csv)` and its kind, or the name itself."""
        if not value or value.isdecimal():
            return
        if "=" in value:
            key, name = Parser(value, self.variables).next()
            key = key.lower()
            if key == "file" or (key and any(w.startswith(key) or key.startswith(w) for w in ("dblfile", "sngfile"))):
                self.read_data(name, is_certain=key in ("file", "dblfile", "sngfile"))
                return
        if self.folder not in self._entries:
            self._entries[self.folder] = paths.entries(self.folder)
        if paths.is_there(value, self._entries[self.folder]):
            self.read_data(value, is_certain=False)

    def read_data(self, name: str, is_certain: bool) -> None:
        """Note a data file; one that is not certain to be a file may be missing."""
        if not is_certain and name.lower() not in _ENGINE_VARIABLES:
            # a folder of that name is a coincidence: the engine could not read it
            for found in paths.candidates(name, self.folder):
                if not found.real.is_dir() and self._is_allowed(found, name):
                    self.files.setdefault(found.real)
            return
        found_file = self._find(name)
        if found_file is not None:
            self.files.setdefault(found_file.real)

    def _find(self, name: str) -> paths.Found | None:
        """The one file that a name stands for; refused where it is missing, outside, or not a plain file."""
        if name.lower() in _ENGINE_VARIABLES or name.lower() == "%result%":
            self.refuse("a file name that only the engine knows", name)
            return None
        if not name.strip():
            self.refuse("a file name is missing")
            return None
        found = paths.candidates(name, self.folder)
        if not found:
            self._refuse_missing(name)
            return None
        refused = [each for each in found if not self._is_allowed(each, name)]
        if refused:
            return None
        if len(found) > 1:
            self.refuse(f"may be {found[0].real} or {found[1].real}: write it without .. and backslashes", name)
            return None
        return found[0]

    def _refuse_missing(self, name: str) -> None:
        if not paths.target(name, self.folder).is_relative_to(self.root):
            self._refuse_outside(name)
            return
        near = paths.differs_in_case(name, self.folder)
        hint = f"; {near} differs in upper and lower case" if near else ""
        self.refuse(f"no such file in {self.folder}{hint}", name)

    def _is_allowed(self, found: paths.Found, name: str) -> bool:
        if not found.real.is_relative_to(self.root):
            self._refuse_outside(name)
            return False
        if not found.real.is_file():
            self.refuse("is not a file", name)
            return False
        return True

    def _refuse_outside(self, name: str) -> None:
        self.refuse(f"leads out of {self.root}; --dss-root names a wider folder", name)


def _at(known: tuple[str, ...], position: int) -> str:
    return known[position] if position < len(known) else ""


def _split_twice(name: str) -> tuple[str, str, str]:
    """`Class.name.rest` of a name with more than two dots, which the engine cuts at the second."""
    kind, element, prop = name.split(".", 2)
    return f"{kind}.{element}", ".", prop
