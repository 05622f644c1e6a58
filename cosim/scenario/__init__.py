"""Scenario: strict YAML to one frozen, explicit description of a run.

`yaml_source` reads text into the nodes of `tree`, each with its line; `overrides` sets values over it;
`schema` and `events` say what is allowed, `problems` what is wrong where, `checks` and `timeline` what
contradicts; `loader` is all of that in order, `text` the way back, `reference` the page in docs/.
"""

from __future__ import annotations

from cosim.scenario.checks import check_internal
from cosim.scenario.feeder_checks import check_against_feeder
from cosim.scenario.loader import (
    Document,
    find_scenario,
    load_scenario,
    load_text,
    read_document,
    shipped_scenarios,
    shipped_studies,
)
from cosim.scenario.names import FeederNames, feeder_names
from cosim.scenario.overrides import parse_overrides
from cosim.scenario.schema import Scenario
from cosim.scenario.text import resolve, scenario_hash

__all__ = [
    "Document",
    "FeederNames",
    "Scenario",
    "check_against_feeder",
    "check_internal",
    "feeder_names",
    "find_scenario",
    "load_scenario",
    "load_text",
    "parse_overrides",
    "read_document",
    "resolve",
    "scenario_hash",
    "shipped_scenarios",
    "shipped_studies",
]
