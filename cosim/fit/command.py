"""What `cosim fit` does with a power trace, with requests and with a profile of queries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from cosim.errors import InputError


def fit_and_say(
    source: Path,
    out: Path | None,
    console: Console,
    *,
    kind: str,
    json: bool,
    report: Path | None,
    events: Path | None = None,
    repair: bool = False,
) -> None:
    """Fit, write the scenario, print.

    Parameters
    ----------
    source : Path
        CSV of a power trace, of requests or of a profile, as `kind` says.
    out : Path, optional
        Scenario to write; default the source's name with `.fit.yaml` beside it.
    console : Console
    kind : {"trace", "arrivals", "profile"}
    json : bool
        Print JSON instead.
    report : Path, optional
        Page to write, of a power trace only.
    events : Path, optional
        CSV of the job's own event log, beside a power trace.
    repair : bool
        Leave out rows of a power trace that cannot be used.

    Raises
    ------
    InputError
        The file cannot be fitted.
    """
    if events is not None and kind != "trace":
        raise InputError(f"--events stands beside a power trace, not with --{kind}")
    if repair and kind != "trace":
        raise InputError(f"--repair mends a power trace, not what goes with --{kind}")
    if report is not None and kind != "trace":
        raise InputError(f"--report shows fits of power traces; leave it out with --{kind}")
    target = out if out is not None else source.with_name(source.name.split(".")[0] + ".fit.yaml")
    text, as_json, render = _KINDS[kind](source, report, events, repair)
    if text:
        target.write_text(text, encoding="utf-8")
    if json:
        print(as_json())
        return
    render(console)
    if text:
        print(f"{target}: {len(text):,} bytes" + (f"    {report}" if report is not None else ""))
        print(f"next: cosim run {target}")
    else:
        print("no scenario: it takes energy_j and runtime_s")


_Found = tuple[str, Callable[[], str], Callable[[Console], None]]


def _trace(source: Path, report: Path | None, events: Path | None, repair: bool) -> _Found:
    from cosim.fit.document import fit_yaml
    from cosim.fit.events import load_events
    from cosim.fit.fitting import fit_trace
    from cosim.fit.page import write_page
    from cosim.fit.reading import load_trace
    from cosim.fit.show import fit_json, render_fit

    found = fit_trace(load_trace(source, repair=repair), load_events(events) if events is not None else None)
    if report is not None:
        write_page(found, report)
    return fit_yaml(found), lambda: fit_json(found), lambda console: render_fit(found, console)


def _arrivals(source: Path, *_: object) -> _Found:
    from cosim.fit.arrivals import fit_arrivals, load_record
    from cosim.fit.arrivals_document import arrivals_json, arrivals_yaml, render_arrivals

    found = fit_arrivals(load_record(source))
    return arrivals_yaml(found), lambda: arrivals_json(found), lambda console: render_arrivals(found, console)


def _profile(source: Path, *_: object) -> _Found:
    from cosim.fit.profile import fit_profile, profile_json, profile_yaml, render_profile

    found = fit_profile(source)
    text = profile_yaml(found) if found.energy is not None and found.runtime is not None else ""
    return text, lambda: profile_json(found), lambda console: render_profile(found, console)


_KINDS: dict[str, Callable[[Path, Path | None, Path | None, bool], _Found]] = {
    "trace": _trace,
    "arrivals": _arrivals,
    "profile": _profile,
}
