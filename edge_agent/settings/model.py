"""What site.yaml, devices.yaml and uplink.yaml may say, key by key; the tariff's model lives with the tariff.

Each field's docstring is the text of the JSON Schema. Checks that look across fields or files are in `check.py`, so
that an operator meets all errors in one round.
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from drivers.profile_form import Framing
from edge_agent.settings.entry import Entry, Texts, tuples
from edge_agent.settings.unit_points import point_of


def _as_date(value: object) -> object:
    """Dates are text in the file; strict models take only dates."""
    try:
        return date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _as_path(value: object) -> object:
    """YAML knows no paths."""
    return Path(value) if isinstance(value, str) else value


Names = Texts
Pairs = Annotated[tuple[tuple[float, float], ...], BeforeValidator(tuples)]
Rows = Annotated[tuple[tuple[float, float, float, float], ...], BeforeValidator(tuples)]
Ratios = Annotated[tuple[float, ...], BeforeValidator(tuples)]
Date = Annotated[date, BeforeValidator(_as_date)]
FilePath = Annotated[Path, BeforeValidator(_as_path)]


class Site(Entry):
    """Who and where."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{1,62}$")
    """Short name used in topics and file names: small letters, digits, hyphens."""
    name: str
    """Name shown to people."""
    timezone: str
    """IANA name, e.g. Asia/Shanghai: tariff calendar, screen and platform records use it, never the host's zone."""
    area_code: str | None = None
    """GB/T 2260 code of the district, six digits, quoted."""
    plant_type: Literal["ground_source", "reclaimed_water", "waste_heat", "deep_geothermal", "air_source"]
    """Decides which points the city platform requires."""
    heated_area_m2: float = Field(gt=0)
    """Heated floor area [m2]."""
    simulated: bool = False
    """True only under hil_sim: allows a simulated clock."""
    simulated_clock: FilePath | None = None
    """File of the simulated clock; only with `simulated: true`."""


class Commissioning(Entry):
    """Nothing writes to a device before this is signed, except attended `prove`."""

    signed_by: str | None = None
    """Name of the engineer who signed."""
    signed_on: Date | None = None
    """Date of the signature, YYYY-MM-DD."""
    start_mode: Literal["monitor", "advise", "auto"] = "monitor"
    """Mode at the very first start; afterwards the last mode is kept."""


class Loop(Entry):
    """What must be served."""

    medium: Literal["heat", "cold"]
    """Heat or cold."""
    meter: str
    """Device: heat meter of the user side."""
    supply_degc_min: float
    """Below this supply temperature [degC] people feel it: heat before everything."""
    supply_degc_max: float
    """Never above this supply temperature [degC]."""
    supply_setpoint_degc: Pairs
    """Heating curve: pairs of outdoor temperature [degC] and supply temperature [degC], outdoor rising."""
    supply_point: str
    """Point of the supply header's temperature: one that always sees water, e.g. io1.supply_temperature."""
    return_point: str
    """Point of the return header's temperature."""
    design_kw: float = Field(gt=0)
    """Load [kW] at the design outdoor temperature; the forecast's last resort while there is no history."""
    design_outdoor_degc: float = -12.0
    """Outdoor temperature [degC] of the design load."""
    balance_outdoor_degc: float = 17.0
    """Outdoor temperature [degC] above which no heat is needed; of a cold loop, below which no cold is."""


class Source(Entry):
    """What units draw from or reject to."""

    kind: Literal["ground", "groundwater", "reclaimed_water", "sewage", "waste_heat", "deep_geothermal", "air"]
    """Kind of source."""
    meter: str | None = None
    """Device: heat meter of the source side."""
    inlet_degc_min: float | None = None
    """Lowest temperature [degC] of the water coming from the source."""
    outlet_degc_max: float | None = None
    """Highest temperature [degC] of the water going back."""
    heat_kw_max: float | None = Field(default=None, gt=0)
    """Most heat drawn or rejected [kW]."""
    balance_cny_per_kwh: float = 0.0
    """Price of each kWh drawn [CNY/kWh], to keep the ground in balance."""


