"""The scan of OpenDSS scripts: what it refuses, what it finds, and that the engine agrees."""

from __future__ import annotations

import zipfile

import pytest
from dss_circuit import CIRCUIT, LAST

from cosim.errors import InputError
from cosim.feeder.dss import rules
from cosim.feeder.dss import scan as scan_module
from cosim.feeder.dss.paths import default_root
from cosim.feeder.dss.scan import scan

MASTERS = {
    "ieee4": ["4Bus-DY-Bal/4Bus-DY-Bal.DSS", "4Bus-OYOD-UnBal/4bus-OYOD-UnBal.dss", "4Bus-YY-Bal/4Bus-YY-Bal.DSS"],
    "ieee13": ["13Bus/IEEE13Nodeckt.dss"],
    "ieee34": ["34Bus/ieee34Mod1.dss", "34Bus/ieee34Mod2.dss"],
    "ieee37": ["37Bus/ieee37.dss"],
    "ieee123": ["123Bus/IEEE123Master.dss"],
    "ieee8500": ["8500-Node/Master.dss", "8500-Node/Master-unbal.dss"],
    "ieee_europeanLV": ["LVTestCase/Master.dss"],
}


@pytest.fixture
def write(tmp_path):
    """Files of a feeder by name in a folder of their own; its master."""

    def files(master, **others):
        folder = tmp_path / "area" / "feeder"
        for name, text in {"master.dss": master, **others}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return folder / "master.dss"

    return files


def problems(master, root=None):
    with pytest.raises(InputError) as refused:
        scan(master, root)
    return refused.value.problems


def one_problem(master, root=None):
    found = problems(master, root)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("command", sorted(rules.REFUSED_COMMANDS))
def test_refused_command_is_named_with_file_and_line(write, command):
    master = write(CIRCUIT + f"{command} voltages\n")
    found = one_problem(master)
    assert (found.file, found.line) == (str(master), LAST)
    assert f"`{command}`" in found.message


@pytest.mark.parametrize(
    "line",
    [
        "Exp voltages",
        '"export" voltages',
        "=export voltages",
        "(sh) taps",
        "\tSAVE circuit  ! all",
        "set datapath=.",
        "set editor=vi",
        "set circuit=c vi",
        "solve mode=autoadd",
        "solve mode=harm",
        "set mode=m1",
        "energymeter.m1.action=save",
        "edit energymeter.m1 line.l1 1 zonedump",
        "loadshape.ls.action=dblsave",
        "edit loadshape.ls act=sng",
        "new regcontrol.r2 transformer=t tapdelay=2 yes",
        "select regcontrol.r\n~ debugt=yes",
        "generator.g1.usermodel=libc.so.6",
        "edit generator.g1 user=libc.so.6",
        "storage.s1.dynadll=x",
        "new capcontrol.k usermodel=x",
        "set element=regcontrol.r\n~ debugtrace=yes",
        "select loadshape.ls\nedit storage.nobody kw=1\naction=sngsave",
        "var @x=export\n@x voltages",
        "redirect @lastfile",
        "edit loadshape.ls mult=(file=%result%)",
        "nosuchcommand",
        "redirect",
    ],
)
def test_writing_calling_and_unknown_lines_are_refused(write, line):
    found = one_problem(write(CIRCUIT + line + "\n"))
    assert found.line == LAST + line.count("\n")


@pytest.mark.parametrize(
    "line",
    [
        "plot profile phases=all",
        "Visualize powers line.l1",
        "closedi",
        "quit",
        "set mode=daily number=24\nsolve",
        "set demandinterval=no tracecontrol=false",
        "! export voltages",
        "// save circuit",
        "new load.x bus1=b ! ~ debugtrace=yes",
        "/* in a block\nexport voltages\n*/ and its last line",
        "~ units=mi",
        "line.l1.units=mi",
        "edit regcontrol.r debugtrace=no",
        "energymeter.m1.action=take",
        "new swtcontrol.s switchedobj=line.l1 action=open",
        "new load.x bus1=export kv=12.47 daily=ls",
        "new loadshape.long npts=900 interval=1 mult=(" + "1 2 / " * 900 + ")",
    ],
)
def test_harmless_lines_pass(write, line):
    master = write(CIRCUIT + line + "\n")
    assert scan(master).files == (master.resolve(),)


