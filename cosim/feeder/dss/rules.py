"""What of OpenDSS a feeder's script may use, by command, option and property.

The lists are those of DSS C-API 0.14.5 in its own order, because an abbreviation means the first name
of a list that begins so. What each does was found by running it under a trace of file operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final


def _words(listed: str) -> tuple[str, ...]:
    return tuple(listed.split())


COMMANDS: Final = _words(
    "new edit more m ~ select save show solve enable disable plot reset compile set dump open close // redirect help "
    "quit ? next panel sample clear about calcvoltagebases setkvbase buildy get init export fileedit voltages currents "
    "powers seqvoltages seqcurrents seqpowers losses phaselosses cktlosses allocateloads formedit totals capacity "
    "classes userclasses zsc zsc10 zscrefresh ysc puvoltages varvalues varnames buscoords makebuslist makeposseq "
    "reduce interpolate alignfile top rotate vdiff summary distribute di_plot comparecases yearlycurves cd visualize "
    "closedi doscmd estimate reconductor _initsnap _solvenocontrol _samplecontrols _docontrolactions "
    "_showcontrolqueue _solvedirect _solvepflow addbusmarker uuids setloadandgenkv cvrtloadshapes nodediff rephase "
    "setbusxy updatestorage obfuscate latlongcoords batchedit pstcalc variable reprocessbuses clearbusmarkers relcalc "
    "var cleanup finishtimestep nodelist connect disconnect remove calcincmatrix calcincmatrix_o refine_buslevels "
    "calclaplacian exportoverloads exportvviolations zsc012 allpceatbus allpdeatbus totalpowers giscoords clearall "
    "comhelp newactor wait solveall abort clone"
)

WRITES: Final = "writes a file"
_SHELL: Final = "starts another program"
_FOLDER: Final = "changes the folder that files are read from and written to"
_ACTORS: Final = "runs further circuits beside this one"
_EDITS_BY_TEXT: Final = "edits elements through a text of its own or writes one"
_HANGS: Final = "stops the engine without a message"
_NO_USE: Final = "builds nothing of the circuit"

REFUSED_COMMANDS: Final = {
    **dict.fromkeys(
        _words(
            "save show dump export alignfile vdiff distribute estimate _showcontrolqueue cvrtloadshapes relcalc "
            "exportoverloads exportvviolations"
        ),
        WRITES,
    ),
    **dict.fromkeys(_words("doscmd fileedit"), _SHELL),
    "cd": _FOLDER,
    **dict.fromkeys(_words("newactor wait solveall abort clone connect disconnect"), _ACTORS),
    **dict.fromkeys(_words("rephase reconductor"), _EDITS_BY_TEXT),
    **dict.fromkeys(_words("next di_plot comparecases yearlycurves"), _HANGS),
    **dict.fromkeys(_words("help panel about comhelp formedit top"), _NO_USE),
    "uuids": "reads a file from wherever cosim was started",
}
"""Every other command builds, solves, or answers a question into memory; `plot` and `visualize` do nothing here."""

LEFT_OUT_COMMANDS: Final = frozenset({"sample"})
"""They change nothing of the circuit, and `sample` before a first solution ends the process."""

EDITS: Final = frozenset({"new", "edit", "batchedit"})
CONTINUES: Final = frozenset({"more", "m", "~"})
READS_SCRIPT: Final = frozenset({"redirect", "compile"})
READS_DATA: Final = frozenset({"buscoords", "latlongcoords"})

OPTIONS: Final = _words(
    "type element hour sec year frequency stepsize mode random number time class object circuit editor tolerance "
    "maxiterations h loadmodel loadmult normvminpu normvmaxpu emergvminpu emergvmaxpu %mean %stddev ldcurve %growth "
    "genkw genpf capkvar addtype allowduplicates zonelock ueweight lossweight ueregs lossregs voltagebases algorithm "
    "trapezoidal autobuslist controlmode tracecontrol genmult defaultdaily defaultyearly allocationfactors cktmodel "
    "pricesignal pricecurve terminal basefrequency harmonics maxcontroliter bus datapath keeplist reduceoption "
    "demandinterval %normal diverbose casename markercode nodewidth log recorder overloadreport voltexceptionreport "
    "cfactors showexport numallociterations defaultbasefrequency markswitches switchmarkercode daisysize "
    "marktransformers transmarkercode transmarkersize loadshapeclass earthmodel querylog markcapacitors "
    "markregulators markpvsystems markstorage capmarkercode regmarkercode pvmarkercode storemarkercode capmarkersize "
    "regmarkersize pvmarkersize storemarkersize neglectloady markfuses fusemarkercode fusemarkersize markreclosers "
    "reclosermarkercode reclosermarkersize registryupdate markrelays relaymarkercode relaymarkersize processtime "
    "totaltime steptime sampleenergymeters miniterations dssvisualizationtool keepload zmag seasonrating seasonsignal "
    "linetypes eventlogdefault longlinecorrection showreports numcpus numcores numactors activeactor cpu "
    "actorprogress parallel concatenatereports numanodes"
)
REFUSED_OPTIONS: Final = {
    "datapath": _FOLDER,
    "editor": _SHELL,
    "dssvisualizationtool": _SHELL,
    "registryupdate": "changes settings outside the circuit",
    **dict.fromkeys(_words("numcpus numcores numactors activeactor cpu actorprogress numanodes"), _ACTORS),
}
REFUSED_WHEN_ON: Final = {
    **dict.fromkeys(
        _words(
            "tracecontrol demandinterval diverbose recorder overloadreport voltexceptionreport showexport querylog "
            "showreports concatenatereports"
        ),
        WRITES,
    ),
    "parallel": _ACTORS,
}

MODES: Final = {
    **dict.fromkeys(_words("snap snapshot daily yearly dutycycle peakday direct time ld1 ld2"), ""),
    **dict.fromkeys(_words("m1 m2 m3 mf"), "draws at random, another circuit each time"),
    **dict.fromkeys(_words("autoadd harmonic harmonics harmonict"), WRITES),
    **dict.fromkeys(_words("faultstudy dynamic dynamics"), "is no power flow"),
}
"""Solution modes, and why some are refused."""

CLASSES: Final = frozenset(
    _words(
        "linecode loadshape tshape priceshape xycurve growthshape tcc_curve spectrum wiredata cndata tsdata "
        "linespacing  linegeometry xfmrcode line vsource isource vccs load transformer regcontrol capacitor reactor "
        "capcontrol fault  dynamicexp generator gendispatcher storage storagecontroller relay recloser fuse "
        "swtcontrol pvsystem upfc  upfccontrol espvlcontrol indmach012 gicsource autotrans invcontrol expcontrol "
        "gicline gictransformer vsconverter  monitor energymeter sensor"
    )
)

PROPERTIES: Final = {
    name: _words(listed)
    for name, listed in {
        "loadshape": "npts interval mult hour mean stddev csvfile sngfile dblfile action qmult useactual pmax qmax "
        "sinterval minterval pbase qbase pmult pqcsvfile memorymapping interpolation like",
        "tshape": "npts interval temp hour mean stddev csvfile sngfile dblfile sinterval minterval action like",
        "priceshape": "npts interval price hour mean stddev csvfile sngfile dblfile sinterval minterval action like",
        "xycurve": "npts points yarray xarray csvfile sngfile dblfile x y xshift yshift xscale yscale like",
        "growthshape": "npts year mult csvfile sngfile dblfile like",
        "spectrum": "numharm harmonic %mag angle csvfile like",
        "capcontrol": "element terminal capacitor type ptratio ctratio onsetting offsetting delay voltoverride vmax "
        "vmin delayoff deadtime ctphase ptphase vbus eventlog usermodel userdata pctminkvar reset controlsignal "
        "basefreq enabled like",
        "generator": "phases bus1 kv kw pf kvar model vminpu vmaxpu yearly daily duty dispmode dispvalue conn status "
        "class vpu maxkvar minkvar pvfactor forceon kva mva xd xdp xdpp h d usermodel userdata shaftmodel shaftdata "
        "dutystart debugtrace balanced xrdp usefuel fuelkwh %fuel %reserve refuel dynamiceq dynout spectrum basefreq "
        "enabled like",
        "storage": "phases bus1 kv conn kw kvar pf kva %cutin %cutout effcurve varfollowinverter kvarmax kvarmaxabs "
        "wattpriority pfpriority %pminnovars %pminkvarmax kwrated %kwrated kwhrated kwhstored %stored %reserve state "
        "%discharge %charge %effcharge %effdischarge %idlingkw %idlingkvar %r %x model vminpu vmaxpu balanced "
        "limitcurrent yearly daily duty dispmode dischargetrigger chargetrigger timechargetrig class dynadll dynadata "
        "usermodel userdata debugtrace kvdc kp pitol safevoltage safemode dynamiceq dynout controlmode amplimit "
        "amplimitgain spectrum basefreq enabled like",
        "pvsystem": "phases bus1 kv irradiance pmpp %pmpp temperature pf conn kvar kva %cutin %cutout effcurve "
        "p-tcurve %r %x model vminpu vmaxpu balanced limitcurrent yearly daily duty tyearly tdaily tduty class "
        "usermodel userdata debugtrace varfollowinverter dutystart wattpriority pfpriority %pminnovars %pminkvarmax "
        "kvarmax kvarmaxabs kvdc kp pitol safevoltage safemode dynamiceq dynout controlmode amplimit amplimitgain "
        "spectrum basefreq enabled like",
        "regcontrol": "transformer winding vreg band ptratio ctprim r x bus delay reversible revvreg revband revr "
        "revx tapdelay debugtrace maxtapchange inversetime tapwinding vlimit ptphase revthreshold revdelay revneutral "
        "eventlog remoteptratio tapnum reset ldc_z rev_z cogen basefreq enabled like",
        "indmach012": "phases bus1 kv kw pf conn kva h d purs puxs purr puxr puxm slip maxslip slipoption yearly "
        "daily duty debugtrace spectrum basefreq enabled like",
        "relay": "monitoredobj monitoredterm switchedobj switchedterm type phasecurve groundcurve phasetrip "
        "groundtrip tdphase tdground phaseinst groundinst reset shots recloseintervals delay overvoltcurve "
        "undervoltcurve kvbase 47%pickup 46baseamps 46%pickup 46isqt variable overtrip undertrip breakertime action "
        "z1mag z1ang z0mag z0ang mphase mground eventlog debugtrace distreverse normal state doc_tiltanglelow "
        "doc_tiltanglehigh doc_tripsettinglow doc_tripsettinghigh doc_tripsettingmag doc_delayinner "
        "doc_phasecurveinner doc_phasetripinner doc_tdphaseinner doc_p1blocking basefreq enabled like",
        "energymeter": "element terminal action option kvanormal kvaemerg peakcurrent zonelist localonly mask losses "
        "linelosses xfmrlosses seqlosses 3phaselosses vbaselosses phasevoltagereport int_rate int_duration saifi "
        "saifikw saidi caidi custinterrupts basefreq enabled like",
    }.items()
}
"""Properties of the classes that can read a file by name, write one, or load a library."""

FILE_PROPERTIES: Final = frozenset({"csvfile", "sngfile", "dblfile", "pqcsvfile"})
LIBRARY_PROPERTIES: Final = frozenset({"usermodel", "shaftmodel", "dynadll"})
TRACE_PROPERTIES: Final = frozenset({"debugtrace"})
WRITING_ACTIONS: Final = {
    **dict.fromkeys(("loadshape", "tshape", "priceshape"), ("d", "s")),
    "energymeter": ("s", "z"),
}
"""First letters of `action` that write: dblsave and sngsave of shapes, save and zonedump of meters."""

ENGINE_VARIABLES: Final = frozenset(
    _words("@lastfile @lastexportfile @lastshowfile @lastplotfile @lastredirectfile @lastcompilefile @result")
)
"""Variables that only the engine sets."""


def first_match(word: str, known: Sequence[str]) -> str:
    """The name that a word stands for as the engine has it: itself, else the first that begins so; empty if none."""
    word = word.lower()
    if not word or word in known:
        return word
    return next((name for name in known if name.startswith(word)), "")


def is_off(value: str) -> bool:
    """Whether a word surely means no to the engine."""
    return value[:1].lower() in ("n", "f", "0")
