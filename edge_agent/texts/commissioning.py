"""What the commissioning verbs find: laws of physics, steps and outcomes of a proof."""

from collections.abc import Mapping
from types import MappingProxyType

from edge_agent.texts.entry import Text

TEXTS: Mapping[str, Text] = MappingProxyType(
    {
        "law_heat_balance": Text("热平衡(功率/流量×温差)", "heat balance (power/flow x dT)"),
        "law_sum": Text("合计/分项之和", "total/sum of its parts"),
        "law_volt_ampere": Text("功率/电压×电流×功率因数", "power/U x I x cos phi"),
        "law_voltage": Text("电压在电网范围内", "voltage of a grid"),
        "law_frequency": Text("频率在电网范围内", "frequency of a grid"),
        "law_range": Text("型号文件的合理范围", "range stated by the profile"),
        # what a bus needs
        "bus_errors": Text(
            "有请求失败",
            "requests failed",
            "查对应设备的接线、站号和终端电阻",
            "check wires, number and terminator of the units named",
        ),
        "bus_over_period": Text(
            "轮询赶不上所配的周期",
            "polling cannot keep the configured periods",
            "加长 period_s、提高波特率,或把设备分到另一条总线",
            "lengthen period_s, raise the baud rate, or move units to another bus",
        ),
        "bus_busy": Text(
            "总线占用超过八成",
            "the bus is busy more than four fifths of the time",
            "加长 period_s",
            "lengthen period_s",
        ),
        "bus_raise_baud": Text(
            "时间主要花在传输上",
            "most of the time is transmission",
            "提高波特率最有效",
            "a higher baud rate helps most",
        ),
        "bus_slow_unit": Text(
            "有设备响应慢于 0.1 秒",
            "a unit takes longer than 0.1 s to answer",
            "波特率帮不上,加长它的 period_s",
            "speed does not help: lengthen its period_s",
        ),
        "bus_latency": Text(
            "比线路极限慢一成以上",
            "more than a tenth slower than the wire allows",
            "USB 转换器把 latency_timer 设为 1;查电脑负载",
            "set latency_timer of a USB adapter to 1; look at the load of the computer",
        ),
        # steps and outcomes of a proof
        "prove_read": Text("读出 {point} = {value}", "read {point} = {value}"),
        "prove_bounds": Text("设备资料允许 {lowest} 至 {highest}", "the profile allows {lowest} to {highest}"),
        "prove_bounds_now": Text("现在允许 {lowest} 至 {highest}", "allowed now: {lowest} to {highest}"),
        "prove_judge": Text("判断可否写入 {value}", "judged whether {value} may be written"),
        "prove_confirm": Text("现场确认: {by}", "confirmed at the plant: {by}"),
        "prove_write": Text("写入 {value},读回 {read_back}", "wrote {value}, read back {read_back}"),
        "prove_read_failed": Text("读不到 {point}", "{point} cannot be read"),
        "prove_judge_failed": Text("不可写入: {reason}", "must not be written: {reason}"),
        "prove_confirm_failed": Text("现场没有人确认", "nobody at the plant confirmed"),
        "prove_write_failed": Text("写入 {value},没有证实: {reason}", "wrote {value}, not proven: {reason}"),
        "prove_effect": Text("{seconds} 秒内 {count} 个测点变化", "{count} points moved within {seconds} s"),
        "prove_restore": Text("恢复为 {value},读回 {read_back}", "restored {value}, read back {read_back}"),
        "prove_restore_waits": Text(
            "没能恢复: {reason};等它应答,最多 {seconds} 秒,请勿断电",
            "not restored yet: {reason}; waiting up to {seconds} s for it to answer, do not switch off",
        ),
        "prove_restore_failed": Text("没有恢复为 {value}: {reason}", "NOT restored to {value}: {reason}"),
        "prove_left": Text(
            "上次验证被打断: {point} 还是 {value},原值 {old}({by},{since})",
            "an earlier proof was cut off: {point} still stands at {value}, it was {old} ({by}, {since})",
        ),
        "prove_left_restored": Text(
            "上次验证被打断,{point} 已是原值 {old}", "an earlier proof was cut off; {point} is back at {old} already"
        ),
        "prove_left_changed": Text(
            "上次验证被打断,{point} 已被改为 {now}(原值 {old}),不再处理",
            "an earlier proof was cut off; {point} has been changed to {now} since (it was {old}) and is left alone",
        ),
        "prove_left_gone": Text(
            "上次验证被打断,{point} 已不在配置里: 请在设备面板上核对,原值 {old}",
            "an earlier proof was cut off; {point} is not configured any more: check it at the panel, it was {old}",
        ),
        "prove_left_unreachable": Text(
            "上次验证被打断: {point} 可能还是 {value}(原值 {old}),现在读不到",
            "an earlier proof was cut off: {point} may still stand at {value} (it was {old}); it cannot be read now",
        ),
        "left_behind": Text(
            "上次验证留下的值还没有恢复",
            "a value left by an earlier proof is not restored",
            "先恢复,再验证",
            "restore it first, then prove again",
        ),
        "prove_not_in_auto": Text(
            "服务在自动方式,控制会立即改写",
            "the service is in automatic mode and would overwrite it at once",
            "先切换: edge-agent mode advise --by 姓名 --reason 原因",
            "change it first: edge-agent mode advise --by NAME --reason TEXT",
        ),
        "prove_under_way": Text(
            "正在验证一条指令,恢复原值后再试", "a command is being proven; try again when its old value is back"
        ),
        "service_gone": Text(
            "服务中断,原值可能没有恢复",
            "the service has gone; the old value may not be back",
            "服务启动后再次 prove,或在设备面板上处理",
            "prove again once it runs, or see to it at the panel",
        ),
        "outcome_unknown": Text("不知道结果", "the outcome is not known"),
        "outcome_proven": Text("已验证,已恢复原值", "proven, and the old value is back"),
        "outcome_unverified": Text("没有证实,已恢复原值", "not proven; the old value is back"),
        "outcome_refused": Text("拒绝,没有写入", "refused, nothing was written"),
        "outcome_not_restored": Text(
            "原值没有恢复,请在设备面板上处理", "the old value is NOT back: see to it at the panel"
        ),
        "outcome_unreachable": Text("设备读不到,没有写入", "the device cannot be read, nothing was written"),
        "outcome_interrupted": Text("已中断", "interrupted"),
        "not_confirmed": Text("现场没有人确认", "nobody at the plant confirmed"),
        "stands_already": Text("要写的就是现值", "it stands at this value already"),
        "pulse_not_restorable": Text(
            "脉冲指令无法恢复,不能这样验证", "a pulse cannot be taken back, so it is not proven this way"
        ),
        "no_room_to_restore": Text(
            "剩余写入次数不够恢复原值(写入、恢复、再试一次),请稍后再试",
            "too few writes are left in this hour or day to write, restore, and restore once more; try later",
        ),
        "law_monotonic": Text("累计值只增不减", "totals only grow"),
    }
)
