"""Loads a configuration folder: reads every file, collects everything that is wrong, and builds what the service needs.

`inspect` reports, `load_configuration` insists. Neither opens a port or a socket.
"""

import functools
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel

from drivers.catalogue import SHIPPED_DIR, profiles_in, shipped
from drivers.errors import ProfileFault
from drivers.profile import Profile
from drivers.profile_file import merged, override, parse_profile
from drivers.profile_form import ProfileFile
from edge_agent.errors import ConfigurationFault
from edge_agent.settings.check import Files, check, check_performance, check_zone
from edge_agent.settings.dialect import Dialect
from edge_agent.settings.dialect_file import dialect_paths, read_dialect
from edge_agent.settings.files import DEVICES, SITE, TARIFF, UPLINK, shipped_config
from edge_agent.settings.finding import Finding
from edge_agent.settings.form import nearest, validate
from edge_agent.settings.market_file import read_market
from edge_agent.settings.model import DevicesFile, Performance, SiteFile, UplinkFile
from edge_agent.settings.series_file import SeriesFault
from edge_agent.settings.weather_file import read_weather, weather_finding
from edge_agent.settings.yaml_file import Document, Path_, read_document
from edge_agent.texts.catalogue import text
from scheduling.tariff.bands import ALIASES, BANDS
from scheduling.tariff.check import check_tariff
from scheduling.tariff.model import Tariff

SHIPPED_MARK = "shipped:"
"""Before the names of files that come with the product."""
FINDINGS_MAX = 200
"""A file that is not a configuration at all may break every rule at once; nobody reads more findings than this."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration that passed every check.

    Attributes:
        folder: where it was read.
        site: the plant.
        devices: buses and devices.
        tariff: what electricity costs.
        uplink: who gets what.
        profiles: device -> register map, with the device's own changes.
        performance: unit -> performance map.
        dialects: uplink -> how its platform is spoken to, with the plant's own options.
        warnings: what should be looked at, though it stops nothing.
    """

    folder: Path
    site: SiteFile
    devices: DevicesFile
    tariff: Tariff
    uplink: UplinkFile
    profiles: Mapping[str, Profile]
    performance: Mapping[str, Performance]
    dialects: Mapping[str, Dialect]
    warnings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """Everything found in a folder.

    Attributes:
        files: the files that were looked at, by name.
        errors: what must be mended before the service starts.
        warnings: what should be looked at.
        configuration: the configuration, when there are no errors.
    """

    files: tuple[str, ...]
    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    configuration: Configuration | None


def load_configuration(folder: Path) -> Configuration:
    """Read a folder.

    Raises:
        ConfigurationFault: with every error found, each at its file, line and column.
    """
    inspection = inspect(folder)
    if inspection.configuration is None:
        count = len(inspection.errors)
        raise ConfigurationFault(
            f"{folder}: 配置有 {count} 处错误,未启动 / {count} error{'s' * (count != 1)} in the configuration",
            findings=inspection.errors,
        )
    return inspection.configuration


def load_site(folder: Path) -> SiteFile:
    """Read site.yaml alone: who wants to see or stop the running service must not be kept from it by another file.

    Raises:
        ConfigurationFault: with every error found in this file; with those of the folder where there is none.
    """
    if not folder.is_dir():
        return load_configuration(folder).site
    reader = _Reader(folder)
    site = reader.file(SITE, SiteFile)
    if site is not None:
        reader.findings.extend(check_zone(reader.documents["site"]))
    errors = tuple(finding for finding in reader.findings if finding.severity == "error")
    if site is None or errors:
        count = len(errors)
        raise ConfigurationFault(
            f"{folder / SITE}: {count} 处错误 / {count} error{'s' * (count != 1)} in the site file", findings=errors
        )
    return site


def load_tariff(name: str, *, zone: ZoneInfo) -> Tariff:
    """Read one tariff file without a site.

    Args:
        name: path of the file, or the name of one that comes with the product, such as `guangdong`.
        zone: zone for the rows of its market file.

    Raises:
        ConfigurationFault: with every error found.
    """
    shipped_path = shipped_config() / "tariffs" / f"{name}.yaml"
    path = shipped_path if shipped_path.is_file() and not Path(name).is_file() else Path(name)
    document, findings = read_document(path, file=str(path))
    tariff = None
    if document is not None:
        tariff, faults = validate(Tariff, document)
        findings = [*findings, *faults]
    if document is not None and tariff is not None:
        findings.extend(_tariff_findings(document, tariff))
        tariff, about_market = read_market(path.parent, tariff, zone=zone)
        findings.extend(about_market)
    errors = tuple(finding for finding in findings if finding.severity == "error")
    if errors or tariff is None:
        raise ConfigurationFault(
            f"{path}: {len(errors)} 处错误 / {len(errors)} error{'s' * (len(errors) != 1)} in the tariff file",
            findings=errors,
        )
    return tariff


