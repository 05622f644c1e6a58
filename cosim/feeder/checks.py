"""What a scenario says of a feeder, held against the feeder itself."""

from __future__ import annotations

from cosim.errors import InputError, Problem
from cosim.feeder.config import FeederConfig
from cosim.feeder.controls.desk import ControlDesk
from cosim.feeder.controls.from_config import apply_config
from cosim.feeder.drive import series_of_shapes
from cosim.feeder.network import Network


def feeder_problems(network: Network, config: FeederConfig) -> list[Problem]:
    """Controls and load shapes that the feeder cannot have; paths begin with `feeder.`."""
    problems: list[Problem] = []
    try:
        make_desk(network, config)
    except InputError as error:
        problems += error.problems
    if config.load_shapes != "none":
        try:
            series_of_shapes(network, config.load_shapes)
        except InputError as error:
            problems += error.problems
    return problems


def make_desk(network: Network, config: FeederConfig) -> ControlDesk | None:
    """The controls that live in a run; None without any.

    Raises
    ------
    InputError
        As `apply_config` and `ControlDesk` do.
    """
    controls = apply_config(config.controls, network)
    if not controls.all:
        return None
    desk = ControlDesk(controls, network, clock_s=3600.0 * (config.start_h % 24.0))
    power = dict(zip(network.inj_name.tolist(), network.inj_s_mva.tolist(), strict=True))
    for spec in controls.samplers:
        desk.start(spec.name, -power[spec.injection].imag)
    return desk