class Storage(Entry):
    """A tank."""

    kind: Literal["hot_water", "chilled_water", "ice", "pcm"]
    """Kind of storage."""
    loop: str
    """Loop that it discharges into."""
    volume_m3: float = Field(gt=0)
    """Water volume [m3]."""
    degc_min: float
    """Water at this temperature [degC] counts as empty."""
    degc_max: float
    """Water at this temperature [degC] counts as full."""
    meter: str | None = None
    """Device: heat meter of the tank, positive while charging."""
    layers: Names
    """Points of the layer temperatures, from top to bottom, equal volumes."""
    charge_kw_max: float = Field(gt=0)
    """Most heat into the tank [kW]."""
    discharge_kw_max: float = Field(gt=0)
    """Most heat out of the tank [kW]."""
    charge_setpoint_degc: float
    """Leaving temperature [degC] asked of a unit that charges; the highest, where charge_setpoint_degc_min is given."""
    charge_setpoint_degc_min: float | None = None
    """Lowest such temperature [degC]: each plan asks for what the next day needs, between the two. None: never less."""
    pump_kw_per_kw: float = Field(default=0.01, ge=0, lt=0.2)
    """Electricity of the tank's own pumps [kW] for each kW into or out of it; 0: other pumps do it."""
    loss_ratio_per_day: float = Field(default=0.01, ge=0, lt=1)
    """Share of the stored heat lost in a day, until identified."""
    isolating_valve: str
    """Valve that must be open to charge or discharge."""
    discharge_valve: str
    """Modulating valve that lets the tank feed the loop."""


class UnitPoints(Entry):
    """Which point carries what, where it is not the usual one: `device.point`, or null where the unit has none.

    A unit with registers has its points on its own device under the names of these keys. One on contacts has
    run_contact, running_contact, fault_contact, remote_contact, user_flow and source_flow there, and what is named
    here.
    """

    run_request: str | None = None
    """Written: 1 run, 0 stop. On contacts: the contact that also brings in the first stage."""
    mode_request: str | None = None
    """Written: 1 direct, 2 charge. Null only for a unit that knows no other mode than direct."""
    charge_contact: str | None = None
    """Contacts, written: 1 charge, 0 direct."""
    supply_setpoint: str | None = None
    """Written: leaving temperature [degC]. Null for a staged unit that takes none: we then choose its stages."""
    capacity_limit: str | None = None
    """capacity_ratio, written: most load, 0..1."""
    stage_request: str | None = None
    """Stages, written: how many stages may run."""
    stage_contacts: Names = ()
    """Written, instead of `stage_request`: a contact for stage 2, one for stage 3 ...; the run request is stage 1."""
    heartbeat: str | None = None
    """Written: any number serves the unit's watchdog. Null where it has none."""
    state: str | None = None
    """Read: 0 off, 1 starting, 2 running, 3 stopping, 4 tripped."""
    mode_actual: str | None = None
    """Read: 0 none, 1 direct, 2 charge."""
    remote: str | None = None
    """Read: 1 remote, 0 local. Null: nobody can switch it to local, it counts as remote."""
    alarm_code: str | None = None
    """Read: 0 none."""
    load_ratio: str | None = None
    """Read: load 0..1, in the unit's own word."""
    stage_actual: str | None = None
    """Read: how many stages run."""
    stage_feedbacks: Names = ()
    """Read: a contact for each stage after the first that shows that it runs."""
    running: str | None = None
    """Contacts, read: 1 while the unit runs. Null: its electricity meter tells (meters.units)."""
    fault: str | None = None
    """Contacts, read: 1 while a fault is latched. Null: none is shown."""
    user_flow: str | None = None
    """Read: flow switch of the user side."""
    source_flow: str | None = None
    """Read: flow switch of the source side."""
    user_supply_temperature: str | None = None
    """Read: leaving water [degC]."""
    user_return_temperature: str | None = None
    """Read: entering water [degC]."""
    source_inlet_temperature: str | None = None
    """Read: water from the source [degC]."""
    source_outlet_temperature: str | None = None
    """Read: water to the source [degC]."""
    electric_power: str | None = None
    """Read: electric power [kW]; where it has none, that of its electricity meter counts."""
    starts_total: str | None = None
    """Read: counter of starts."""


