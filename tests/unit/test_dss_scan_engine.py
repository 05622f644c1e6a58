"""The scan of OpenDSS scripts against the engine: its lists, its tokens, and scripts that pass but would write."""

from __future__ import annotations

import contextlib
import shutil

import opendssdirect
import pytest
from dss_circuit import CIRCUIT
from dss_engine import Engine, tree
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.errors import InputError
from cosim.feeder.dss import rules
from cosim.feeder.dss.scan import scan
from cosim.feeder.dss.script import Parser, command_lines
from cosim.feeder.dss.stage import runnable


@pytest.fixture(scope="module")
def opendss():
    return opendssdirect.dss


def test_lists_are_the_engines_own(opendss):
    executive = opendss.Executive
    commands = [executive.Command(k).lower() for k in range(1, executive.NumCommands() + 1)]
    options = [executive.Option(k).lower() for k in range(1, executive.NumOptions() + 1)]
    assert (tuple(commands), tuple(options)) == (rules.COMMANDS, rules.OPTIONS)


def test_dangerous_properties_are_all_known(opendss):
    engine = opendss.NewContext()
    engine.Text.Command("new circuit.c")
    dangerous = rules.FILE_PROPERTIES | rules.LIBRARY_PROPERTIES | rules.TRACE_PROPERTIES
    assert {name.lower() for name in engine.Basic.Classes()} == rules.CLASSES
    for kind in engine.Basic.Classes():
        with contextlib.suppress(Exception):  # controls miss their element, but are made
            engine.Text.Command(f"new {kind}.z")
        listed = tuple(name.lower() for name in engine.Element.AllPropertyNames())
        if kind.lower() in rules.PROPERTIES:
            assert listed == rules.PROPERTIES[kind.lower()], kind
        else:
            assert not dangerous & set(listed), kind


@settings(derandomize=True, max_examples=2000, deadline=None)
@given(line=st.text(" \t,=!/\"'()[]{}ab.^|x1~*\\", max_size=24))
def test_tokens_are_the_engines(opendss, line):
    theirs, ours = opendss.Parser, Parser(line, {})
    theirs.CmdString(line)
    for _ in range(12):
        assert ours.next() == (theirs.NextParam(), theirs.StrValue())


@settings(derandomize=True, max_examples=300, deadline=None)
@given(text=st.binary(max_size=200) | st.text(" \n,=!/\"'()@abenxrditcom.\\~", max_size=200).map(str.encode))
def test_any_bytes_are_answered_by_a_scan_or_its_problems(tmp_path_factory, text):
    master = tmp_path_factory.getbasetemp() / "bytes.dss"
    master.write_bytes(text)
    with contextlib.suppress(InputError):
        scan(master, master.parent)


def test_block_comments_take_whole_lines():
    text = "a\n/* x */ b\nc\n /* d\n/*\ne\n f */ g\nh"
    assert list(command_lines(text)) == [(1, "a"), (3, "c"), (4, " /* d"), (8, "h")]