def inspect(folder: Path) -> Inspection:
    """Read a folder and report everything that is wrong with it."""
    if not folder.is_dir():
        words = text("folder_missing", folder=folder)
        missing = Finding(str(folder), 0, 0, "folder_missing", words.zh, words.en, words.hint_zh, words.hint_en)
        return Inspection((), (missing,), (), None)
    reader = _Reader(folder)
    site = reader.file(SITE, SiteFile)
    devices = reader.file(DEVICES, DevicesFile)
    tariff = reader.file(TARIFF, Tariff)
    uplink = reader.file(UPLINK, UplinkFile)
    if tariff is not None:
        reader.findings.extend(_tariff_findings(reader.documents["tariff"], tariff))
        if site is not None:
            tariff = reader.market(tariff, site)
    if site is not None:
        reader.weather(site)
    profiles = reader.profiles()
    performance = reader.performance()
    dialects = reader.dialects()
    reader.credentials()
    reader.findings.extend(
        check(
            Files(
                documents=reader.documents,
                profiles=profiles,
                profile_names=tuple(reader.profile_paths),
                performance=performance,
                performance_names=tuple(reader.performance_paths),
                dialects=dialects,
            )
        )
    )
    findings = sorted(dict.fromkeys(reader.findings), key=reader.rank)[:FINDINGS_MAX]
    errors = tuple(finding for finding in findings if finding.severity == "error")
    warnings = tuple(finding for finding in findings if finding.severity == "warning")
    configuration = None
    if not errors:
        assert site is not None
        assert devices is not None
        assert tariff is not None
        assert uplink is not None
        configuration = Configuration(
            folder=folder,
            site=site,
            devices=devices,
            tariff=tariff,
            uplink=uplink,
            profiles=MappingProxyType(profiles),
            performance=MappingProxyType({name: performance[unit.performance] for name, unit in site.units.items()}),
            dialects=MappingProxyType(dialects),
            warnings=warnings,
        )
    return Inspection(tuple(reader.seen), errors, warnings, configuration)


