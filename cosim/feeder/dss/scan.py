"""What an OpenDSS script would do, found out before the engine runs it.

A `.dss` is a program. Even with forms, editor, shell and folder changes switched off, `export` and
`save` write files and `redirect` reads any. So a script is read here first, redirects followed as the
engine follows them, and is refused where it uses a command, option or property that writes a file,
starts a program, loads a library, changes the folder, or reads outside the root. `show` is among
those: it writes a report even where no form may open. Unknown commands are refused as well.

What only draws (`plot`, `visualize`), closes what was never opened (`closedi`) or ends a console
(`quit`) does nothing in the engine and is let through, since many masters end so. `set` options of
reports are let through where they say no.

The root is the folder above the master's own, because feeders as distributed keep line codes for
several circuits there (`redirect ../IEEELineCodes.DSS`); it is the master's own folder where the one
above is the top of the file system, the user's home or above that.

Files are looked up as the engine does on this system, with `/` for a backslash; one that differs in upper and lower
case only is taken for what it is on the systems that most feeders come from. A word anywhere in an element's
definition that names an existing file counts as read.

What writes a report or a trace and says so in words (`debugtrace=yes`, `set demandinterval=true`) is not refused but
noted as an edit that says no, and `sample` as one that leaves it out; `stage` runs a copy so edited.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cosim.errors import InputError, Problem
from cosim.feeder.dss import paths, rules
from cosim.feeder.dss.script import UTF16_MARKS, Parser, command_lines, definition

MAX_SCRIPTS: Final = 10_000
"""Scripts read in one scan, repetitions counted: a few files that redirect twice each would never end."""
MAX_PROBLEMS: Final = 200

Edits = dict[int, dict[tuple[int, int], str]]
"""By number of a line and span in it: what is to stand there."""


@dataclass(frozen=True)
class Scan:
    """A script that may run."""

    master: Path
    root: Path
    """Folder that holds everything it reads."""
    files: tuple[Path, ...]
    """Every file the engine reads, links resolved, in the order of their first use; the master is first."""
    edits: Mapping[Path, Edits]
    """What is to be said otherwise in a copy that runs, by script and line."""
    links: Mapping[str, str]
    """Names that are there in another case only, by the path that a script asks for."""
    spelled: Mapping[str, Path]
    """Every file by the path at which the engine looks for it."""
    defined: Mapping[str, tuple[str, int]]
    """File and line of every element's last `new`, by `class.name` in lower case."""


