"""What must be said beside a price: what was missing when it was made."""

from collections.abc import Mapping
from types import MappingProxyType

from edge_agent.texts.entry import Text

TEXTS: Mapping[str, Text] = MappingProxyType(
    {
        "price_month_missing": Text(
            "没有 {detail} 的电价,沿用最近公布的一条",
            "no prices of {detail} in the file: the last published ones are used",
            "在 tariff.yaml 的 prices 里加一条",
            "add an entry under `prices` of tariff.yaml",
        ),
        "price_before_first": Text(
            "{detail} 早于最早的电价,按最早的一条计",
            "{detail} lies before all prices in the file: the earliest ones are used",
            "在 tariff.yaml 的 prices 里补上当时的电价",
            "add the prices of then under `prices` of tariff.yaml",
        ),
        "calendar_not_begun": Text(
            "时段表 {since} 起才生效,今天起到那时先按它计",
            "the first calendar holds from {since} only; until then it is used all the same",
            "补上现行的时段表,或改正 valid_from",
            "add the calendar of now, or correct its valid_from",
        ),
        "calendar_before_first": Text(
            "{detail} 早于最早的时段表,按最早的一张计",
            "{detail} lies before all calendars in the file: the earliest one is used",
            "在 tariff.yaml 的 calendars 里补上当时的时段表,或改正 valid_from",
            "add the calendar of then under `calendars` of tariff.yaml, or correct its `valid_from`",
        ),
        "holidays_missing": Text(
            "缺 {detail} 年的节假日日期,当日按平常日计",
            "no dates for holidays of {detail} in the file: they count as ordinary days",
            "在 holidays 和 make_up_dates 里补上",
            "add them under `holidays` and `make_up_dates`",
        ),
        "day_max_unknown": Text(
            "不知道 {detail} 的最高气温,按未触发计价",
            "the maximum temperature of {detail} is not known: priced as not triggered",
            "公布后写入 day_max_degc",
            "write it under `day_max_degc` once it is published",
        ),
        "market_price_missing": Text(
            "{detail} 有时段没有市场价格,按时段表计价",
            "no market price for a part of {detail}: the prices of the calendar hold",
            "补齐 market 所指的文件",
            "complete the file that `market` names",
        ),
        "tier_unknown": Text(
            "不知道本期已用电量,按阶梯最低一档计价",
            "what the meter has counted in this year or month is not known: the lowest step of the ladder is used",
            "用 --used-kwh 写明,或等电表记录补齐",
            "say it with --used-kwh, or wait until the records cover the period",
        ),
        "tariff_file_unverified": Text("电价未核实:{detail}", "unverified tariff: {detail}"),
        "load_incomplete": Text(
            "{detail} 个刻钟没有电表记录,未计入",
            "{detail} quarter hours without records of the meter are not in the bill",
        ),
    }
)
