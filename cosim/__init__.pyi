from cosim.errors import CosimError as CosimError
from cosim.errors import EnvironmentFailure as EnvironmentFailure
from cosim.errors import InputError as InputError
from cosim.errors import PhysicsError as PhysicsError
from cosim.feeder.feeder import Feeder as Feeder
from cosim.feeder.feeder import Solution as Solution
from cosim.feeder.feeder import load_feeder as load_feeder
from cosim.metrics import summarize as summarize
from cosim.metrics.cycles import rainflow_cycles as rainflow_cycles
from cosim.metrics.flicker import Flicker as Flicker
from cosim.metrics.flicker import flickermeter as flickermeter
from cosim.record.result import Result as Result
from cosim.record.result import open_result as open_result
from cosim.report.page import write_report as write_report
from cosim.scenario import Scenario as Scenario
from cosim.scenario import load_scenario as load_scenario
from cosim.scenario import resolve as resolve
from cosim.study.results import open_study as open_study
from cosim.study.study import run_study as run_study
from cosim.wiring import prepare as prepare
from cosim.wiring import run as run

__version__: str