def scan(master: Path, root: Path | None = None) -> Scan:
    """Read a master file and all it leads to; return what it reads.

    Parameters
    ----------
    master : Path
        The script that builds the circuit.
    root : Path, optional
        Folder outside which nothing is read; `paths.default_root` where not given.

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
    inside = paths.default_root(script) if root is None else Path(os.path.realpath(root))
    if not inside.is_dir():
        raise InputError(Problem("no such folder", path="feeder.dss_root", value=str(root)))
    if not script.is_relative_to(inside):
        raise InputError(Problem(f"the master file is not in dss_root = {inside}", value=str(master)))
    scanner = _Scanner(inside)
    scanner.read_script(paths.Found(str(script), script), is_compile=True)
    if scanner.problems:
        raise InputError(scanner.problems)
    return Scan(script, inside, tuple(scanner.files), scanner.edits, scanner.links, scanner.spelled, scanner.defined)


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
    edits: dict[Path, Edits] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    spelled: dict[str, Path] = field(default_factory=dict)
    defined: dict[str, tuple[str, int]] = field(default_factory=dict)
    _span: tuple[int, int] | None = None
    """Where the present parameter stands in the present line; None where that is not known."""
    _open: list[Path] = field(default_factory=list)
    _n_scripts: int = 0
    _entries: dict[str, frozenset[str] | None] = field(default_factory=dict)

    def refuse(self, message: str, value: object = None) -> None:
        """Note a problem with the present line."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(message, value=value, file=self.file, line=self.line))

    def edit(self, text: str) -> bool:
        """Have the present parameter say something else in the copy that runs; whether it is known where it stands."""
        if self._span is None or self.line is None:
            return False
        self.edits.setdefault(self._open[-1], {}).setdefault(self.line, {})[self._span] = text
        return True

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
        self._note(found)
        try:
            text = found.real.read_bytes().decode("latin-1")
        except OSError as wrong:
            self.refuse(f"cannot be read: {wrong.strerror}", found.spelled)
            return None
        if "\0" in text or text.startswith(UTF16_MARKS):
            self.refuse("is not a text of one byte a character (ASCII, Latin-1 or UTF-8)", found.spelled)
            return None
        return text

    def _note(self, found: paths.Found) -> None:
        self.files.setdefault(found.real)
        self.spelled[found.spelled] = found.real

    def _command(self, line: str) -> None:
        parser = Parser(line, self.variables)
        name, word = parser.next()
        if not word:
            return
        if name:
            self._assign(name, word, parser)
            return
        if line.lstrip(" \t=(\"'[{").startswith("@"):
            self.refuse("a variable where a command should stand", word)
            return
        command = rules.first_match(word, rules.COMMANDS)
        if not command:
            self.refuse("OpenDSS has no such command", word)
        elif command in rules.REFUSED_COMMANDS:
            why = rules.REFUSED_COMMANDS[command]
            self.refuse(f"`{command}` is refused: it {why}; take the line out", line.strip())
        elif command in rules.LEFT_OUT_COMMANDS:
            self._span = (0, len(line))
            self.edit("")
        else:
            self._allowed(command, parser)

    def _allowed(self, command: str, parser: Parser) -> None:
        if command in rules.EDITS:
            self._edit(parser, is_new=command == "new")
        elif command in rules.CONTINUES:
            self._properties(parser)
        elif command in rules.READS_SCRIPT:
            self._redirect(command, parser.next()[1])
        elif command in rules.READS_DATA:
            self.read_data(parser.next()[1], is_certain=True)
        elif command in ("set", "solve"):
            self._options(parser)
            self.active_class = ""
        elif command == "var":
            self._define(parser.rest())
        elif command != "//":
            self.active_class = ""

    def _assign(self, name: str, value: str, outer: Parser) -> None:
        """`Class.name.property=value`, which the engine puts together anew before it reads it."""
        head, _, prop = name.rpartition(".") if name.count(".") < 3 else _split_twice(name)
        if head:
            self._activate(head)
        self._properties(Parser(f'{prop}="{value}" {outer.remainder}', self.variables), outer.span, head)

    def _activate(self, element: str) -> None:
        kind, dot, _ = element.partition(".")
        self.active_class = kind.lower() if dot and kind.lower() in rules.CLASSES else ""

    def _edit(self, parser: Parser, is_new: bool) -> None:
        _, element = parser.next()
        self._activate(element)
        if is_new:
            if element.lower().startswith("circuit."):
                self.active_class, element = "vsource", "vsource.source"
            self.defined[element.lower()] = self.file, self.line or 0
        self._properties(parser)
        if not is_new:  # the engine says nothing where no element has that name, and the old one stays active
            self.active_class = ""

    def _redirect(self, command: str, name: str) -> None:
        found = self._find(name, ending=".dss")
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
            if name.lower() in rules.ENGINE_VARIABLES:
                self.refuse("this variable belongs to the engine", name)
            elif name.startswith("@"):
                self.variables[name.lower()] = definition(value)

    def _options(self, parser: Parser) -> None:
        position = 0
        for name, value in parser.rest():
            self._span = parser.span
            option = rules.first_match(name, rules.OPTIONS) if name else _at(rules.OPTIONS, position)
            position = rules.OPTIONS.index(option) + 1 if option else 0 if name else position + 1
            self._value(value)
            if not value:
                continue  # the engine reads none
            if option in rules.REFUSED_OPTIONS:
                self.refuse(f"`set {option}` is refused: it {rules.REFUSED_OPTIONS[option]}", value)
            elif option in rules.REFUSED_WHEN_ON and not rules.is_off(value):
                if not name or rules.REFUSED_WHEN_ON[option] != rules.WRITES or not self.edit(f"{option}=no "):
                    self.refuse(f"`set {option}` is refused: it {rules.REFUSED_WHEN_ON[option]}; say no", value)
            elif option == "mode":
                self._mode(value)

    def _mode(self, value: str) -> None:
        meant = [mode for mode in rules.MODES if mode.startswith(value.lower())]
        why = next((rules.MODES[mode] for mode in meant if rules.MODES[mode]), "")
        if not meant or why:
            allowed = ", ".join(mode for mode, reason in rules.MODES.items() if not reason)
            self.refuse(f"this solution mode is refused: it {why or 'is not known'}; allowed: {allowed}", value)

    def _properties(self, parser: Parser, span: tuple[int, int] | None = None, head: str = "") -> None:
        """Parameters of an element, for every class that it may be of.

        `span` is where the first one stands in the line, and `head` what stands before its name there, where the text
        of the parser is another one.
        """
        classes = (self.active_class,) if self.active_class else tuple(rules.PROPERTIES)
        positions = dict.fromkeys((c for c in classes if c in rules.PROPERTIES), 0)
        for k, (name, value) in enumerate(parser.rest()):
            self._span = (parser.span if span is None else span if k == 0 else None) if name else None
            lead = f"{head}." if head and k == 0 else ""
            self._value(value)
            for kind, position in positions.items():
                known = rules.PROPERTIES[kind]
                prop = rules.first_match(name, known) if name else _at(known, position)
                positions[kind] = known.index(prop) + 1 if prop else 0 if name else position + 1
                if prop and value and self._property(kind, prop, value, lead):
                    break

    def _property(self, kind: str, prop: str, value: str, lead: str) -> bool:
        """Hold a property to the rules; whether it was dealt with, so that no other class is asked."""
        if prop in rules.FILE_PROPERTIES:
            self.read_data(value, is_certain=kind == self.active_class)
        elif prop in rules.LIBRARY_PROPERTIES:
            self.refuse(f"`{prop}` is refused: it loads a program library", value)
        elif prop in rules.TRACE_PROPERTIES and not rules.is_off(value):
            if kind != self.active_class or not self.edit(f"{lead}{prop}=no "):
                self.refuse(f"`{prop}` is refused: it writes a file; say no or take it out", value)
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
        if not is_certain and name.lower() not in rules.ENGINE_VARIABLES:
            # a folder of that name is a coincidence: the engine could not read it
            for found in paths.candidates(name, self.folder):
                if not found.real.is_dir() and self._is_allowed(found, name):
                    self._note(found)
            return
        found_file = self._find(name)
        if found_file is not None:
            self._note(found_file)

    def _find(self, name: str, ending: str = "") -> paths.Found | None:
        """The one file that a name stands for; refused where it is missing, outside, or not a plain file.

        The engine tries a script's name with `ending` behind it where it finds none.
        """
        if name.lower() in rules.ENGINE_VARIABLES or name.lower() == "%result%":
            self.refuse("a file name that only the engine knows", name)
            return None
        if not name.strip():
            self.refuse("a file name is missing")
            return None
        found = paths.candidates(name, self.folder) or self._under_other_name(name, ending)
        if not found:
            self._refuse_missing(name)
            return None
        refused = [each for each in found if not self._is_allowed(each, name)]
        if refused:
            return None
        if len(found) > 1:
            both = f"{found[0].real} or {found[1].real}"
            self.refuse(f"may be {both}: write it as it is on disk, without .. and backslashes", name)
            return None
        return found[0]

    def _under_other_name(self, name: str, ending: str) -> list[paths.Found]:
        """Files inside the root that differ from a name in upper and lower case only, or by the ending."""
        for full in dict.fromkeys((name, name + ending)):
            if not paths.target(full, self.folder).is_relative_to(self.root):
                continue
            found, links = paths.in_other_case(full, self.folder)
            if found:
                self.links |= links
                if full != name:
                    self.links[str(Path(found[0].spelled).with_name(Path(name.replace("\\", "/")).name))] = Path(
                        found[0].spelled
                    ).name
                return found
        return []

    def _refuse_missing(self, name: str) -> None:
        if not paths.target(name, self.folder).is_relative_to(self.root):
            self._refuse_outside(name)
            return
        self.refuse(f"no such file in {self.folder}", name)

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
