"""Why control does not do something: what the guard answers, what a start waits for, why a start failed.

They stand alone, or as the `reason` of an alarm; so they hold no placeholders.
"""

from collections.abc import Mapping
from types import MappingProxyType

from edge_agent.texts.entry import Text

TEXTS: Mapping[str, Text] = MappingProxyType(
    {
        # mode and signature
        "mode_not_auto": Text(
            "运行方式不是自动",
            "the mode is not auto",
            "先投自动: edge-agent mode auto --by 姓名 --reason 原因",
            "first: edge-agent mode auto --by NAME --reason TEXT",
        ),
        "mode_left": Text("运行方式已离开自动", "the mode was left"),
        "mode_unknown": Text("没有这种运行方式", "there is no such mode"),
        "not_commissioned": Text(
            "调试尚未签字",
            "commissioning is not signed",
            "在 site.yaml 的 commissioning 里签字",
            "sign it in site.yaml under commissioning",
        ),
        # what does not exist, or is not ours
        "unknown_unit": Text("没有这台机组", "there is no such unit"),
        "unknown_pump": Text("没有这台水泵", "there is no such pump"),
        "unknown_valve": Text("没有这个阀门", "there is no such valve"),
        "not_ours": Text("水泵不由本机控制", "the pump is not ours to command"),
        "not_commandable": Text("机组不接受这种指令", "the unit takes no such command"),
        "stale_inputs": Text("读数过旧或缺失,不能判断", "readings are too old or missing to judge by"),
        "view_too_old": Text(
            "本周期被拖住,所见已过时,指令作废", "the cycle was held up and its view is stale, so it was given up"
        ),
        # what became of a command that was proven
        "replaced": Text("寄存器里又是别的值", "the register holds another value again"),
        "no_power": Text("机组没有用电", "the unit draws no power"),
        "not_in_time": Text("规定时间内没有动作", "nothing happened in its time"),
        "not_seen": Text("看不到有没有动作", "nothing shows whether it did"),
        # times
        "min_on": Text("未满最短运行时间", "the minimum run is not over"),
        "min_off": Text("未满最短停机时间", "the minimum rest is not over"),
        "retry_later": Text("上次启动失败,稍后再试", "a start has failed; it is tried again later"),
        "stagger": Text("等待与另一台错开启动", "waits to start apart from another unit"),
        "starts_per_hour": Text("一小时内启动次数已达上限", "no more starts in this hour"),
        "starts_per_day": Text("当天启动次数已达上限", "no more starts today"),
        "overrun": Text("机组停后水泵须续转", "the pump must run on after its unit"),
        "start_held": Text("启动被其他要求压住过久", "the start was held back for too long"),
        "stage_wait": Text("增减级的间隔未满", "the wait between two stages is not over"),
        "stage_jump": Text("一次只能增加一级", "only one stage may come at a time"),
        # protection
        "oil_heating": Text(
            "断电后润滑油正在加热",
            "its oil is being heated after a power cut",
            "见机组说明书的预热时间",
            "see the manual",
        ),
        "supply_hot": Text("供水温度过高", "the supply is too hot"),
        "grid_full": Text("用电已达上限", "the grid connection is at its limit"),
        "unit_no_ramp": Text("机组报告运行,但没有功率也没有温升", "the unit reports running without power or heat"),
        # path and flow
        "path_closed": Text("水箱隔离阀没有开到位", "the tank's isolating valve is not open"),
        "way_failed": Text(
            "上次这条水路的阀门没有到位,稍后再试",
            "the valves of this way did not reach their places; it is tried again later",
        ),
        "way_not_proven": Text("水力方式的阀门没有到位", "the valves of the hydraulic mode are not in place"),
        "way_in_use": Text("运行中的机组正用着这条水路", "a running unit needs this way as it is"),
        "tank_too_hot": Text("水箱已热,不能再充", "the tank is too hot to charge"),
        "pump_needed": Text("水泵仍有用", "the pump is still needed"),
        "pump_not_proven": Text("水泵运行没有证实", "the pump is not proven to run"),
        "source_pump_not_proven": Text(
            "热源侧泵运行没有证实",
            "the source pump is not proven to run",
            "查电源、手自动开关和接触器",
            "check power, hand switch and contactor",
        ),
        "user_pump_not_proven": Text(
            "用户侧泵运行没有证实",
            "the user pump is not proven to run",
            "查电源、手自动开关和接触器",
            "check power, hand switch and contactor",
        ),
        "source_flow_not_proven": Text(
            "热源侧没有水流",
            "no flow on the source side",
            "查阀门、过滤器和流量开关",
            "check valves, strainer and flow switch",
        ),
        "user_flow_not_proven": Text(
            "用户侧没有水流",
            "no flow on the user side",
            "查阀门、过滤器和流量开关",
            "check valves, strainer and flow switch",
        ),
        "valve_not_proven": Text(
            "阀门没有到位", "the valve did not reach its place", "查电动执行器", "check the actuator"
        ),
        "discharging": Text("水箱正在放热", "the tank is discharging"),
        # unit
        "unit_stopping": Text("机组正在停机", "the unit is stopping"),
        "unit_charging": Text("机组正在充热", "the unit is charging"),
        "unit_not_stopped": Text("机组还没有停", "the unit has not stopped yet"),
        "unit_asked_to_run": Text("机组的启动请求还在", "the unit is still asked to run"),
        "stage_not_shown": Text("这一级没有投入", "the stage does not show"),
        "unit_not_running": Text("机组没有运行", "the unit does not run"),
        "unit_not_started": Text(
            "机组没有报告运行",
            "the unit did not report running",
            "查机组面板的允许条件",
            "look at the unit's permissives",
        ),
        "unit_keeps_starting": Text(
            "机组一直报告启动中,压缩机未运行",
            "the unit reports starting and never ran",
            "查机组面板:油加热、防频繁启动、水流允许条件",
            "look at the unit: oil heating, anti-recycle timer, its flow permissives",
        ),
        "mode_not_taken": Text("机组没有接受模式", "the unit did not take the mode"),
    }
)
