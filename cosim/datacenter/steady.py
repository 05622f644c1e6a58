"""Power that a facility draws from the feeder at rest."""

from __future__ import annotations

from typing import Any

from cosim.converter.kernel import converter_input


def steady_grid_mw(site: Any, p_ai_mw: float, p_standby_mw: float) -> float:
    """Power from the feeder with a constant AI load, cooling settled, without external sources (Eq. 1-5). [MW]

    Parameters
    ----------
    site : record of SITE
        The facility, as `build_sites` made it.
    p_ai_mw : float
        AI load. [MW]
    p_standby_mw : float
        Own consumption of its UPS. [MW]
    """
    equip_mw = p_ai_mw + float(site["p_other_mw"] + site["p_network_mw"] + site["p_storage_mw"])
    dc_mw = equip_mw * (1.0 + float(site["crac_per_heat"])) + p_standby_mw
    support_mw = float(site["p_fixed_mw"]) + float(site["cooling_per_heat"]) * equip_mw
    parts = ((dc_mw, "rect"), (support_mw, "sup"))
    return sum(float(converter_input(p_mw, *(float(site[f"{key}_a{k}"]) for k in range(3)))) for p_mw, key in parts)