class Unit(Entry):
    """A heat-pump unit."""

    device: str
    """Device entry that speaks to it."""
    source: str
    """Source it draws from."""
    loop: str
    """Loop it serves."""
    storage: str | None = None
    """Storage that it can charge; needed for mode `charge`."""
    modes: Names
    """Modes it can run in: direct, charge."""
    identical_to: str | None = None
    """Name of a unit that is the same in everything: planned together, which is much quicker."""
    heat_kw_rated: float = Field(gt=0)
    """Rated heat [kW]."""
    performance: str
    """A map in config/performance/, or `nameplate`."""
    actuation: Literal["capacity_ratio", "stages", "supply_setpoint", "contacts"]
    """What the unit can really be told."""
    points: UnitPoints = UnitPoints()
    """Points that are not the usual ones of its actuation."""
    stage_ratios: Ratios = ()
    """stages, contacts: share of the full heat with 1, 2 ... stages on; rises to 1. Empty: the unit is on or off."""
    stage_up_s: float = Field(default=300.0, ge=0)
    """stages, contacts: least time from a start or a stage to one stage more [s]."""
    stage_down_s: float = Field(default=180.0, ge=0)
    """stages, contacts: least time from a start or a stage to one stage less [s]."""
    stage_proof_s: float = Field(default=180.0, gt=0)
    """stages, contacts: a stage that does not show within this time is an alarm [s]."""
    min_on_s: float = Field(ge=0)
    """Shortest run [s]."""
    min_off_s: float = Field(ge=0)
    """Shortest rest [s]."""
    starts_per_hour_max: int = Field(default=2, ge=1)
    """Most starts in any hour."""
    starts_per_day_max: int = Field(default=6, ge=1)
    """Most starts in a civil day."""
    source_pump: str
    """Pump of the source side."""
    user_pump: str
    """Pump of the user side."""
    pump_owner: Literal["agent", "unit", "plc", "hand"]
    """Who commands its pumps; we command only what we own."""
    pump_kw: float = Field(default=0.0, ge=0)
    """Electricity of its two pumps [kW], planned with each running unit."""
    crankcase_heat_s: float = Field(default=43_200.0, ge=0)
    """After its power was away for longer than `control.power_cut_s`, it is not started before its oil has been heated
    for as long as the power was away, at most this long [s]. Source: an operating rule for a centrifugal unit, 12 h in
    summer; see the unit's manual."""
    user_flow_point: str | None = None
    """`device.point` of the flow through its user side [m3/h], if measured: proves flow beside the flow switch."""
    user_flow_m3_per_h_min: float = Field(default=1.0, gt=0)
    """Least flow that proves it [m3/h]. Source: the unit's manual."""
    source_flow_point: str | None = None
    """`device.point` of the flow through its source side [m3/h], if measured."""
    source_flow_m3_per_h_min: float = Field(default=1.0, gt=0)
    """Least flow that proves it [m3/h]. Source: the unit's manual."""
    start_cost_cny: float = Field(default=15.0, ge=0)
    """Wear of a start [CNY], weighed by the plan."""

    def point(self, role: str) -> str | None:
        """The `device.point` that carries a role (a key of `points`); None: this unit has none."""
        given = {key: getattr(self.points, key) for key in self.points.model_fields_set}
        return point_of(role, actuation=self.actuation, device=self.device, points=given)


class Auxiliary(Entry):
    """Another source of heat."""

    kind: Literal["gas_boiler", "electric_boiler", "heat_network", "solar"]
    """Kind."""
    loop: str
    """Loop it serves."""
    device: str
    """Device entry that speaks to it."""
    heat_kw_min: float = Field(default=0.0, ge=0)
    """Lowest output while on [kW]."""
    heat_kw_max: float = Field(gt=0)
    """Highest output [kW]."""
    heat_cny_per_kwh: float
    """Cost of its heat [CNY/kWh]."""