class _Reader:
    """Reads the files of one folder and gathers what is wrong with them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.findings: list[Finding] = []
        self.documents: dict[str, Document] = {}
        self.seen: list[str] = []
        self.profile_paths = dict(shipped()) | dict(profiles_in(folder / "profiles"))
        self.performance_paths = {
            path.stem: path
            for place in (shipped_config() / "performance", folder / "performance")
            for path in sorted(place.glob("*.yaml"))
        }

    def rank(self, finding: Finding) -> tuple[int, int, int]:
        """Sort by file as they were read, then by line."""
        place = self.seen.index(finding.file) if finding.file in self.seen else len(self.seen)
        return place, finding.line, finding.column

    def file(self, file: str, model: type[Model]) -> Model | None:
        """Read one of the four files."""
        return self._read(self.folder / file, file, model, keep_as=file.removesuffix(".yaml"))

    def _read(self, path: Path, file: str, model: type[Model], *, keep_as: str | None = None) -> Model | None:
        document = self._document(path, file)
        if document is None:
            return None
        if keep_as is not None:
            self.documents[keep_as] = document
        built, findings = validate(model, document)
        self.findings.extend(findings)
        if built is not None and model is Performance:
            self.findings.extend(check_performance(document))
        return built

    def _document(self, path: Path, file: str) -> Document | None:
        if file not in self.seen:
            self.seen.append(file)
        document, findings = read_document(path, file=file)
        self.findings.extend(findings)
        return document

    def _name_of(self, path: Path) -> str:
        """How a file is called in messages: its path below the folder, or below what comes with the product."""
        if path.is_relative_to(self.folder):
            return str(path.relative_to(self.folder))
        return SHIPPED_MARK + "/".join(path.parts[-2:])

    def _mappings(self, document: str, section: str) -> Iterator[tuple[str, Mapping[str, object]]]:
        """The entries of a section that have the form of one, by name."""
        read = self.documents.get(document)
        members = read.data.get(section) if read is not None else None
        if isinstance(members, Mapping):
            for name, entry in members.items():
                if isinstance(name, str) and isinstance(entry, Mapping):
                    yield name, entry

    def profiles(self) -> dict[str, Profile]:
        """Device -> register map with the device's changes, for every device whose profile can be used."""
        plain: dict[str, Profile | None] = {}
        found: dict[str, Profile] = {}
        for device, entry in self._mappings("devices", "devices"):
            wanted = entry.get("profile")
            if not isinstance(wanted, str):
                continue
            if wanted not in self.profile_paths:
                self._unknown_profile(device, wanted)
                continue
            if wanted not in plain:
                plain[wanted] = self._profile(wanted)
            profile = plain[wanted]
            changes = entry.get("points")
            if profile is not None and isinstance(changes, Mapping) and changes:
                profile = self._changed(device, profile, changes)
            if profile is not None:
                found[device] = profile
        return found

    def _unknown_profile(self, device: str, wanted: str) -> None:
        close = nearest(wanted, self.profile_paths)
        self.findings.append(
            self.documents["devices"].finding(
                "unknown_name_near" if close else "unknown_name",
                ("devices", device, "profile"),
                name=wanted,
                kind_zh="设备型号文件",
                kind_en="profile",
                close=close,
                known=", ".join(self.profile_paths),
            )
        )

    def _profile(self, name: str) -> Profile | None:
        path = self.profile_paths[name]
        file = self._name_of(path)
        if file not in self.seen:
            self.seen.append(file)
        profile, findings = _shipped_profile(path, file) if path.parent == SHIPPED_DIR else _read_profile(path, file)
        self.findings.extend(findings)
        return profile

    def _changed(self, device: str, profile: Profile, changes: Mapping[str, object]) -> Profile | None:
        """Apply a device's own `points:`."""
        well_formed = {
            point: keys for point, keys in changes.items() if isinstance(point, str) and isinstance(keys, Mapping)
        }
        try:
            return override(profile, well_formed)
        except ProfileFault as fault:
            below = ("devices", device, "points")
            self.findings.extend(_profile_findings(self.documents["devices"], fault, profile, well_formed, below=below))
            return None

    def market(self, tariff: Tariff, site: SiteFile) -> Tariff:
        """The tariff with its market prices, where the site's zone is known."""
        try:
            zone = ZoneInfo(site.site.timezone)
        except (ZoneInfoNotFoundError, ValueError):  # said where it stands
            return tariff
        priced, findings = read_market(self.folder, tariff, zone=zone)
        self.findings.extend(findings)
        return priced

    def weather(self, site: SiteFile) -> None:
        """Says what is wrong with the weather service's file; control goes on without it."""
        file = site.forecast.weather_file
        if file is None:
            return
        try:
            read_weather(self.folder / file, zone=ZoneInfo(site.site.timezone))
        except (ZoneInfoNotFoundError, ValueError):  # said where it stands
            return
        except SeriesFault as fault:
            self.findings.append(weather_finding(file, fault))

    def performance(self) -> dict[str, Performance]:
        """Performance maps that the units name, those that can be used."""
        found: dict[str, Performance] = {}
        wanted = {entry.get("performance"): None for _, entry in self._mappings("site", "units")}
        for name in wanted:
            if isinstance(name, str) and name in self.performance_paths:
                path = self.performance_paths[name]
                performance = self._read(path, self._name_of(path), Performance)
                if performance is not None:
                    found[name] = performance
        return found

    def credentials(self) -> None:
        """Says which key files are missing; they may still come, or be shown to the service alone."""
        given = os.environ.get("CREDENTIALS_DIRECTORY")
        folders = [Path(given), self.folder] if given else [self.folder]
        for name, entry in self._mappings("uplink", "uplinks"):
            keys = entry.get("keys")
            if isinstance(keys, str) and keys and not any((folder / keys).is_file() for folder in folders):
                at = ("uplinks", name, "keys")
                self.findings.append(
                    self.documents["uplink"].finding("credential_missing", at, warning=True, given=keys)
                )

    def dialects(self) -> dict[str, Dialect]:
        """Uplink -> dialect with the uplink's options, for those whose dialect can be used."""
        found: dict[str, Dialect] = {}
        paths = dialect_paths(self.folder)
        for name, entry in self._mappings("uplink", "uplinks"):
            wanted, options = entry.get("profile"), entry.get("options", {})
            if (
                entry.get("transport") != "mohurd_tcp"
                or not isinstance(wanted, str)
                or not isinstance(options, Mapping)
            ):
                continue
            uplink = self.documents["uplink"]
            if wanted not in paths:
                close = nearest(wanted, paths)
                self.findings.append(
                    uplink.finding(
                        "unknown_name_near" if close else "unknown_name",
                        ("uplinks", name, "profile"),
                        name=wanted,
                        kind_zh="平台协议文件",
                        kind_en="dialect",
                        close=close,
                        known=", ".join(paths),
                    )
                )
                continue
            file, below = self._name_of(paths[wanted]), ("uplinks", name, "options")
            if file not in self.seen:
                self.seen.append(file)
            dialect, findings = read_dialect(paths[wanted], file=file, options=options, uplink=uplink, below=below)
            self.findings.extend(findings)
            if dialect is not None:
                found[name] = dialect
        return found


