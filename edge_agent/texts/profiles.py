"""What is wrong with a hand-written profile of a device, or with a device's changes to one; `where` is the place."""

from collections.abc import Mapping
from types import MappingProxyType

from edge_agent.texts.entry import Text

TEXTS: Mapping[str, Text] = MappingProxyType(
    {
        "profile_scale_zero": Text("{where}: 倍率为 0,读数永远是 0", "{where}: scale is 0: every reading would be 0"),
        "profile_beyond": Text("{where}: 寄存器超出地址 {last}", "{where}: registers end beyond address {last}"),
        "profile_bits": Text(
            "{where}: 功能码 {function} 读的是位",
            "{where}: function {function} reads bits",
            "写 type: bool,去掉 bit",
            "write type: bool and leave `bit` out",
        ),
        "profile_bit": Text(
            "{where}: bit 从寄存器中取一位,type 却是 {type}",
            "{where}: `bit` picks a bool out of a register, type is {type}",
            "写 type: bool,或去掉 bit",
            "write type: bool, or leave `bit` out",
        ),
        "profile_range": Text(
            "{where}: 范围 {range} 是空的", "{where}: range {range} is empty", "先小后大", "the smaller number first"
        ),
        "profile_counter": Text(
            "{where}: 累计量必须可读", "{where}: a counter must be readable", "access: r", "access: r"
        ),
        "profile_access": Text(
            "{where}: access {access} 与 write 互相矛盾",
            "{where}: access {access} and `write` contradict each other",
            "可写的点: access: rw 并写 write;只读的点两者都不写",
            "writable: access: rw and a `write`; read only: neither",
        ),
        "profile_min_max": Text(
            "{where}: min {low} 大于 max {high}", "{where}: min {low} is above max {high}", "对调两数", "exchange them"
        ),
        "profile_writes": Text(
            "{where}: 功能码 {function} 写不了功能码 {reads} 读的量",
            "{where}: function {function} does not write what function {reads} reads",
            "位(1): 5 或 15;保持寄存器(3): 6 或 16;其余不可写",
            "coils (1): 5 or 15; holding registers (3): 6 or 16; nothing else can be written",
        ),
        "profile_plain": Text(
            "{where}: 只有由一个普通部分组成的点可写",
            "{where}: only a point of one plain part can be written",
            "去掉 write,或去掉 parts、bit、times",
            "leave `write` out, or parts, bit and times",
        ),
        "profile_one_register": Text(
            "{where}: 功能码 6 只写一个寄存器,{type} 有 {count} 个",
            "{where}: function 6 writes one register, {type} has {count}",
            "写 function: 16",
            "write function: 16",
        ),
        "profile_pulse_once": Text(
            "{where}: 脉冲只发一次,没有这一项",
            "{where}: a pulse is sent once: it has none of that",
            "去掉这一项或 pulse",
            "leave this key or `pulse` out",
        ),
        "profile_outside": Text(
            "{where}: {word} 不在 min 和 max 之间",
            "{where}: {word} lies outside min and max",
            "改 {word} 或界限",
            "change {word} or the limits",
        ),
        "profile_safe_expiry": Text(
            "{where}: safe 需要 expiry_s",
            "{where}: `safe` needs `expiry_s`: it replaces a command that was not renewed",
            "加 expiry_s: 秒数",
            "add expiry_s: seconds",
        ),
        "profile_expiry_alone": Text(
            "{where}: 只有 expiry_s 什么也不会结束",
            "{where}: `expiry_s` without `safe` or `keep_alive_s` ends nothing",
            "加 safe 或 keep_alive_s",
            "add safe or keep_alive_s",
        ),
        "profile_alive_expiry": Text(
            "{where}: keep_alive_s 需要 expiry_s,否则程序死后仍被当作活着",
            "{where}: `keep_alive_s` needs `expiry_s`: a control that has died must not be kept alive",
            "加 expiry_s: 秒数",
            "add expiry_s: seconds",
        ),
        "profile_alive_limited": Text(
            "{where}: 一直要写的寄存器不能限次数",
            "{where}: a register that is written all the time cannot be limited",
            "不伤寄存器就写 volatile: true,否则去掉 per_hour、per_day",
            "say volatile: true if it does not wear, otherwise leave per_hour and per_day out",
        ),
        "profile_at_least_two": Text(
            "{where}: 结束指令也是一次写入",
            "{where}: what ends the command is a write as well",
            "至少写 2",
            "write 2 at least",
        ),
        "profile_no_code": Text(
            "{where}: {value} 不在 values 里",
            "{where}: {value} is none of the `values`",
            "改数值,或补到 values",
            "change it, or add it to `values`",
        ),
        "profile_limits_by": Text(
            "{where}: [{low}, {high}] 不在 min 和 max 之内", "{where}: [{low}, {high}] does not lie within min and max"
        ),
        "profile_first_last": Text(
            "{where}: first 大于 last", "{where}: first is above last", "对调两数", "exchange them"
        ),
        "profile_frozen": Text(
            "{where}: 数值本来就 {refresh_s} 秒才更新一次",
            "{where}: its values stand still for {refresh_s} s anyway",
            "写得比 timing.refresh_s 长",
            "make it longer than timing.refresh_s",
        ),
        "profile_atomic": Text(
            "{where}: 组 {group} 有几种功能码,一次读不了",
            "{where}: atomic group {group} has several function codes: no single request reads it",
        ),
        "profile_check_unit": Text(
            "{where}: {word} 的单位是 {unit},这里要 {needed}", "{where}: {word} is in {unit}, {needed} is needed"
        ),
        "profile_sum_part": Text(
            "{where}: {word} 不能是 {total} 的一部分",
            "{where}: {word} cannot be a part of {total}",
            "单位须相同,且不是它自己",
            "the same unit, and not itself",
        ),
        "profile_hangs": Text("{where}: {word} 自己又依赖别的测点", "{where}: {word} hangs on another point itself"),
        "profile_deadband_blind": Text(
            "{where}: 读不到的量看不出变化,deadband 需要可读的 state_point",
            "{where}: what is never read shows no change: a deadband needs a readable state point",
        ),
        "profile_unlock": Text(
            "{where}: {word} 不能用来解锁",
            "{where}: {word} cannot unlock anything",
            "须是普通的可写测点",
            "it must be a plain writable point",
        ),
        "profile_unlock_value": Text(
            "{where}: {word} 不允许写 {value}", "{where}: {value} may not be written to {word}"
        ),
        "profile_too_long": Text(
            "{where}: 一次要读 {count} 个寄存器,最多 {most} 个",
            "{where}: needs {count} registers in one read, at most {most} are allowed",
        ),
        "profile_functions": Text(
            "{where}: 设备没有功能码 {function}(有 {known})",
            "{where}: function {function} is none of the device's {known}",
        ),
        "profile_outside_device": Text(
            "{where}: 超出设备的地址 {first}..{last}", "{where}: lies outside the device's addresses {first}..{last}"
        ),
        "profile_forbidden": Text(
            "{where}: 落在禁读范围 {low}..{high}", "{where}: lies in the forbidden range {low}..{high}"
        ),
        "profile_never_read": Text("{where}: {word} 只写不读", "{where}: {word} is never read"),
        "profile_no_point": Text("{where}: 没有测点 {word}({near})", "{where}: no point {word}; {near}"),
        "profile_unit": Text("{where}: 未知单位 {word}({near})", "{where}: unknown unit {word}; {near}"),
        "profile_address_or_parts": Text(
            "{where}: 缺少 {word}", "{where}: key {word} is missing", "写 {word},或写 parts", "give {word}, or `parts`"
        ),
        "profile_parts": Text(
            "{where}: {word} 应写在每个 parts 里", "{where}: {word} belongs into each of the `parts`"
        ),
    }
)