class Pump(Entry):
    """A pump: where it is commanded and where it says that it runs."""

    device: str
    """Device entry."""
    command: str = "run_command"
    """Point written: 1 on, 0 off."""
    feedback: str = "running"
    """Point read: 1 while it runs."""
    power_point: str | None = None
    """`device.point` of its electric power [kW], if measured: a start is proven by feedback and power."""
    exposed: bool = False
    """Whether its pipes run outdoors or through rooms that may freeze: it circulates in frost."""


class Valve(Entry):
    """A valve."""

    device: str
    """Device entry."""
    point: str
    """Point written: 0 closed .. 1 open."""
    feedback: str | None = None
    """Point read: position 0..1."""
    travel_s: float = Field(gt=0)
    """Time from closed to open [s]."""


class OperatingMode(Entry):
    """A hydraulic mode: what must stand how."""

    name: str
    """Name shown to operators."""
    name_en: str | None = None
    """The same in English; without it the key stands in."""
    valves: Mapping[str, Literal["open", "closed", "modulating"]]
    """Where each valve must stand."""
    units_in: Names
    """Unit modes that may run."""
    pumps: Mapping[str, Literal["on", "off"]] = {}
    """Pumps beside the units' own that run in it; one that a mode does not name stands."""
    setpoints_degc: Mapping[str, float] = {}
    """Leaving temperature asked of units, by unit mode; without it dispatch decides [degC]."""


class Meters(Entry):
    """Which device measures what."""

    electricity: str
    """Main electricity meter (device)."""
    units: Mapping[str, str] = {}
    """Electricity meter of each unit (unit name: device)."""
    weather: str
    """Point of the outdoor temperature."""


class Forecast(Entry):
    """What the plan may know of the days ahead."""

    weather_file: str | None = None
    """File beside site.yaml that a weather service keeps up to date: rows `start,outdoor_degc`; none: own sensor."""


class Limits(Entry):
    """Limits of the connection."""

    grid_kw_max: float | None = Field(default=None, gt=0)
    """Most power drawn [kW]."""
    contract_demand_kw: float | None = Field(default=None, gt=0)
    """Contracted maximum demand [kW]."""
    demand_window_min: int = Field(default=15, ge=1, le=60)
    """Metering window of the demand [min]."""


