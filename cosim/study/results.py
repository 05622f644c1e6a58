"""A study's folder opened for reading, while it runs or after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cosim.errors import InputError, unreadable
from cosim.study.folder import read_facts
from cosim.study.table import CSV, PARQUET

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from cosim.record.result import Result


class StudyResult:
    """What a study has found so far. Made by `open_study`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts = read_facts(folder) or {}

    def __repr__(self) -> str:
        return f"<StudyResult {self.facts.get('name')}: {len(self.table)} rows>"

    @property
    def table(self) -> pd.DataFrame:
        """The summary, read anew: first column `run`, one row a run in the order of the study."""
        import pandas as pd

        try:
            return pd.read_parquet(self.folder / PARQUET)
        except FileNotFoundError:
            raise InputError(f"{self.folder}: has no summary yet") from None
        except (OSError, ValueError) as error:
            raise unreadable(error, str(self.folder / PARQUET)) from None

    def to_xarray(self) -> xr.Dataset:
        """The summary over the dimension `run`, inputs and metrics under their columns' names."""
        import xarray as xr

        return xr.Dataset.from_dataframe(self.table.set_index("run"))

    def open_run(self, run: str) -> Result:
        """The log of one run, where the study keeps logs."""
        from cosim.record.result import open_result

        return open_result(self.folder / "runs" / run / "result.h5")

    @property
    def failed(self) -> pd.DataFrame:
        """Rows of runs that failed, with their error."""
        table: Any = self.table
        found: pd.DataFrame = table[table["status"] == "failed"]
        return found


def open_study(folder: str | Path) -> StudyResult:
    """Open the folder of a study, finished or not.

    Parameters
    ----------
    folder : str or Path
        What `cosim study` wrote with `-o`.

    Raises
    ------
    InputError
        It is no study's folder.
    """
    path = Path(folder)
    if read_facts(path) is None:
        raise InputError(f"{path}: is no folder of a study (it has no study.json); {CSV} alone opens with pandas")
    return StudyResult(path)
