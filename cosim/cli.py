"""Commands, nothing else: each says what the user asked for in a few lines and leaves the work to its part."""

from __future__ import annotations

import gc
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cosim.errors import CosimError, InputError, Interrupted
from cosim.exits import code_of, leave, tell_warnings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from cosim.metrics.limits import Limit
    from cosim.record.result import Result

app = typer.Typer(
    name="cosim",
    help="Time-domain co-simulation of an AI data center and the distribution feeder that supplies it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ScenarioArgument = Annotated[str, typer.Argument(metavar="SCENARIO", help="YAML file, or the name of a shipped one.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Replace a value; may be given again.")
]
DssRootOption = Annotated[
    Path | None, typer.Option("--dss-root", metavar="DIR", help="Folder that a .dss feeder may read in.")
]
LimitsOption = Annotated[
    list[str] | None,
    typer.Option("--limits", metavar="NAME|FILE", help="Limits instead of those by default; may be given again."),
]
LogsArgument = Annotated[list[Path], typer.Argument(metavar="LOG.h5...", help="Logs; the first is the reference.")]


PIPE_WIDTH = 120
"""Columns of tables that go into a file or a pipe: none of theirs is cut."""


def _tell_version(wanted: bool) -> None:
    if wanted:
        import cosim

        print(f"cosim {cosim.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that stand before a command."""


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    class Ours(Console):
        def on_broken_pipe(self) -> None:
            """Leave it to `main`: rich itself would exit with 1."""
            raise BrokenPipeError

    is_seen = (sys.stderr if stderr else sys.stdout).isatty() or "COLUMNS" in os.environ
    return Ours(stderr=stderr, highlight=False, soft_wrap=True, width=None if is_seen else PIPE_WIDTH)


@app.command()
def run(
    scenario: ScenarioArgument,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Log to write; default NAME.h5.")] = None,
    set_: SetOption = None,
    seed: Annotated[int | None, typer.Option(help="Seed instead of the scenario's.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, no closing line.")] = False,
    dss_root: DssRootOption = None,
) -> None:
    """Run a scenario and write its log."""
    from cosim.jit import CACHE_NOTE, without_blas

    if CACHE_NOTE:
        print(f"cosim: {CACHE_NOTE}", file=sys.stderr)
    without_blas()
    from cosim.report.bar import Bar
    from cosim.wiring import run as run_scenario

    overrides = _overrides(set_, dss_root)
    started = time.perf_counter()
    with Bar(lambda: _console(stderr=True), enabled=not quiet) as bar:
        result = run_scenario(scenario, set=overrides, out=out, seed=seed, resume=resume, progress=bar.tell)
    if not quiet:
        span = result.t_s[-1] if len(result.t_s) else 0.0
        took = time.perf_counter() - started
        size = result.path.stat().st_size
        print(f"{result.path}: {result.status}, {span:g} s simulated in {took:.1f} s, {size:,} bytes")
        print(f"next: cosim show {result.path}    cosim report {result.path}")
    result.close()


def _overrides(set_: list[str] | None, dss_root: Path | None) -> dict[str, object]:
    """What `--set` and its shorthands replace; a folder on the command line starts in the current one."""
    from cosim.scenario import parse_overrides

    replaced: dict[str, object] = dict(parse_overrides(set_ or []))
    if dss_root is not None:
        replaced["feeder.dss_root"] = str(dss_root.absolute())
    return replaced


@app.command()
def check(
    scenario: ScenarioArgument,
    resolve: Annotated[bool, typer.Option("--resolve", help="Print the complete, explicit scenario.")] = False,
    set_: SetOption = None,
    seed: Annotated[int | None, typer.Option(help="Seed instead of the scenario's.")] = None,
    dss_root: DssRootOption = None,
) -> None:
    """Check a scenario without running it; every wrong field in one answer."""
    from cosim.scenario import resolve as resolved
    from cosim.wiring import prepare

    config, feeder = prepare(scenario, set=_overrides(set_, dss_root), seed=seed)
    if resolve:
        print(resolved(config), end="")
        return
    centers = ", ".join(config.datacenters) or "none"
    n_ticks = round(config.time.duration_s / config.time.step_s)
    print(
        f"{scenario}: good. {config.name}: {config.time.duration_s:g} s in {n_ticks:,} steps, feeder "
        f"{config.feeder.model} ({len(feeder.bus_names)} buses), data centers: {centers}"
    )


@app.command()
def show(
    log: Annotated[Path, typer.Argument(metavar="LOG.h5", help="Log of a run, finished or not.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    limits: LimitsOption = None,
) -> None:
    """Print what a run found, and which limits it meets."""
    from cosim.metrics.limits import DEFAULT, load_limits
    from cosim.record.result import open_result
    from cosim.report.show import render_show, show_json

    wanted = load_limits(limits or DEFAULT)
    with open_result(log) as result:
        if json:
            print(show_json(result, wanted))
        else:
            render_show(result, _console(), wanted)


@app.command()
def report(
    logs: LogsArgument,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Page (.html), print (.pdf, by Chromium), picture (.svg); default LOG.html."),
    ] = None,
    limits: LimitsOption = None,
) -> None:
    """Write one self-contained page, and its numbers as JSON beside it; several logs are overlaid."""
    from cosim.metrics.limits import DEFAULT, load_limits
    from cosim.record.result import open_result
    from cosim.report.page import write_report

    page = out if out is not None else logs[0].with_suffix(".html")
    wanted = load_limits(limits or DEFAULT)
    results = [open_result(log) for log in logs]
    try:
        if page.suffix == ".svg":
            from cosim.report.figure import write_svg

            write_svg(results, page)
        elif page.suffix == ".pdf":
            _report_as_pdf(results, page, wanted)
        else:
            write_report(results, page, wanted, json_out=page.with_suffix(".metrics.json"))
    finally:
        for result in results:
            result.close()
    print(f"{page}: {page.stat().st_size / 1e6:.1f} MB")


def _report_as_pdf(results: list[Result], out: Path, limits: Sequence[Limit]) -> None:
    """Write the page beside its print, where nobody sees it, and print it."""
    import tempfile

    from cosim.report.page import write_report
    from cosim.report.pdf import write_pdf

    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        write_report(results, page, limits, json_out=out.with_suffix(".metrics.json"))
        write_pdf(page, out)


@app.command()
def study(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="YAML file, or the name of a shipped study.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="DIR", help="Folder; default NAME.")] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes here; 0: in this one.")] = None,
    scheduler: Annotated[str | None, typer.Option(metavar="ADDRESS", help="A running Dask scheduler.")] = None,
    slurm: Annotated[bool, typer.Option("--slurm", help="In jobs of SLURM, as the study's slurm block says.")] = False,
    list_runs: Annotated[bool, typer.Option("--list-runs", help="Print number, identity, status of each run.")] = False,
    run_one: Annotated[int | None, typer.Option(metavar="I", help="Run one by its number, for job arrays.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Run a large study without asking.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run what failed again.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, no closing lines.")] = False,
) -> None:
    """Run many runs; going on in the same folder runs nothing twice."""
    from cosim.study import command

    if list_runs:
        command.list_runs(study, out)
        return
    if run_one is not None:
        raise typer.Exit(command.run_one_and_say(study, run_one, out))
    where = command.place(study, out, workers, scheduler, slurm)
    command.run_and_say(study, out, where, yes=yes, retry_failed=retry_failed, quiet=quiet)


