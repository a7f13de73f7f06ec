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
        "all_units": Text("全部机组", "all units"),
        "all_storages": Text("全部蓄能", "all storages"),
        # what an order waits for
        "order_waits_for_auto": Text("现在不在自动,暂不执行", "not in auto now, so it is not carried out"),
        "order_waits_for_stop": Text("等机组满最短运行时间", "waits for a unit's minimum run"),
        "order_waits_for_heat": Text("等:能用的机组都在供热", "waits: every unit that may is needed for heat"),
        "order_waits_full": Text("水箱已满", "the tank is full"),
        # which layer decided, beside a unit
        "because_protection": Text("保护", "protection"),
        "because_operator": Text("人工指令", "by order"),
        "because_limit": Text("电网限额", "grid limit"),
        "because_comfort": Text("保供热", "for heat"),
        "because_rule": Text("按规则", "by rule"),
        # why a plan was changed or kept
        "plan_change_first": Text("这是第一个计划", "it is the first plan"),
        "plan_change_same": Text(
            "今后几小时开的机组与上一个计划相同", "in the next hours it runs the same units as the plan before"
        ),
        "plan_change_kept": Text(
            "今后几小时的机组不变:改动只省 {gain_cny} 元,不足 {least_cny} 元",
            "units of the next hours are kept: others would save {gain_cny} CNY, a change needs {least_cny}",
        ),
        "plan_change_cheaper": Text(
            "改了今后几小时的机组:比照旧省 {gain_cny} 元",
            "units of the next hours were changed: that saves {gain_cny} CNY against keeping them",
        ),
        "plan_change_broken": Text(
            "上一个计划已不能执行,换成新的", "the plan before could no longer be carried out and was replaced"
        ),
        "plan_change_unknown": Text(
            "来不及与上一个计划比较,按新计划",
            "there was no time to weigh it against the plan before: the new one is followed",
        ),
        "plan_change_carried": Text(
            "求解器失败,机组按上一个计划继续,负荷按现在的",
            "the solver failed: the plan before is carried on, with the load of now",
        ),
        "plan_change_no_solver": Text("求解器失败,暂按规则", "the solver failed: planned by rule meanwhile"),
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
            "先投自动: edge-agent mode auto --by 姓名 --reason 原因",
            "first: edge-agent mode auto --by NAME --reason TEXT",
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
        "order_lasts_nothing": Text(
            "时长须大于 0", "it must last for longer than nothing", "如 --until 2h", "such as --until 2h"
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
            "写 2h、90min、2小时、18:30 或 2026-01-12T18:30",
            "write 2h, 90min, 18:30 or 2026-01-12T18:30",
        ),
        "orders_too_many": Text(
            "已有 {count} 条人工指令,先解除一些",
            "{count} orders stand already, release some first",
            "edge-agent override release --order 号 --by 姓名 --reason 原因",
            "edge-agent override release --order NUMBER --by NAME --reason TEXT",
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
            "{subject} 没有单独的人工指令,在执行的是 {numbers} 号",
            "no order stands on {subject} itself, in force: no. {numbers}",
            "解除其中一条: edge-agent override release --order 号 --by 姓名 --reason 原因",
            "end one of them: edge-agent override release --order NUMBER --by NAME --reason TEXT",
        ),
        "order_number_unknown": Text(
            "没有 {number} 号人工指令,在执行的是 {numbers} 号", "there is no order {number}, in force: no. {numbers}"
        ),
        # states of a unit, as reasons
        "unit_in_local": Text("机组在就地", "it is in local control"),
        "unit_has_tripped": Text("机组故障未复位", "it has tripped and is not reset"),
        "unit_is_locked_out": Text(
            "机组已停用",
            "it is locked out",
            "查明原因后 edge-agent release 机组 --by 姓名 --reason 原因",
            "find the cause, then edge-agent release UNIT --by NAME --reason TEXT",
        ),
        "unit_is_stopped": Text("机组已由人工停下", "it is stopped by an order"),
        "unit_not_locked_out": Text(
            "{unit} 没有被停用,不用解除",
            "{unit} is not locked out, there is nothing to release",
            "解除人工指令用 edge-agent override release {unit} --by 姓名 --reason 原因",
            "an operator's order ends with edge-agent override release {unit} --by NAME --reason TEXT",
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
        # what control takes back by itself
        "mode_stepped_down": Text("已自动退到 {mode_zh}:{reason}", "stepped down to {mode_en}: {reason}"),
        "mode_stepped_down_often": Text(
            "一天内多次自动退到 {mode_zh}:{reason}",
            "stepped down to {mode_en} again and again within a day: {reason}",
            "查明原因后由运行人员恢复: edge-agent mode auto --by 姓名 --reason 原因",
            "find the cause, then restore it by hand: edge-agent mode auto --by NAME --reason TEXT",
        ),
        "down_to_heat": Text("自动(只保供热,不按计划)", "auto without the plan, heat only"),
        "down_blind": Text(
            "30 分钟看不到供水温度或任何机组;机组交还各自面板",
            "neither supply temperature nor units seen for 30 min; the units are with their own panels",
            "查总线和设备;读数恢复 10 分钟后自动回到自动",
            "see to buses and devices; auto comes back by itself 10 min after the readings",
        ),
        "down_control_plan": Text(
            "控制程序连续出错 3 次,先不按计划",
            "the control cycle broke three times in a row, so the plan is left for now",
            "把日志交给开发方;1 小时无错后自动恢复",
            "send the log to the makers; the plan comes back after an hour without a fault",
        ),
        "down_control": Text(
            "控制程序连续出错 6 次;机组交还各自面板,采集和上传照常",
            "the control cycle broke six times in a row; the units are with their own panels, records go on",
            "把日志交给开发方,之后由运行人员恢复: edge-agent mode auto --by 姓名 --reason 原因",
            "send the log to the makers, then restore it by hand: edge-agent mode auto --by NAME --reason TEXT",
        ),
        "down_clock": Text(
            "时钟跳变或早于上次运行,电价时段不可信",
            "the clock has jumped, or is behind the last run: the hour of the tariff is not trusted",
            "查对时;走稳 15 分钟后自动恢复",
            "check time synchronisation; it comes back by itself after 15 steady minutes",
        ),
        "down_store": Text(
            "30 分钟以上写不进磁盘,指令无法留档",
            "the disk has refused for 30 min, so commands are not kept",
            "查磁盘;能写 5 分钟后自动恢复",
            "check the disk; it comes back by itself 5 min after it works",
        ),
        "down_audit": Text(
            "操作记录链断裂,有人或磁盘改动过以前的记录",
            "the audit's chain is broken: somebody, or the disk, has changed what was recorded",
            "备份 state.db 查明后由运行人员恢复: edge-agent mode auto --by 姓名 --reason 原因",
            "keep a copy of state.db and look into it, then: edge-agent mode auto --by NAME --reason TEXT",
        ),
        "down_orders": Text(
            "重启前的人工指令读不出来,都已失效",
            "the orders of before the restart cannot be read, none is in force",
            "问清是否有人在检修,需要的重新下,再 edge-agent mode auto --by 姓名 --reason 原因",
            "ask whether somebody works on a unit, order it again, then: edge-agent mode auto --by NAME --reason TEXT",
        ),
        "units_without_watchdog": Text(
            "{units} 没有心跳,停在最后一条指令上",
            "{units} have no heartbeat and stay with their last command",
            "到面板上切到就地",
            "switch them to local at their panels",
        ),
        "unit_out_of_control": Text(
            "{unit} 多次不接受指令({point}),已退出控制,由自己的面板运行;{again} 再试",
            "{unit} does not take its commands ({point}): out of control, with its own panel; tried again at {again}",
            "查机组面板的远程允许;修好后可提前恢复: edge-agent release {unit} --by 姓名 --reason 原因",
            "look at its panel; mended, it is taken back at once by: edge-agent release {unit} --by NAME --reason TEXT",
        ),
        "unit_out_for_good": Text(
            "{unit} 一天内三次不接受指令({point}),已退出控制,由自己的面板运行",
            "{unit} did not take its commands three times within a day ({point}): out of control, with its own panel",
            "查明原因后恢复: edge-agent release {unit} --by 姓名 --reason 原因",
            "find the cause, then: edge-agent release {unit} --by NAME --reason TEXT",
        ),
        "step_down_over": Text("已确认,自动恢复按计划运行", "acknowledged: auto follows the plan again"),
        "step_down_stays": Text(
            "已确认,但原因还在,仍是降级状态,见 edge-agent status",
            "acknowledged, but a cause is still there: see edge-agent status",
        ),
        # the score of advise
        "advice_too_short": Text("不满 6 小时", "less than six hours"),
        "advice_not_measured": Text("电表或热量表读数不全", "the electricity or heat meter was not read all the time"),
        "advice_storage_unknown": Text("结束时蓄热量未知", "the heat left in the tanks was not known at the end"),
        "advice_no_heat_planned": Text("计划里几乎不用热", "the plan makes hardly any heat"),
        "advice_load_differs": Text(
            "实际用热与预计相差三成以上", "the heat used differs from the expected by more than three tenths"
        ),
        "advice_other_heat": Text(
            "计划用到其他热源,没有计价", "the plan uses another source of heat, which is not priced here"
        ),
        "orders_end_with_mode": Text("人工指令同时结束", "the operator's orders end with it"),
    }
)
