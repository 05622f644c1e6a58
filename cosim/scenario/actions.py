"""What a controller asks for, held to the rules that a scenario's events are held to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cosim.errors import InputError, Problem
from cosim.scenario.checks import check_targets
from cosim.scenario.events import Event
from cosim.scenario.feeder_checks import check_against_feeder
from cosim.scenario.names import FeederNames
from cosim.scenario.parts import Parts
from cosim.scenario.problems import explain
from cosim.scenario.schema import Scenario
from cosim.scenario.tree import from_python

_BASE = ("events", 0)
_ADAPTER: TypeAdapter[Any] = TypeAdapter(Event)


def read_action(action: object, scenario: Scenario, feeder: FeederNames, place: str) -> dict[str, Any]:
    """An action as the engine's queue takes it: an event without its time.

    Parameters
    ----------
    action : mapping
        An event as the scenario writes it, without `at_s`: it happens now.
    scenario : Scenario
        Whose data centers, jobs and UPS it may name.
    feeder : FeederNames
        Ids it may name.
    place : str
        What messages call the place, e.g. `controllers.0`.

    Raises
    ------
    InputError
        With every problem there is.
    """
    if not isinstance(action, Mapping):
        raise InputError(Problem("an action is an event as a scenario writes it, a mapping with kind", place, action))
    if "at_s" in action:
        raise InputError(Problem("an action happens at once; leave out at_s", f"{place}.at_s", action["at_s"]))
    root, problems = from_python({"events": [action]})
    plain = {**root.plain()["events"][0], "at_s": 0.0}
    event = None
    try:
        event = _ADAPTER.validate_python(plain, strict=True)
    except ValidationError as error:
        problems += explain(error.errors(include_url=False), Event, root, _BASE)
    if event is not None:
        parts = Parts(
            root, scenario.folder, feeder=scenario.feeder, datacenters=scenario.datacenters, events=[(0, event)]
        )
        problems += check_targets(parts)
        problems += check_against_feeder(
            parts,
            feeder.buses,
            feeder.loads,
            feeder.switches,
            feeder.lines,
            fault_problems=feeder.fault_problems,
        )
    if event is None or problems:
        raise InputError([replace(p, path=place + p.path.removeprefix("events.0")) for p in problems])
    values: dict[str, Any] = event.model_dump(exclude={"at_s"})
    return values