@app.command()
def catalog(
    what: Annotated[
        str,
        typer.Argument(metavar="[accelerators|models|servers|feeders|scenarios|studies|limits]", help="What to list."),
    ] = "feeders",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List what ships: accelerators, models and servers with their sources; names of the rest."""
    if what in ("feeders", "limits", "scenarios", "studies"):
        from json import dumps

        names = _shipped_names(what)
        print(dumps(names, indent=2) if json else "\n".join(_with_titles(names) if what == "feeders" else names))
        return
    from cosim.catalog.show import KINDS, catalog_json, render_catalog

    if what not in KINDS:
        known = ", ".join((*KINDS, "feeders", "scenarios", "studies", "limits"))
        raise InputError(f"{what}: no such catalog; known: {known}")
    if json:
        print(catalog_json(what))
    else:
        render_catalog(what, _console())


def _shipped_names(what: str) -> list[str]:
    if what == "feeders":
        from cosim.feeder.names import list_feeders

        return list(list_feeders())
    if what == "limits":
        from cosim.metrics.limits import shipped_limits

        return list(shipped_limits())
    from cosim.scenario import shipped_scenarios, shipped_studies

    return list(shipped_scenarios() if what == "scenarios" else shipped_studies())


def _with_titles(names: list[str]) -> list[str]:
    """Feeders that ship first, with what they are in one line, then the names of all others."""
    from cosim.feeder.shipped import shipped_feeders, shipped_title

    shipped = shipped_feeders()
    titled = [f"{name:<9} {shipped_title(master)}" for name, master in shipped.items()]
    return titled + [name for name in names if name not in shipped]


@app.command()
def fit(
    trace: Annotated[Path, typer.Argument(metavar="FILE.csv", help="Power trace (t_s, p_w), or nvidia-smi's CSV.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Scenario to write; default FILE.fit.yaml.")] = None,
    arrivals: Annotated[
        bool, typer.Option("--arrivals", help="FILE.csv holds requests: t_s, tokens_in, tokens_out.")
    ] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="FILE.csv holds queries: tokens_in, tokens_out, energy_j, runtime_s.")
    ] = False,
    events: Annotated[
        Path | None, typer.Option("--events", metavar="EVENTS.csv", help="Event log beside it: key and t_s or time_ms.")
    ] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Leave out rows of a trace that cannot be used.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    report: Annotated[Path | None, typer.Option("--report", metavar="PAGE.html", help="Page to write.")] = None,
) -> None:
    """Fit a scenario to a power trace, to requests or to a profile of queries; say how well it fits."""
    from cosim.fit.command import fit_and_say

    if arrivals and profile:
        raise InputError("give one of --arrivals and --profile")
    kind = "arrivals" if arrivals else "profile" if profile else "trace"
    fit_and_say(trace, out, _console(), kind=kind, json=json, report=report, events=events, repair=repair)


@app.command()
def estimate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name in `cosim catalog models`.")],
    accelerator: Annotated[str, typer.Option(help="Name in `cosim catalog accelerators`.")],
    count: Annotated[int, typer.Option(help="Number of accelerators.")],
    phase: Annotated[str, typer.Option(help="training, fine_tuning, lora, prefill or decode.")] = "training",
    batch: Annotated[int, typer.Option(help="Sequences of all replicas together.")] = 1,
    sequence: Annotated[int | None, typer.Option(help="Tokens of one; default: the model's context.")] = None,
    generate: Annotated[int, typer.Option(help="Tokens added to each at inference.")] = 0,
    data: Annotated[int | None, typer.Option(help="Replicas; default: what count leaves.")] = None,
    tensor: Annotated[int, typer.Option(help="Accelerators that share each layer.")] = 1,
    pipeline: Annotated[int, typer.Option(help="Groups of layers one after another.")] = 1,
    interleave: Annotated[int, typer.Option(help="Pieces of a group, for shorter waits.")] = 1,
    micro_batch: Annotated[int, typer.Option(help="Sequences at once in one replica.")] = 1,
    precision: Annotated[str, typer.Option(help="Of the matmuls: bf16 or fp8.")] = "bf16",
    recompute: Annotated[str, typer.Option(help="Activations: none or full.")] = "none",
    attention: Annotated[str, typer.Option(help="fused or eager.")] = "fused",
    cache: Annotated[str, typer.Option(help="Key-value cache: paged or contiguous.")] = "paged",
    server: Annotated[str | None, typer.Option(help="Name in `cosim catalog servers`; default: 8 in one.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Scenario to write (training phases).")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate step time, memory, power and swing of a model on accelerators, before anything is measured."""
    from cosim.estimate import estimate as estimated
    from cosim.estimate import work_of
    from cosim.estimate.document import scenario_yaml
    from cosim.estimate.show import estimate_json, render_estimate

    found = estimated(
        work_of(
            model, accelerator, count=count, phase=phase, batch=batch, sequence=sequence, generate=generate, data=data,
            tensor=tensor, pipeline=pipeline, interleave=interleave, micro_batch=micro_batch, precision=precision,
            recompute=recompute, attention=attention, cache=cache, server=server,
        )
    )  # fmt: skip
    if out is not None:
        out.write_text(scenario_yaml(found), encoding="utf-8")
    if json:
        print(estimate_json(found))
        return
    render_estimate(found, _console())
    if out is not None:
        print(f"next: cosim run {out}")


@app.command()
def doctor() -> None:
    """Say versions, where caches are, and whether this machine can write a log."""
    from cosim.doctor import run_doctor

    raise typer.Exit(run_doctor(_console()))


def main() -> None:
    """Carry out the command line in `sys.argv` and raise SystemExit with its code."""
    sys.exit(_answer())


def process() -> None:
    """Entry point of the command: as `main`, and ends the process whatever threads are left."""
    leave(_answer())


def _answer() -> int:
    """Exit code; every failure becomes a short message."""
    gc.set_threshold(100_000)  # imports make many objects that stay: looking through them costs a tenth of the start
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # or it asks every installed package for one
    tell_warnings()
    code, command = 0, typer.main.get_command(app)
    try:
        with command.make_context("cosim", sys.argv[1:]) as context:  # not command.main: it exits on a closed pipe
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as ended:
        code = ended.exit_code
    except typer.Abort:
        code = Interrupted.exit_code
    except KeyboardInterrupt:
        print("cosim: interrupted", file=sys.stderr)
        code = Interrupted.exit_code
    except CosimError as error:
        print(f"cosim: {error}", file=sys.stderr)
        code = error.exit_code
    except Exception as error:
        code = code_of(error)
    return code


if __name__ == "__main__":
    process()