def test_all_problems_come_in_one_answer(write):
    master = write("export voltages\nredirect lost.dss\nredirect sub/part.dss\n", **{"sub/part.dss": "\nshow taps\n"})
    found = problems(master)
    assert [(p.file, p.line) for p in found] == [
        (str(master), 1),
        (str(master), 2),
        (str(master.parent / "sub" / "part.dss"), 2),
    ]


def test_nested_scripts_and_data_are_found_in_order(write):
    master = write(
        "redirect sub/lines.dss\nredirect near.dss\nbuscoords sub\\xy.csv\n"
        "compile sub/deep/last.dss\nredirect after.dss\n",
        **{
            "sub/lines.dss": "redirect inner.txt\nnew xycurve.c npts=2 csvfile=curve.csv\n",
            "sub/inner.txt": "new loadshape.s npts=2 interval=1 mult=(file=p.csv) qmult=[dblfile=q.dbl]\n",
            "sub/p.csv": "1\n",
            "sub/q.dbl": b"\0" * 16,
            "sub/curve.csv": "1,2\n",
            "near.dss": "var @f=near.csv\nnew loadshape.t npts=2 interval=1 mult=(file=@f)\n",
            "near.csv": "1\n",
            "sub/xy.csv": "b 1 2\n",
            "sub/deep/last.dss": "new spectrum.z 2 csvfile=z.csv\nnew tshape.u 2 1 (1 2) (0 1) 0 0 u.csv\n",
            "sub/deep/z.csv": "1\n",
            "sub/deep/u.csv": "1\n",
            "sub/deep/after.dss": "",
        },
    )
    found = [str(path.relative_to(master.parent.resolve())) for path in scan(master).files]
    assert found == [
        "master.dss",
        *("sub/lines.dss", "sub/inner.txt", "sub/p.csv", "sub/q.dbl", "sub/curve.csv"),
        *("near.dss", "near.csv", "sub/xy.csv"),
        *("sub/deep/last.dss", "sub/deep/z.csv", "sub/deep/u.csv", "sub/deep/after.dss"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "redirect lost.dss",
        "compile (lost.dss)",
        "buscoords lost.csv",
        "new loadshape.x npts=2 interval=1 mult=(file=lost.csv)",
        "new loadshape.x npts=2 interval=1 csv=lost.csv",
        "new growthshape.x npts=2 sngfile=lost.sng",
        "new priceshape.x npts=2 dblfile='lost.dbl'",
        "new xycurve.x 2 (1 2) (1) (1) lost.csv",
        "new spectrum.x 2 csvfile=lost.csv",
        "set keeplist=(file=lost.txt)",
    ],
)
def test_missing_file_is_named(write, line):
    found = one_problem(write(CIRCUIT + line))
    assert found.line == LAST
    assert found.message.startswith("no such file")
    assert "lost" in str(found.value)


def test_name_in_another_case_or_without_its_ending_is_found(write):
    """As it is on the systems that most feeders come from, or as the engine has it; two that could be meant are not."""
    inner = "new loadshape.s npts=1 interval=1 mult=(file=DAY.csv)\nredirect rest\n"
    others = {"lines.DSS": "", "Parts/Loads.dss": inner, "Parts/day.CSV": "1\n", "Parts/rest.dss": ""}
    master = write("redirect Lines.dss\nredirect PARTS\\loads.DSS\n", **others)
    found = scan(master)
    assert [str(f.relative_to(master.parent.resolve())) for f in found.files] == ["master.dss", *others]
    assert set(found.links.values()) == {"lines.DSS", "Parts", "Loads.dss", "day.CSV", "rest.dss"}
    (master.parent / "LINES.dss").write_text("")
    assert "may be" in one_problem(master).message


