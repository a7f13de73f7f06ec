"""What a configuration amounts to, in sentences: `check --explain`. For people who did not write the files."""

from collections.abc import Iterator

from edge_agent.settings.load import Configuration
from scheduling.tariff.bands import BAND_ZH, BANDS

WATER_KWH_PER_M3_K = 1.16
"""Heat held by water [kWh/(m3 K)] at 50 degC: 988 kg/m3 x 4.181 kJ/(kg K) / 3600.

Source: IAPWS-IF97 property tables for water at 50 degC.
"""


def sentences(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """Say it in Chinese and English, one subject a sentence."""
    yield from _plant(configuration)
    yield from _wires(configuration)
    yield from _tariff(configuration)
    yield from _uplinks(configuration)
    yield from _authority(configuration)


def _plant(configuration: Configuration) -> Iterator[tuple[str, str]]:
    site = configuration.site
    heat_kw = sum(unit.heat_kw_rated for unit in site.units.values())
    yield (
        f"{site.site.name}:{len(site.units)} 台机组,共 {heat_kw:g} kW,供 {site.site.heated_area_m2:g} m2",
        f"{site.site.name}: {len(site.units)} units, {heat_kw:g} kW in all, for {site.site.heated_area_m2:g} m2",
    )
    for name, unit in site.units.items():
        yield (
            f"  {name}:{' '.join(unit.modes)},控制方式 {unit.actuation},至少运行 {unit.min_on_s / 60:g} min、"
            f"停机 {unit.min_off_s / 60:g} min" + (f",与 {unit.identical_to} 相同" if unit.identical_to else ""),
            f"  {name}: {' '.join(unit.modes)}, told by {unit.actuation}, runs at least {unit.min_on_s / 60:g} min, "
            f"rests {unit.min_off_s / 60:g} min" + (f", identical to {unit.identical_to}" if unit.identical_to else ""),
        )
    for name, tank in site.storages.items():
        heat_kwh = tank.volume_m3 * WATER_KWH_PER_M3_K * (tank.degc_max - tank.degc_min)
        if tank.kind != "hot_water":
            continue
        yield (
            f"  {name}:{tank.volume_m3:g} m3,{tank.degc_min:g}..{tank.degc_max:g} °C,约可蓄 {heat_kwh:.0f} kWh",
            f"  {name}: {tank.volume_m3:g} m3, {tank.degc_min:g}..{tank.degc_max:g} degC, about {heat_kwh:.0f} kWh",
        )


def _wires(configuration: Configuration) -> Iterator[tuple[str, str]]:
    for name, bus in configuration.devices.buses.items():
        where = bus.serial or bus.tcp or bus.rtu_over_tcp
        devices = [device for device, entry in configuration.devices.devices.items() if entry.bus == name]
        points = sum(len(configuration.profiles[device].points) for device in devices)
        speed = f" {bus.baud} {bus.framing}" if bus.serial else ""
        yield (
            f"总线 {name} ({where}{speed}):{len(devices)} 台设备,{points} 个测点",
            f"bus {name} ({where}{speed}): {len(devices)} devices, {points} points",
        )


def _tariff(configuration: Configuration) -> Iterator[tuple[str, str]]:
    tariff = configuration.tariff
    last, calendar = tariff.prices[-1], tariff.calendars[-1]
    prices = [(band, last.by_component(band)) for band in BANDS]
    known = [(band, sum(parts.values())) for band, parts in prices if parts is not None]
    zh = " ".join(f"{BAND_ZH[band]} {price:.4f}" for band, price in known)
    en = " ".join(f"{band} {price:.4f}" for band, price in known)
    yield (
        f"电价 {tariff.name}:时段 {calendar.valid_from} 起,价格 {last.valid_from} 起:{zh} 元/kWh",
        f"tariff {tariff.name}: bands since {calendar.valid_from}, prices since {last.valid_from}: {en} CNY/kWh",
    )


def _uplinks(configuration: Configuration) -> Iterator[tuple[str, str]]:
    count = len(configuration.uplink.points)
    for name, uplink in configuration.uplink.uplinks.items():
        yield (
            f"上传 {name}:{uplink.transport},每 {uplink.period_min} min 上报 {count} 个测点",
            f"uplink {name}: {uplink.transport}, {count} points every {uplink.period_min} min",
        )


def _authority(configuration: Configuration) -> Iterator[tuple[str, str]]:
    signature = configuration.site.commissioning
    if signature.signed_by is None:
        yield "未签字:不向任何设备写入", "unsigned: nothing is written to any device"
    else:
        yield (
            f"{signature.signed_by} 于 {signature.signed_on} 签字;首次启动方式 {signature.start_mode}",
            f"signed by {signature.signed_by} on {signature.signed_on}; first mode {signature.start_mode}",
        )