ATTACKS = [
    "export voltages",
    "show voltages",
    "save circuit",
    "dump",
    "doscmd touch hit",
    "distribute kw=1",
    "estimate",
    "cvrtloadshapes",
    "_showcontrolqueue",
    "set recorder=yes",
    "set tracecontrol=y",
    "set querylog=true",
    "set demandinterval=yes",
    "set datapath=out",
    "cd out",
    "set mode=autoadd",
    "set mode=harmonic",
    "energymeter.m1.action=save",
    "loadshape.ls.action=dblsave",
    "regcontrol.r.debugtrace=yes",
    "storage.s1.debugtrace=yes",
    "edit energymeter.m1 line.l1 1 save",
    "select energymeter.m1",
    "select regcontrol.r",
    "~ debugtrace=yes",
    "~ action=save",
    "~ a=s",
    "~ d=y",
    "action=z",
    "set class=energymeter",
    "set object=regcontrol.r",
    "? line.l1.length",
    "line.l1.length=2",
    "open line.l2 1",
    "solve",
    "set mode=daily number=2",
    "redirect sub/a.dss",
    "redirect sub\\a.dss",
    "compile sub/a.dss",
    "redirect a.dss",
    "var @x=export",
    "@x voltages",
    "var @z=sub/a.dss",
    "redirect @z",
    "new loadshape.q npts=2 csvfile=sub/a.csv action=dblsave",
    "plot profile",
    "closedi",
    "set showreports=y",
    "new fuse.f monitoredobj=line.l2",
]
BEFORE = ["", " ", "\t", "=", ",", '"', "(", "//", "!", "/*", "*/", "~ ", "!\n", "/* x\n", "*/\n", "{", "command=",
          "x=", "more ", "edit ", "set ", "solve ", "var @x=", "line.l1.", "select ", "\x0c", "@x "]  # fmt: skip
AFTER = ["", '"', ")", " ! x", "*/", "\r", "=", " ,,", "\t", "\n~ debugtrace=yes", "\n~ action=s", " recorder=yes",
         " like=ls", ".x", "\\", " mode=autoadd"]  # fmt: skip
STATEMENT = st.builds(
    lambda text, cut, before, after: before + _abbreviated(text, cut) + after,
    st.sampled_from(ATTACKS),
    st.sampled_from([None, None, None, 1, 2, 3, 4]),
    st.sampled_from(BEFORE) | st.just(""),
    st.sampled_from(AFTER) | st.just(""),
)
TRACES = ["regcontrol.r.debugtrace=yes", "edit storage.s1 debugtrace=yes", "edit regcontrol.r band=2 debugt=y delay=9",
          "batchedit generator..* debugtrace=true", "set tracecontrol=y", "set demandinterval=yes diverbose=yes",
          "solve recorder=y", "set overloadreport=t querylog=yes", "sample"]  # fmt: skip
TRACED = st.builds(
    lambda text, before, after: before + text + after + "\nsolve",
    st.sampled_from(TRACES),
    st.sampled_from([*BEFORE, "", "", ""]),
    st.sampled_from([*AFTER, "", "", ""]),
)


def _abbreviated(text, cut):
    word, blank, rest = text.partition(" ")
    return word[:cut] + blank + rest


@pytest.fixture(scope="module")
def engine(opendss, tmp_path_factory):
    home = tmp_path_factory.mktemp("engine")
    running = Engine(home)
    yield running, home
    running.close()


def test_scripts_that_pass_write_nothing(engine):
    running, home = engine
    n_run = n_copy = 0

    @settings(derandomize=True, max_examples=270, deadline=None, database=None)
    @given(
        body=st.lists(STATEMENT | TRACED, min_size=1, max_size=3),
        part=st.lists(STATEMENT | TRACED, max_size=2),
    )
    def hold(body, part):
        nonlocal n_run, n_copy
        folder = home / "work"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "feeder" / "sub").mkdir(parents=True)
        (folder / "feeder" / "sub" / "a.dss").write_text("\n".join(part))
        (folder / "feeder" / "sub" / "a.csv").write_text("1\n2\n")
        master = folder / "feeder" / "master.dss"
        master.write_text(CIRCUIT + "\n".join(body))
        try:
            with runnable(scan(master)) as script:
                before = tree(home), tree(script.parents[1])
                running.run(script, folder)
                n_run, n_copy = n_run + 1, n_copy + (script != master)
                assert (tree(home), tree(script.parents[1])) == before
        except InputError:
            return

    hold()
    assert n_run > 30
    assert n_copy > 20
    # and without the scan this engine does write
    master = home / "work" / "feeder" / "master.dss"
    master.write_text(CIRCUIT + "export voltages\n")
    before = tree(home)
    assert running.run(master, home)
    assert tree(home) != before