def test_redirect_loop_is_refused(write):
    found = one_problem(write("redirect a.dss\n", **{"a.dss": "\nredirect sub/../master.dss\n", "sub/x": ""}))
    assert found.line == 2
    assert "comes back" in found.message


def test_scripts_that_double_each_other_are_cut_short(write, monkeypatch):
    monkeypatch.setattr(scan_module, "MAX_SCRIPTS", 500)
    chain = {f"{k}.dss": f"redirect {k + 1}.dss\n" * 2 for k in range(20)}
    assert "over and over" in problems(write("redirect 0.dss\n", **chain, **{"20.dss": ""}))[0].message


@pytest.mark.parametrize("line", ["redirect {}", "buscoords {}", "new loadshape.x npts=1 mult=(file={})"])
@pytest.mark.parametrize("way", ["../../out.dss", "..\\..\\out.dss", "sub/../../../out.dss", "ABSOLUTE", "LINK"])
def test_ways_out_of_the_root_are_refused(write, tmp_path, line, way):
    outside = tmp_path / "out.dss"
    outside.write_text("1\n")
    name = {"ABSOLUTE": str(outside), "LINK": "link.dss"}.get(way, way)
    master = write(CIRCUIT + line.format(name), **{"sub/x": ""})
    if way == "LINK":
        (master.parent / "link.dss").symlink_to(outside)
    found = one_problem(master)
    assert found.line == LAST
    assert "--dss-root" in found.message


def test_root_can_be_widened_and_narrowed(write, tmp_path):
    (tmp_path / "codes.dss").write_text("new linecode.k r1=1\n")
    master = write("redirect ../../codes.dss\n")
    assert scan(master, tmp_path).files[1] == (tmp_path / "codes.dss").resolve()
    (master.parent.parent / "codes.dss").write_text("")
    master.write_text("redirect ../codes.dss\n")
    assert len(scan(master).files) == 2
    assert "leads out" in one_problem(master, master.parent).message
    (tmp_path / "elsewhere").mkdir()
    assert "not in dss_root" in one_problem(master, tmp_path / "elsewhere").message
    assert one_problem(master, tmp_path / "nowhere").path == "feeder.dss_root"


def test_default_root_is_the_folder_above_unless_that_is_shared(tmp_path, monkeypatch):
    home = tmp_path / "home" / "me"
    (home / "grid" / "ieee13").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    assert default_root(home / "grid" / "ieee13" / "m.dss") == (home / "grid").resolve()
    assert default_root(home / "grid" / "m.dss") == (home / "grid").resolve()
    assert default_root(home / "m.dss") == home.resolve()


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf" + CIRCUIT.encode(),
        CIRCUIT.replace("\n", "\r\n").encode(),
        CIRCUIT.replace("\n", "\r").encode(),
        b"! Stra\xdfe\n" + CIRCUIT.encode(),
    ],
)
def test_encodings_of_old_files_pass_and_lines_are_counted(write, text):
    scan(write(text))
    found = one_problem(write(text + b"export voltages"))
    assert found.line == LAST + (b"Stra" in text)


@pytest.mark.parametrize("text", [CIRCUIT.encode("utf-16"), b"new load.a\0export voltages"])
def test_wide_characters_are_refused(write, text):
    assert "not a text" in one_problem(write(text)).message


@pytest.mark.parametrize(("name", "master"), [(name, master) for name in MASTERS for master in MASTERS[name]])
def test_ieee_masters_pass_as_distributed(shared, tmp_path, name, master):
    with zipfile.ZipFile(shared / "data" / "feeders" / "dss" / f"{name}.zip") as archive:
        archive.extractall(tmp_path / name)
    path = tmp_path / name / master
    if not path.exists():
        path = tmp_path / name / name / master
    found = scan(path)
    assert found.files[0] == path.resolve()
    assert all(file.is_file() for file in found.files)