class Control(Entry):
    """Pace of control and the times of the sequences; each default is cautious and can be set on site.

    Source of the defaults: maker manuals, one each (pump lead >= 60 s, overrun 60-180 s), else our own.
    """

    cycle_s: float = Field(default=10.0, gt=0)
    """Control cycle [s]."""
    replan_min: int = Field(default=15, ge=1, le=240)
    """A new plan this often [min]."""
    horizon_h: int = Field(default=48, ge=12, le=168)
    """How far the plan looks [h]."""
    solve_s_max: float = Field(default=10.0, gt=0)
    """Wall time allowed to the solver [s]."""
    solve_gap_ratio: float = Field(default=0.003, ge=0, lt=1)
    """Proven distance to the optimum at which the solver may stop."""
    valve_margin_s: float = Field(default=30.0, ge=0)
    """Added to a valve's travel time before it counts as stuck [s]."""
    pump_proof_s: float = Field(default=120.0, gt=0)
    """Time for a pump's run feedback [s]."""
    flow_proof_s: float = Field(default=120.0, gt=0)
    """Time for both flows to be proven [s]."""
    pump_lead_s: float = Field(default=60.0, ge=0)
    """Pumps run this long before the unit is asked to start [s]."""
    unit_start_s: float = Field(default=600.0, gt=0)
    """Time for the unit to report starting or running [s]; its own anti-recycle timer included."""
    start_counts_s: float = Field(default=300.0, gt=0)
    """A unit that was asked to run and only starts, without a compressor's power, is counted on for this long [s]; then
    others are started for the load. Ours: a unit gives its heat after 3 min."""
    ramp_watch_s: float = Field(default=300.0, gt=0)
    """A unit that runs must draw power and warm its water within this time [s]. Source: one measured start, 90 % of the
    temperature difference after 170 s."""
    mode_change_s: float = Field(default=300.0, gt=0)
    """Time for a running unit to show the mode that it was asked for [s]. Ours."""
    mode_hold_s: float = Field(default=600.0, ge=0)
    """Least time between two changes of a running unit's mode [s]. Ours: the loop must settle."""
    start_held_s: float = Field(default=900.0, gt=0)
    """A start that is held up at its last step for this long counts as failed [s]. Ours."""
    idle_s: float = Field(default=60.0, ge=0)
    """A unit that its own thermostat has stopped this long ago is no longer asked to run [s], so that it cannot start
    by itself outside of our minimum times. Ours; units rest for minutes before they start again."""
    tank_rest_s: float = Field(default=600.0, ge=0)
    """The way to a tank stays open this long after the tank was last needed [s]: valves wear too. Ours."""
    unit_stop_s: float = Field(default=600.0, gt=0)
    """Time for the unit to report off before an alarm [s]; pumps stay on whatever happens."""
    pump_overrun_s: float = Field(default=120.0, ge=0)
    """Pumps run on after the unit reports off [s]."""
    stagger_s: float = Field(default=120.0, ge=0)
    """Least time between the starts of two units [s]."""
    start_retries: int = Field(default=2, ge=0)
    """Tries after a start that was not proven, each after the minimum rest."""
    stage_up_s: float = Field(default=600.0, ge=0)
    """A lack of heat must last this long before one more unit than planned is started [s]."""
    charge_end_margin_min: float = Field(default=10.0, ge=0)
    """Charging ends this long before a peak begins [min]."""
    stage_down_s: float = Field(default=180.0, ge=0)
    """Least time between two units leaving a loop [s], so that what remains can follow. Ours."""
    freeze_warn_k: float = Field(default=2.0, ge=0)
    """Source water this close to its lower limit is an alarm [K]. Ours: 2 K above the protection's own trip."""
    freeze_act_k: float = Field(default=1.0, ge=0)
    """Source water this close to its lower limit: no start, and running units give less [K]. Ours: 1 K above the
    trip."""
    freeze_loop_degc: float = Field(default=5.0)
    """A loop's water below this is an alarm, and its pumps run to keep it moving [degC]. Ours."""
    freeze_outdoor_degc: float = Field(default=2.0)
    """Outdoor temperature below which exposed pumps circulate [degC]. Ours."""
    freeze_run_s: float = Field(default=300.0, gt=0)
    """... for this long [s]. Ours."""
    freeze_every_s: float = Field(default=3600.0, gt=0)
    """... when they have stood for this long [s]. Ours."""
    danger_s: float = Field(default=60.0, ge=0)
    """What stops a unit for its protection must have been seen for this long [s]: one reading is none. Ours."""
    over_act_k: float = Field(default=1.0, ge=0)
    """A supply this far above its upper limit: direct units give their least, none is started [K]. Ours."""
    over_stop_k: float = Field(default=3.0, ge=0)
    """... and are stopped after their minimum run [K]. Ours."""
    doubt_k: float = Field(default=2.0, gt=0)
    """Two sensors of the same water that differ by more do not fit together [K]. Ours: several times their class."""
    doubt_s: float = Field(default=600.0, ge=0)
    """... for this long, and it is an alarm, and the plausible one is used [s]. Ours."""
    sensor_frozen_s: float = Field(default=900.0, gt=0)
    """A sensor that has not moved by a bit for this long, while water flowed and its neighbour moved by more than that
    difference, does not measure [s]. Ours."""
    pump_kick_every_s: float = Field(default=604_800.0, ge=0)
    """A pump that has stood for this long is turned, so that it does not seize [s]; 0: never. Ours: a week; one maker
    turns its pumps every day for 2 s."""
    pump_kick_s: float = Field(default=60.0, gt=0)
    """... for this long [s]. Ours: long enough to be seen."""
    power_cut_s: float = Field(default=3600.0, gt=0)
    """A unit that was silent for longer, and is off when it answers again, counts as having been without power [s]:
    its oil is heated first. Ours."""
    rotate_h: float = Field(default=50.0, ge=0)
    """Among identical units the one with fewer running hours starts first, once the difference is this large [h]. Ours:
    without it, equal units would change places for minutes."""
    stale_s: float = Field(default=180.0, gt=0)
    """A reading older than this is not used for control [s]."""
    handover_s: float = Field(default=300.0, gt=0)
    """After a planned restart the units are held as they are for at most this long [s]."""
    heartbeat_s: float = Field(default=60.0, gt=0)
    """The units' watchdogs are refreshed this often [s]."""
    order_h_max: float = Field(default=24.0, gt=0, le=72)
    """An operator's order stands for at most this long [h]."""