def known_profiles(folder: Path) -> list[Profile]:
    """Every register map that can be used: those that come with the product, and the plant's own beside its files."""
    paths = dict(shipped()) | dict(profiles_in(folder / "profiles"))
    read = (
        _shipped_profile(path, path.name) if path.parent == SHIPPED_DIR else _read_profile(path, path.name)
        for path in paths.values()
    )
    return [profile for profile, _ in read if profile is not None]


def _read_profile(path: Path, file: str) -> tuple[Profile | None, list[Finding]]:
    document, findings = read_document(path, file=file)
    if document is None:
        return None, findings
    try:
        return parse_profile(document.data, name=path.stem), findings
    except ProfileFault as fault:
        return None, [*findings, *_profile_findings(document, fault)]


_shipped_profile = functools.cache(_read_profile)
"""Files that come with the product do not change while it runs: each is read once a process."""


class _Changed:
    """A device's own `points:` as a document of their profile's form: what is wrong is shown where they stand."""

    def __init__(self, document: Document, data: Mapping[str, object], below: Path_) -> None:
        self.data = data
        self.file = document.file
        self._document = document
        self._below = below

    def finding(self, code: str, at: Path_, **options: object) -> Finding:
        """A finding at a path of the profile."""
        return self._document.finding(code, (*self._below, *at[1:]), **options)  # type: ignore[arg-type] # passed on

    def place(self, at: Path_, *, at_key: bool = False) -> tuple[int, int]:
        """Line and column of a path of the profile."""
        return self._document.place((*self._below, *at[1:]), at_key=at_key)

    def worded(self, *words: Any, **options: Any) -> Finding:  # noqa: ANN401 - passed on
        """A finding whose words are given."""
        return self._document.worded(*words, **options)


def _profile_findings(
    document: Document,
    fault: ProfileFault,
    profile: Profile | None = None,
    changes: Mapping[str, Mapping[str, object]] = MappingProxyType({}),
    *,
    below: Path_ = (),
) -> list[Finding]:
    """Everything that is wrong with a profile, or with a device's changes to it, at its place and in words.

    Args:
        document: the file.
        fault: the first fault, with those that came with it.
        profile: that is changed; None: the file is a profile.
        changes: of the device.
        below: where they stand.
    """
    with suppress(ProfileFault):  # an unknown point has no form
        if profile is None:
            found = validate(ProfileFile, document)[1]
        else:
            found = validate(ProfileFile, _Changed(document, merged(profile, changes), below))[1]
        if found:
            return found
    findings = []
    for one in (fault, *fault.others):
        at_key = one.code in {"profile_unknown_key", "profile_unknown_point", "profile_missing_key"}
        at = (*below, *one.at)
        if not one.why:
            findings.append(document.finding(one.code, at, at_key=at_key, message=str(one)))
            continue
        words, kind = text(one.why, **one.values), text(one.code, message="")
        line, column = document.place(at, at_key=at_key)
        findings.append(
            document.worded(
                one.code,
                line,
                column,
                words.zh,
                words.en,
                hint_zh=words.hint_zh or kind.hint_zh,
                hint_en=words.hint_en or kind.hint_en,
                at_key=at_key,
            )
        )
    return findings


# --------------------------------------------------------------------------------------------------------------- tariff


def _tariff_findings(document: Document, tariff: Tariff) -> Iterator[Finding]:
    """The tariff's own checks, with their lines; an overlap is shown at the later of the periods that overlap."""
    for finding in check_tariff(tariff):
        at = _overlap_at(document, tariff, finding.at) if finding.code == "tariff_overlap" else finding.at
        line, column = document.place(at)
        yield document.worded(
            finding.code,
            line,
            column,
            finding.zh,
            finding.en,
            hint_zh=finding.hint_zh,
            hint_en=finding.hint_en,
            warning=finding.severity == "warning",
        )


def _overlap_at(document: Document, tariff: Tariff, at: Path_) -> Path_:
    """Path of the period that stands last in the file among those which claim the first doubly claimed minute."""
    _, calendar, _, day = at
    assert isinstance(calendar, int)
    assert isinstance(day, int)
    kind = tariff.calendars[calendar].days[day]
    double = next(minute for minute, bands in enumerate(kind.table()) if len(bands) > 1)
    entry = document.data["calendars"][calendar]["days"][day]
    claims: list[Path_] = []
    for band in BANDS:
        key = next((key for key in (band, *ALIASES[band]) if key in entry), band)
        claims.extend(
            (*at, key, index) for index, period in enumerate(getattr(kind, band)) if double in set(period.minutes())
        )
    return max(claims, key=document.place, default=at)
