"""What the service may report to the operator: alarms of plant, control, planning, records and uplink."""

from collections.abc import Mapping
from types import MappingProxyType

from edge_agent.texts.entry import Text

TEXTS: Mapping[str, Text] = MappingProxyType(
    {
        # units
        "unit_tripped": Text(
            "{unit} 故障停机,代码 {alarm}",
            "{unit} tripped, code {alarm}",
            "在机组面板查明原因并复位;未复位前不再启动",
            "find the cause at the unit and reset it there; it is not started until then",
        ),
        "unit_start_failed": Text(
            "{unit} 未能启动:{reason}",
            "{unit} did not start: {reason}",
            "满足最短停机时间后再试;查水流、阀门和机组允许条件",
            "tried again after its minimum rest; check flow, valves and the unit's permissives",
        ),
        "unit_stop_unconfirmed": Text(
            "{unit} 未确认停机,水泵保持运行",
            "{unit} has not confirmed its stop; its pumps stay on",
            "到机组面板确认",
            "look at the unit",
        ),
        "unit_start_unconfirmed": Text(
            "{unit} 已耗电运行,但一直报告启动中",
            "{unit} draws power and still reports starting",
            "到机组面板确认",
            "look at the unit",
        ),
        "unit_local": Text(
            "{unit} 处于就地状态,不受控",
            "{unit} is in local control and cannot be commanded",
            "在机组面板切到远程",
            "switch the unit to remote",
        ),
        "unit_communication_lost": Text(
            "{unit} 报告与控制器失去通信", "{unit} reports that it has lost the controller"
        ),
        "unit_short_capacity": Text(
            "{unit} 出力低于要求:{heat_kw} kW,应为 {wanted_kw} kW",
            "{unit} gives {heat_kw} kW instead of {wanted_kw} kW",
        ),
        "stage_not_proven": Text(
            "{unit} 第 {stage} 级已下令,没有投入",
            "{unit}: stage {stage} was called and does not show",
            "查该级的接线、继电器和机组允许条件;计划按实际出力计算",
            "check its wiring, its relay and the unit's permissives; the plan counts with what the unit gives",
        ),
        "unit_starts_limit": Text("{unit} 启动次数已达上限", "{unit} has reached its limit of starts"),
        "unit_locked_out": Text(
            "{unit} 多次启动失败,已停用",
            "{unit} is locked out after repeated failed starts",
            "查明原因后由运行人员解除",
            "find the cause, then release it by hand",
        ),
        # what control does beyond the plan
        "unit_extra": Text("供热不足,多投一台机组", "heat is short: one unit more than planned runs"),
        "unit_rests": Text("热量用不完,少开一台机组", "heat finds no use: one planned unit rests"),
        "tank_ends": Text("水箱即将放空,机组提前接替", "the tank is nearly empty: units take over ahead of the plan"),
        "unit_charges_surplus": Text(
            "热量用不完,一台机组改为蓄热", "heat finds no use: one unit charges the tank instead"
        ),
        "unit_turns": Text(
            "蓄热已结束,机组未满最短运行时间,先转直供",
            "charging is over; the unit serves the loop until its minimum run is over",
        ),
        "tank_spends": Text(
            "负荷高于计划,先用水箱富余的热", "more load than planned: the tank gives what it can spare first"
        ),
        "charge_waits": Text("水箱正在放热,蓄热等待", "charging waits while the tank feeds the loop"),
        "charge_too_late": Text(
            "峰段前运行不满最短时间,不再启动蓄热",
            "too late to charge: the minimum run would reach into the peak",
        ),
        "heat_unmet": Text("机组和水箱暂时供不足负荷", "units and tank cannot give all of the load for now"),
        "heat_surplus": Text("机组最低负荷仍高于需要", "units at their lowest load give more than is taken"),
        # what control does to keep under the limits of electric power
        "limit_charge_less": Text("受功率上限约束,蓄热降负荷", "power limit: charging at less load"),
        "limit_charge_stops": Text("受功率上限约束,停一台蓄热机组", "power limit: one charging unit stops"),
        "limit_load_less": Text("受功率上限约束,供热机组降负荷", "power limit: units on the loop at less load"),
        "limit_load_stops": Text("受功率上限约束,停一台供热机组", "power limit: one unit on the loop stops"),
        "limit_start_waits": Text("受功率上限约束,机组启动等待", "power limit: a start waits"),
        "order_costs_comfort": Text(
            "{units} 按 {orders} 号人工指令停着,供水只有 {supply_degc} ℃",
            "{units} stand by order no. {orders}, and the supply has only {supply_degc} °C",
            "需要供热就解除: edge-agent override release --order 号 --by 姓名 --reason 原因",
            "for heat, end it: edge-agent override release --order NUMBER --by NAME --reason TEXT",
        ),
        # pumps, valves, flow
        "pump_no_feedback": Text(
            "{pump} 已下令运行,没有运行反馈",
            "{pump} was commanded on and does not report running",
            "查电源、手自动开关和接触器",
            "check power, hand switch and contactor",
        ),
        "pump_stopped": Text(
            "{pump} 运行中停了",
            "{pump} stopped while it was needed",
            "查电源和热继电器",
            "check power and overload relay",
        ),
        "pump_not_stopped": Text(
            "{pump} 已下令停止,仍在运行",
            "{pump} was commanded off and still runs",
            "查手自动开关",
            "check the hand switch",
        ),
        "flow_not_proven": Text(
            "{unit} {side} 没有证实水流",
            "{unit}: no flow proven on the {side} side",
            "查水泵、阀门、过滤器和流量开关",
            "check pump, valves, strainer and flow switch",
        ),
        "valve_stuck": Text(
            "{valve} 未到位:应为 {wanted_ratio},实为 {position_ratio}",
            "{valve} is at {position_ratio} instead of {wanted_ratio}",
            "查电动执行器",
            "check the actuator",
        ),
        "tank_gives_nothing": Text(
            "水箱 {storage} 放热阀 {valve} 开到 {position_ratio},热表没有热量",
            "tank {storage}: its outlet {valve} stands at {position_ratio}, and the meter sees no heat",
            "查阀门是否真的打开、过滤器、放热泵和热表",
            "check that the valve really opens, strainer, pump and meter",
        ),
        "tank_leaks": Text(
            "水箱 {storage} 阀门已关,热表仍有 {heat_kw} kW 放出",
            "tank {storage}: its way is closed, and the meter still sees it give {heat_kw} kW",
            "查 {valve} 和隔离阀是否关严",
            "check whether {valve} and the isolating valve close tightly",
        ),
        # temperatures
        "supply_too_cold": Text(
            "供水 {supply_degc} °C,低于下限 {limit_degc} °C", "supply {supply_degc} degC is below {limit_degc} degC"
        ),
        "supply_too_hot": Text(
            "供水 {supply_degc} °C,高于上限 {limit_degc} °C", "supply {supply_degc} degC is above {limit_degc} degC"
        ),
        "source_too_cold": Text(
            "热源侧来水 {inlet_degc} °C,低于 {limit_degc} °C",
            "source inlet {inlet_degc} degC is below {limit_degc} degC",
            "减少机组出力",
            "reduce the units' output",
        ),
        "source_too_hot": Text(
            "热源侧回水 {outlet_degc} °C,高于 {limit_degc} °C",
            "source outlet {outlet_degc} degC is above {limit_degc} degC",
        ),
        "tank_sensors_missing": Text(
            "{storage} 层温测点不足,蓄热量不可信",
            "{storage}: too few layer temperatures; its charge is not trusted",
            "查温度模块",
            "check the temperature modules",
        ),
        # wires and readings
        "device_silent": Text(
            "{device} 没有应答",
            "{device} does not answer",
            "查供电、接线、站号;其余设备照常",
            "check power, wiring and unit number; everything else goes on",
        ),
        "bus_down": Text(
            "总线 {bus} 不通:{reason}",
            "bus {bus} is down: {reason}",
            "查串口或网络;会自动重连",
            "check port or network; it is reopened by itself",
        ),
        "reading_stale": Text("{point} 读数过旧,不用于控制", "{point} is too old to be used for control"),
        "reading_missing": Text("{point} 没有有效读数", "{point} has no valid reading"),
        "write_unverified": Text(
            "{point} 已写 {wrote},未得到证实", "{point}: wrote {wrote}, not verified", "到现场核对", "check on site"
        ),
        "unit_way_failed": Text(
            "机组 {unit} 的 {mode} 水路没有打通,此方式暂停使用,机组可按其他方式运行",
            "the way of {mode} for unit {unit} did not open: that mode is barred for a while, others are not",
            "查阀门和执行器",
            "check valve and actuator",
        ),
        "tank_sensors_disorder": Text(
            "水箱 {device} 测温次序异常:下层比上层热 {inverted_k} K,按由热到冷排列使用",
            "tank {device}: a lower layer is {inverted_k} K warmer than the one above; taken in order of heat",
            "查测温点接线和位置",
            "check wiring and place of the sensors",
        ),
        "unit_protected": Text(
            "机组 {unit} 已保护性停机:{reason}", "unit {unit} was stopped for its protection: {reason}"
        ),
        "loop_near_freezing": Text(
            "供水 {supply_degc} °C,低于防冻值 {limit_degc} °C,水泵保持循环",
            "supply {supply_degc} degC is below the frost value {limit_degc} degC; pumps keep it moving",
            "尽快恢复供热",
            "restore heat soon",
        ),
        "frost_not_circulated": Text(
            "水泵 {pump} 外露,低温下久停未能循环",
            "pump {pump} is exposed to frost and has not been turned",
            "人工循环或放水,查机组通信与水泵电源",
            "circulate or drain by hand; check the unit's connection and the pump's power",
        ),
        "sensor_differs": Text(
            "{point} 为 {degc} °C,其余测点为 {other_degc} °C;控制改用 {other}",
            "{point} reads {degc} degC, the others {other_degc} degC; control uses {other}",
            "校验传感器:接线、套管、量程",
            "check the sensor: wiring, pocket, range",
        ),
        "sensors_disagree": Text(
            "{point} 为 {degc} °C,{other} 为 {other_degc} °C,无法判定;控制用较低或居中者 {used_degc} °C",
            "{point} reads {degc} degC, {other} {other_degc} degC, and nothing tells which is right; control uses the "
            "lower or middle one, {used_degc} degC",
            "现场测温核对两个传感器",
            "measure on site and check both sensors",
        ),
        "sensor_frozen": Text(
            "{point} 停在 {degc} °C {minutes} 分钟未变,而水温在变;控制不再用它",
            "{point} has stood at {degc} degC for {minutes} min while the water changed; control does not use it",
            "查传感器和采集模块",
            "check the sensor and its input module",
        ),
        "sensors_swapped": Text(
            "{point} {degc} °C 低于 {other} {other_degc} °C,而系统在供热:可能装反;控制不再用它们",
            "{point} at {degc} degC is below {other} at {other_degc} degC while heat flows: they seem swapped, and "
            "control does not use them",
            "核对两个传感器的接线",
            "check which wire belongs to which sensor",
        ),
        "command_no_effect": Text(
            "{point} 已写 {wrote} 并证实,但设备没有动作:{reason}(指令 {number})",
            "{point}: {wrote} was written and verified, but the plant did not follow: {reason} (command {number})",
            "到现场查看阀门、水泵、机组是否动作",
            "look at valve, pump or unit on site",
        ),
        "command_replaced": Text(
            "{point} 写入后被设备自行改回 {count} 次,暂停写入",
            "{point} was changed back by the device {count} times; it is left alone for a while",
            "查设备是否由自身或他人控制",
            "find out whether the device, or somebody else, controls it",
        ),
        "write_refused": Text("{point} 不许写:{reason}", "{point} may not be written: {reason}"),
        "write_failed": Text("{point} 写入失败:{reason}", "{point}: the write failed: {reason}"),
        # control and plan
        "grid_limit": Text(
            "功率 {grid_kw} kW 接近上限 {limit_kw} kW,已减载",
            "{grid_kw} kW is close to the limit of {limit_kw} kW; load is shed",
        ),
        "demand_guard": Text(
            "本月最大需量将被突破,已减载", "the month's highest demand would be exceeded; load is shed"
        ),
        "plan_failed": Text(
            "本次没有得到计划:{reason}", "no plan this time: {reason}", "沿用上一计划", "the last plan goes on"
        ),
        "plan_by_rule": Text("优化求解未成功,按规则运行:{reason}", "no optimal plan; running by rule: {reason}"),
        "tariff_rejected": Text(
            "{file} 改过,第 {line} 行有误,没有采用;仍按原来的电价",
            "{file} has changed and is wrong at line {line}; the tariff before it holds",
            "运行 edge-agent check 看说明,改好后一两分钟内自动采用",
            "edge-agent check says what to mend; it is taken over a minute or two after that",
        ),
        "tariff_unusable": Text(
            "{file} 改过,但读不了或整个不能用;仍按原来的电价",
            "{file} has changed and cannot be read, or not be used at all; the tariff before it holds",
            "看文件权限(服务用户要能读);edge-agent check 看说明,改好后一两分钟内自动采用",
            "look at its permissions, the service's user must be able to read it; edge-agent check says what else",
        ),
        "plan_stale": Text("计划已有 {age_min} 分钟未更新", "the plan is {age_min} min old"),
        "price_missing_month": Text(
            "{month} 没有电价,沿用上一条",
            "no prices for {month}; the last ones are used",
            "按公告补上当月电价",
            "add the month's prices",
        ),
        # records, uplink, machine
        "store_refuses": Text("数据库写不进去:{reason}", "the store refuses: {reason}", "查磁盘", "check the disk"),
        "store_nearly_full": Text(
            "存储已用 {used_mb} MB,上限 {quota_mb} MB",
            "records use {used_mb} MB of {quota_mb} MB",
            "满后先删最早的明细,能量累计和报警最后删;可调大 site.yaml 的 quota_mb,或查上传积压",
            "when full, the oldest details go first, totals and alarms last; raise quota_mb or look at the backlog",
        ),
        "disk_filled": Text(
            "磁盘只剩 {free_mb} MB,不够本程序的配额",
            "{free_mb} MB are free on the disk, less than the service's own quota",
            "有别的程序占用磁盘,请清理",
            "something else fills the disk: clear it",
        ),
        "store_damaged": Text(
            "数据库文件损坏,已另存:{files}",
            "a database file was damaged and set aside: {files}",
            "可读的数据已转入新文件;查磁盘和供电,确认后可删除这些文件",
            "what is readable in it is taken over; check disk and power supply, then the files may be removed",
        ),
        "writes_over_budget": Text(
            "今天已写盘 {written_mb} MB,超过每日预算 {budget_mb} MB",
            "{written_mb} MB written to the disk today, the budget of a day is {budget_mb} MB",
            "闪存会提前磨损,请查采集周期",
            "flash memory wears out early: check the periods of reading",
        ),
        "clock_unsynchronised": Text(
            "时钟未同步,记录的时间不可靠",
            "nobody keeps the clock: the times of records are not certain",
            "配置 chrony 或 systemd-timesyncd 并查网络",
            "set up chrony or systemd-timesyncd and check the network",
        ),
        "uplink_down": Text(
            "上传 {uplink} 不通:{reason}",
            "uplink {uplink} is down: {reason}",
            "数据已保存,恢复后自动补传",
            "records are kept and sent when it is back",
        ),
        "uplink_backlog": Text("上传 {uplink} 积压 {backlog} 条", "uplink {uplink} has a backlog of {backlog} records"),
        "uplink_evicted": Text(
            "上传 {uplink} 近一周有 {count} 条未送达即因磁盘不足丢弃",
            "uplink {uplink}: {count} records of the last week were dropped undelivered for want of space",
            "已向平台声明缺口;查磁盘和 quota_mb",
            "the gap was declared to the platform; check the disk and quota_mb",
        ),
        "uplink_key_set": Text(
            "平台给上传 {uplink} 设了新密钥({kind})",
            "the platform of {uplink} has set a new key ({kind})",
            "与平台核实,并把凭据文件改成新密钥",
            "confirm it with the platform, and put the new key into the credential file",
        ),
        "uplink_key_failed": Text(
            "平台给上传 {uplink} 设的新密钥({kind})登录未通过:{reason}",
            "uplink {uplink}: the login with the key ({kind}) that the platform has set failed: {reason}",
            "与平台核对密钥",
            "check the keys with the platform",
        ),
        "uplink_refused": Text(
            "平台拒收 {count} 条:{reason}",
            "the platform refused {count} records: {reason}",
            "查编码和配置",
            "check codes and configuration",
        ),
        "clock_jump": Text(
            "时钟跳变 {jump_s} s", "the clock jumped by {jump_s} s", "查对时", "check time synchronisation"
        ),
        "task_restarted": Text("{task} 出错后重新启动:{reason}", "{task} was restarted after a fault: {reason}"),
    }
)
