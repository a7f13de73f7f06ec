"""Why a reading is not good, or a write not verified.

Codes: `drivers.sample.Cause` and `Quality`, `drivers.device.Reason`.
"""

from collections.abc import Mapping
from types import MappingProxyType

from edge_agent.texts.entry import Text

TEXTS: Mapping[str, Text] = MappingProxyType(
    {
        "quality_good": Text("有效", "good"),
        "quality_uncertain": Text("存疑", "uncertain"),
        "quality_bad": Text("无效", "bad"),
        "no_answer": Text(
            "设备没有应答", "the device does not answer", "查供电、接线、站号", "check power, wiring and unit number"
        ),
        "line_down": Text(
            "串口或网络连接不通",
            "the serial port or the connection is down",
            "查串口名称或地址、接口和线缆",
            "check the port's name or the address, then port and cable",
        ),
        "protocol": Text(
            "应答损坏或不是对这次请求的应答",
            "the answer is damaged or belongs to another request",
            "查波特率、校验、终端电阻,以及是否有两台设备同号",
            "check baud, parity, terminator, and for two devices of one number",
        ),
        "refused": Text(
            "设备拒绝了请求",
            "the device refused the request",
            "查寄存器地址和功能码",
            "check register address and function code",
        ),
        "invalid_mark": Text("设备自己标明没有有效值", "the device itself says that it has no value"),
        "cannot_decode": Text(
            "寄存器内容不是所述类型的数",
            "the registers hold no number of the stated type",
            "查数据类型和字序",
            "check type and word order",
        ),
        "out_of_range": Text("超出合理范围", "outside the plausible range", "查量程和比例", "check range and scale"),
        "no_flow": Text("没有水流,温度不可作读数", "without flow this temperature is not a reading"),
        "stale": Text("读数过旧", "the reading is too old"),
        "counter_back": Text(
            "累积量变小了,正在确认",
            "the total has fallen; being confirmed",
            "查是否清零、满程翻转或换表",
            "look whether it was reset, rolled over, or exchanged",
        ),
        "counter_jump": Text(
            "累积量增长快于可能",
            "the total grew faster than is possible",
            "查是否换表,以及 rate_max",
            "look for another meter, and at rate_max",
        ),
        "counter_zero": Text(
            "累积量变为零,正在确认",
            "the total shows zero; being confirmed",
            "查表的供电和接线",
            "check the meter's power and wiring",
        ),
        "torn": Text("读到一半时表更新了数值", "the meter renewed the number while it was read"),
        "frozen": Text(
            "数值长时间一点不变,不像在测量",
            "the value has not moved at all for too long, as if nothing were measured",
            "查传感器",
            "check the sensor",
        ),
        "heat_balance": Text(
            "热功率与流量、温差不符",
            "the heat power does not fit flow and temperatures",
            "查两支温度传感器和流量计",
            "check both temperature sensors and the flow meter",
        ),
        "sum_differs": Text(
            "总量与各分量之和不符",
            "the total is not the sum of its parts",
            "查互感器方向和接线",
            "check direction and wiring of the transformers",
        ),
        "disorder": Text(
            "设备的多个长数值不合理,疑字序已变,其余长数值也不采信",
            "several long numbers of the device make no sense, the order of its words is in doubt",
            "查设备是否升级过固件、换过型号",
            "was its firmware updated, was it exchanged for another model?",
        ),
        "identity_changed": Text(
            "表号变了,正在确认",
            "another serial number answers; being confirmed",
            "查是否换表",
            "was the meter exchanged?",
        ),
        # writes
        "unknown_point": Text("设备没有这个测点", "the device has no such point"),
        "not_writable": Text("这个测点不许写", "this point may not be written"),
        "not_a_number": Text("要写的不是有限的数", "what was to be written is no finite number"),
        "out_of_bounds": Text("超出允许写入的范围", "outside what may be written"),
        "limits_unknown": Text("决定允许范围的测点读不到", "the point that decides what may be written cannot be read"),
        "not_now": Text("设备当前状态下不许写这个测点", "in the device's present state this point may not be written"),
        "rate_limit": Text("一小时或一天内写入次数已达上限", "written too often within an hour or a day"),
        "pulse_pending": Text("上一次脉冲还没有复位", "the pulse before has not been ended yet"),
        "locked": Text(
            "设备没有解锁",
            "the device was not unlocked",
            "查允许远程写入的设置",
            "look at the setting that allows remote writing",
        ),
        "monitor_mode": Text("当前方式只监测,不写任何设备", "this mode monitors only: no device is written to"),
        "read_back_failed": Text("已写,但读不回来", "written, but it could not be read back"),
        "read_back_differs": Text("已写,但读回的值不同", "written, but another value is read back"),
    }
)