class StorageMedia(Entry):
    """Where records are kept."""

    state_dir: FilePath = Path("/var/lib/edge-agent")
    """Folder of the databases."""
    quota_mb: int = Field(default=2000, ge=16)
    """Most disk space used [MB]."""
    raw_days: int = Field(default=90, ge=1)
    """Raw frames of so many days of recording are kept [d]: a day goes when it is older and so much came after it."""


class Web(Entry):
    """The operator's screen."""

    listen: str = "127.0.0.1:8080"
    """Address and port."""
    language: Literal["zh", "en"] = "zh"
    """Language shown first."""


class SiteFile(Entry):
    """site.yaml."""

    site: Site
    """Who and where."""
    commissioning: Commissioning = Commissioning()
    """Signature."""
    seasons: Mapping[str, str] = {}
    """Season name: MM-DD..MM-DD."""
    loops: Mapping[str, Loop]
    """What must be served."""
    sources: Mapping[str, Source] = {}
    """What units draw from."""
    storages: Mapping[str, Storage] = {}
    """Tanks."""
    units: Mapping[str, Unit]
    """Heat-pump units."""
    auxiliaries: Mapping[str, Auxiliary] = {}
    """Boilers, networks, solar."""
    pumps: Mapping[str, Pump] = {}
    """Pumps."""
    valves: Mapping[str, Valve] = {}
    """Valves."""
    operating_modes: Mapping[str, OperatingMode] = {}
    """Hydraulic modes."""
    meters: Meters
    """Which device measures what."""
    forecast: Forecast = Forecast()
    """What the plan may know of the days ahead."""
    limits: Limits = Limits()
    """Limits of the connection."""
    control: Control = Control()
    """Pace and times."""
    storage_media: StorageMedia = StorageMedia()
    """Where records are kept."""
    web: Web = Web()
    """The screen."""


class BusEntry(Entry):
    """A wire: exactly one of serial, tcp, rtu_over_tcp."""

    serial: str | None = None
    """Path of the serial port, best under /dev/serial/by-id."""
    baud: int = Field(default=9600, ge=300)
    """Bits per second."""
    framing: Framing = "8N1"
    """Character framing."""
    tcp: str | None = None
    """host:port of a Modbus TCP device or gateway."""
    rtu_over_tcp: str | None = None
    """host:port of a serial server."""
    depth: int = Field(default=1, ge=1, le=8)
    """Requests in flight at once (tcp); more than 1 only where device or gateway is known to queue them."""
    lenient_ids: bool = False
    """Accept answers whose transaction number the gateway has changed (tcp); needs depth 1.

    Its price: an answer that comes late cannot be told by its number. So a unit that did not answer is left alone for
    5 s (10 s if it has been later) and asked again on a new connection. An answer still later than that, on the new
    connection, for a read of the same form, would pass for the new one's.
    """
    connect_delay_s: float | None = Field(default=None, ge=0, le=30)
    """Rest between a new connection and the first request [s] (tcp); absent: as the devices need, and learned."""


