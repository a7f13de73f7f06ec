"""What an operator is told when he takes part: modes, orders and why one is not taken."""

from collections.abc import Mapping
from types import MappingProxyType

from edge_agent.texts.entry import Text

TEXTS: Mapping[str, Text] = MappingProxyType(
    {
        # modes, as shown
        "mode_monitor": Text("监测", "monitor", "只读,不发任何指令", "reads only, writes nothing"),
        "mode_advise": Text("建议", "advise", "只计算和显示,不发指令", "decides and shows, writes nothing"),
        "mode_auto": Text("自动", "auto", "按计划控制", "commands the plant by plan"),
        "mode_manual": Text("手动", "manual", "自动,且有人工指令在执行", "auto, with an operator's orders in force"),
        # orders, as shown
        "order_charge": Text("蓄热 {subject}", "charge {subject}"),
        "order_hold": Text("不蓄不放 {subject}", "hold {subject}"),
        "order_stop": Text("停 {subject}", "stop {subject}"),
        "whole_plant": Text("全站", "the whole plant"),
        # why a mode or an order is not taken
        "needs_name_and_reason": Text(
            "须写明人员和原因", "a name and a reason are needed", "用 --by 和 --reason", "give --by and --reason"
        ),
        "nothing_to_command": Text("本站没有机组可控", "this site has no unit to command"),
        "mode_blind": Text(
            "看不到供水温度或任何一台机组,不能投入自动",
            "neither supply temperature nor units can be seen, so nothing may be commanded",
            "先查总线和设备: edge-agent status",
            "see to buses and devices first: edge-agent status",
        ),
        "order_mode_not_auto": Text(
            "运行方式是 {mode},不是自动,不执行人工指令",
            "the mode is {mode}, not auto, so no order can be carried out",
            "先投自动: edge-agent mode auto",
            "first: edge-agent mode auto",
        ),
        "order_subject_unknown": Text("没有 {subject};已有: {known}", "there is no {subject}; there are: {known}"),
        "order_stop_needs_unit": Text(
            "{subject} 不是机组,只有机组可以停: {known}", "{subject} is no unit, and only units can be stopped: {known}"
        ),
        "order_hold_needs_storage": Text(
            "{subject} 不是蓄能装置;已有: {known}", "{subject} is no storage; there are: {known}"
        ),
        "order_no_storage": Text("本站没有蓄能装置", "this site has no storage"),
        "order_end_past": Text(
            "结束时刻已过", "its end has passed already", "按站点时区写 --until", "write --until in the site's own time"
        ),
        "order_end_too_far": Text(
            "时间太长,人工指令最长 {hours} 小时",
            "that is too long: an order stands for {hours} h at most",
            "到期后可以再下;上限是 site.yaml 的 control.order_h_max",
            "it may be given again then; the limit is control.order_h_max in site.yaml",
        ),
        "order_end_unknown": Text(
            "看不懂结束时刻 {until}",
            "the end {until} is not understood",
            "写 2h、90min、18:30 或 2026-01-12T18:30",
            "write 2h, 90min, 18:30 or 2026-01-12T18:30",
        ),
        "orders_too_many": Text(
            "已有 {count} 条人工指令,先解除一些",
            "{count} orders stand already, release some first",
            "edge-agent override release",
            "edge-agent override release",
        ),
        "order_too_early": Text(
            "服务刚启动,还没有读到机房", "the service has just started and has not seen the plant yet"
        ),
        "order_charging_barred": Text("现在不许蓄热:{reason}", "no charging now: {reason}"),
        "order_cannot_charge": Text("{subject} 不能蓄热", "{subject} cannot charge"),
        "order_tank_full": Text("{storage} 已蓄满,不能再充", "{storage} is full and takes no more"),
        "order_unit_cannot": Text("{unit} 现在不能用:{reason}", "{unit} cannot be used now: {reason}"),
        "order_no_unit": Text("没有一台机组可用:{reason}", "none of its units can be used: {reason}"),
        "order_unit_local": Text(
            "{unit} 在就地,本机停不了它",
            "{unit} is in local control and cannot be stopped from here",
            "在机组面板上停",
            "stop it at its panel",
        ),
        "order_none_stands": Text("没有人工指令在执行", "no order stands"),
        "order_none_on_subject": Text(
            "{subject} 没有单独的人工指令",
            "no order stands on {subject} itself",
            "全站指令用 edge-agent override release 解除",
            "an order for the whole plant ends with edge-agent override release",
        ),
        # states of a unit, as reasons
        "unit_in_local": Text("机组在就地", "it is in local control"),
        "unit_has_tripped": Text("机组故障未复位", "it has tripped and is not reset"),
        "unit_is_locked_out": Text(
            "机组已停用",
            "it is locked out",
            "查明原因后 edge-agent release",
            "find the cause, then edge-agent release",
        ),
        "unit_is_stopped": Text("机组已由人工停下", "it is stopped by an order"),
        "unit_not_locked_out": Text(
            "{unit} 没有被停用,不用解除",
            "{unit} is not locked out, there is nothing to release",
            "解除人工指令用 edge-agent override release {unit}",
            "an operator's order ends with edge-agent override release {unit}",
        ),
        # what an operator should know of an order that was taken
        "stop_waits_for_min_on": Text(
            "有机组未满最短运行时间,满了才停", "a unit stops only when its minimum run is over"
        ),
        "stop_waits_for_reading": Text(
            "有机组没有应答,应答后才能停", "a unit does not answer; it can be stopped only when it does"
        ),
        "stop_ends_heat": Text(
            "运行的机组都将停下,供热只剩蓄能,低于下限会报警",
            "every running unit stops: only the storage is left to heat; an alarm tells when the supply is too cold",
        ),
        "not_kept": Text(
            "磁盘写不进去:已生效,但没有存下,重启后失效",
            "the disk refuses: it is in force but not kept, and a restart forgets it",
        ),
        "orders_end_with_mode": Text("人工指令同时结束", "the operator's orders end with it"),
    }
)
