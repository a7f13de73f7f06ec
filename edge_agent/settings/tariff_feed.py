"""The tariff while the service runs: tariff.yaml and its market file are read again when they change.

Prices, calendars and called limits change more often than a plant: nobody should restart a controller for them. A file
that has become bad changes nothing: the last good tariff holds, and log and status say what is wrong and where.
"""

import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from edge_agent.errors import ConfigurationFault
from edge_agent.settings.files import TARIFF
from edge_agent.settings.finding import Finding
from edge_agent.settings.load import load_tariff
from edge_agent.settings.market_file import read_market
from scheduling.tariff.model import Tariff

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Mark:
    """What tells one content of a file from another without reading it; `touched_ns` sees rights and names as well."""

    changed_ns: int
    touched_ns: int
    inode: int
    size: int


class TariffFeed:
    """The tariff to price with, as the files have it now. It may be asked from several threads.

    Attributes:
        rejected: what is wrong with a tariff.yaml that was not taken over; None: the file in force is the one there is.
    """

    def __init__(self, folder: Path, tariff: Tariff, *, zone: ZoneInfo) -> None:
        """Starts with `tariff`; both files are looked at once more, lest one has changed since it was read."""
        self._folder = folder
        self._tariff = tariff
        self._zone = zone
        self._market: _Mark | None = None
        self._file: _Mark | None = None
        self._pending: _Mark | None = None
        self._settled = False
        self._lock = threading.Lock()
        self.rejected: Finding | None = None

    def changed(self) -> bool:
        """Whether there is something to read; asked once a minute or so.

        A tariff.yaml must have been seen alike twice, so that none is read while somebody is writing it.
        """
        with self._lock:
            mark = _mark(self._folder / TARIFF)
            self._settled, self._pending = mark == self._pending and mark not in (None, self._file), mark
            return self._settled or self._market_news() is not None

    def current(self) -> Tariff:
        """The tariff; what has changed since the last look is read first. The same object while nothing has."""
        with self._lock:
            if self._settled and _mark(self._folder / TARIFF) == self._pending:
                self._settled, self._file = False, self._pending
                self._read()
            market = self._market_news()
            if market is not None:
                self._market = market
                priced, findings = read_market(self._folder, self._tariff, zone=self._zone)
                for finding in findings:
                    LOG.warning(
                        "market prices: not taken over file=%s line=%d: %s", finding.file, finding.line, finding.en
                    )
                if priced != self._tariff:
                    self._tariff = priced
            return self._tariff

    def _read(self) -> None:
        try:
            new = load_tariff(str(self._folder / TARIFF), zone=self._zone)
        except ConfigurationFault as fault:
            findings = [finding for finding in fault.findings if isinstance(finding, Finding)]
            self.rejected = findings[0]
            for finding in findings:
                LOG.error(  # noqa: TRY400 - the place and the remedy are the message
                    "tariff not taken over, the last good one holds: %s line %d: %s; %s",
                    TARIFF, finding.line, finding.en, finding.hint_en,
                )  # fmt: skip
            return
        self.rejected = None
        old = self._tariff
        if new.market_series is None and old.market_series is not None and new.market == old.market:
            new = new.with_market(old.market_series)  # its file is bad or away just now: the last good prices hold
        self._market = None  # read with the tariff, and once more: what is wrong with it is told there
        if new != old:
            self._tariff = new
            LOG.info("tariff read again, it has changed file=%s", TARIFF)

    def _market_news(self) -> _Mark | None:
        """The market file's mark, if it is there and not the one that was read."""
        if self._tariff.market is None or self._tariff.market.file is None:
            return None
        mark = _mark(self._folder / self._tariff.market.file)
        if mark is None:
            self._market = None  # whatever comes back is read
        return None if mark == self._market else mark


def _mark(path: Path) -> _Mark | None:
    """None for a file that is not there: an editor may be about to put it back."""
    try:
        about = path.stat()
    except OSError:
        return None
    return _Mark(about.st_mtime_ns, about.st_ctime_ns, about.st_ino, about.st_size)