class DeviceEntry(Entry):
    """A unit on a bus."""

    bus: str
    """Name of the bus."""
    unit: int = Field(ge=0, le=255)
    """Modbus unit number."""
    profile: str
    """Register map: a profile shipped with the product or in profiles/ beside this file."""
    period_s: float = Field(gt=0)
    """Read this often [s]."""
    points: Mapping[str, Mapping[str, object]] = {}
    """Points that differ from the profile."""


class DevicesFile(Entry):
    """devices.yaml."""

    buses: Mapping[str, BusEntry]
    """Wires."""
    devices: Mapping[str, DeviceEntry]
    """Units on them."""


class Uplink(Entry):
    """One receiver of records."""

    transport: Literal["mqtt_json", "mohurd_tcp", "https_json"]
    """How it is spoken to."""
    period_min: int = Field(ge=1, le=1440)
    """Length of a record's period [min]; divides a day."""
    plant: str | None = None
    """mqtt_json: plant name in topics."""
    broker: str | None = None
    """mqtt_json: mqtt://host:port or mqtts://host:port."""
    credentials: str | None = None
    """Name of the credential files beside the configuration: NAME.user (user and password, one a line), NAME.crt and
    NAME.key (our certificate), NAME.ca (authorities of the platform), NAME.crl (what they have revoked)."""
    url: str | None = None
    """https_json: where records are posted, https://host/path."""
    profile: str | None = None
    """mohurd_tcp: dialect, one of those that come with the product or uplink/NAME.yaml beside this file."""
    options: Mapping[str, object] = {}
    """mohurd_tcp: options of the dialect that differ here, e.g. {crc: {order: high_first}}; see `schema dialect`."""
    servers: Names = ()
    """mohurd_tcp: host:port of each server."""
    project_id: str | None = None
    """mohurd_tcp: project number."""
    gateway_id: str | None = None
    """mohurd_tcp: collector number."""
    keys: str | None = None
    """mohurd_tcp: name of the credential file with the keys."""
    resend_s: float = Field(default=30.0, gt=0)
    """No acknowledgement within this wall time [s]: send again."""
    backfill_per_s: float = Field(default=50.0, gt=0, le=10_000)
    """After an outage at most so many old records a second [1/s]; new ones always go first."""
    alarms: bool = False
    """true: alarms are sent as well, ahead of all records; only where the protocol can carry them (mqtt_json)."""
    reconcile: Literal["never", "daily"] = "never"
    """daily: what was delivered without an acknowledgement yesterday is sent again once, to be proven."""


class ReportedPoint(Entry):
    """A point that is reported."""

    point: str
    """device.point."""
    code: str = Field(pattern=r"^[0-9A-Za-z_.-]{1,32}$")
    """Code on the platform."""
    aggregate: Literal["mean", "last", "min", "max"] = "mean"
    """What of the period is reported."""
    number: int | None = Field(default=None, ge=1, le=99)
    """Number of the point at its collector, the end of its 15-digit code; absent: its place in this list."""


class UplinkFile(Entry):
    """uplink.yaml."""

    uplinks: Mapping[str, Uplink] = {}
    """Receivers."""
    points: Annotated[tuple[ReportedPoint, ...], BeforeValidator(tuples)] = ()
    """What is reported under which code."""


class PerformanceMode(Entry):
    """One mode of a unit at its usual temperatures."""

    heat_kw: float = Field(gt=0)
    """Output at full load [kW]."""
    curve: Pairs
    """Pairs of load ratio and electricity [kW], convex; first = lowest load."""
    source_degc: float | None = None
    """Source temperature [degC] of these figures; needed with `full_load`."""
    load_degc: float | None = None
    """Leaving temperature [degC] of these figures; needed with `full_load`."""
    full_load: Rows = ()
    """Full load at other temperatures, a row each: source [degC], leaving [degC], output [kW], electricity [kW].
    Without it the unit is planned at its usual temperatures all the time."""


class Performance(Entry):
    """config/performance/NAME.yaml: what a unit needs for what it gives."""

    name: str
    """Name shown."""
    source: str
    """Where the figures come from."""
    modes: Mapping[str, PerformanceMode]
    """By unit mode."""
