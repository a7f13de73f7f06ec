"""What may be wrong with a configuration file, and how to mend it."""

from collections.abc import Mapping
from types import MappingProxyType

from edge_agent.texts.entry import Text

TEXTS: Mapping[str, Text] = MappingProxyType(
    {
        # ------------------------------------------------------------------------------------------ the file itself
        "folder_missing": Text(
            "没有配置文件夹 {folder}",
            "there is no configuration folder {folder}",
            "先运行 edge-agent init {folder}",
            "run first: edge-agent init {folder}",
        ),
        "file_missing": Text(
            "没有这个文件",
            "this file is missing",
            "edge-agent init 会写出全套示例",
            "edge-agent init writes complete examples",
        ),
        "file_unreadable": Text(
            "读不了这个文件:{reason}", "this file cannot be read: {reason}", "查文件权限", "check its permissions"
        ),
        "file_too_big": Text(
            "文件有 {size_kb} kB,不像配置文件",
            "{size_kb} kB is no configuration file",
            "最大 1000 kB",
            "at most 1000 kB",
        ),
        "file_empty": Text(
            "文件是空的", "the file is empty", "edge-agent init 会写出示例", "edge-agent init writes examples"
        ),
        "not_utf8": Text(
            "文件编码不是 UTF-8(像是 {encoding})",
            "the file is not UTF-8 (looks like {encoding})",
            "请另存为 UTF-8",
            "save it as UTF-8",
        ),
        "control_character": Text(
            "有不可见的控制字符 {number}", "there is an invisible control character {number}", "删去它", "delete it"
        ),
        # ------------------------------------------------------------------------------- characters that look alike
        "tab": Text("有制表符(Tab)", "there is a tab", "改用空格:{corrected}", "use blanks: {corrected}"),
        "wide_blank": Text(
            "缩进里有全角空格或不间断空格",
            "a full-width or no-break space in the indentation",
            "改用半角空格:{corrected}",
            "use plain blanks: {corrected}",
        ),
        "wide_colon": Text("全角冒号 “{found}”", "full-width colon {found}", "改成:{corrected}", "write: {corrected}"),
        "wide_comma": Text("全角逗号 “{found}”", "full-width comma {found}", "改成:{corrected}", "write: {corrected}"),
        "wide_quote": Text(
            "中文引号 {found}", "Chinese quotation mark {found}", "改成:{corrected}", "write: {corrected}"
        ),
        "wide_dash": Text(
            "时段里的连接号应为半角",
            "the dash of a span must be the plain one",
            "改成:{corrected}",
            "write: {corrected}",
        ),
        "wide_digits": Text(
            "全角数字或符号 “{found}”", "full-width digits or signs {found}", "改成:{corrected}", "write: {corrected}"
        ),
        "wide_letters": Text(
            "名称里有全角字符 “{found}”",
            "full-width characters {found} in a name",
            "改成:{corrected}",
            "write: {corrected}",
        ),
        "wide_comment": Text(
            "注释用了全角井号", "full-width hash before a comment", "改成:{corrected}", "write: {corrected}"
        ),
        "colon_without_blank": Text(
            "冒号后缺空格", "a blank is missing after the colon", "改成:{corrected}", "write: {corrected}"
        ),
        # --------------------------------------------------------------------------------------------- YAML's grammar
        "duplicate_key": Text("“{key}” 写了两次", "{key} stands here twice", "只留一个", "keep one"),
        "yaml_directive": Text("不许写 % 指令", "no % directives", "删去这一行", "delete this line"),
        "yaml_second_document": Text(
            "一个文件只能有一份内容,这里又用 --- 开始了一份",
            "one document a file; a second one begins here",
            "删去 --- 及以后的内容",
            "delete from --- on",
        ),
        "yaml_anchor": Text(
            "不许用锚点 & 和引用 *",
            "no anchors & or aliases *",
            "把内容原样写出;文字以 * 或 & 开头时加英文引号",
            "write the content out; quote a text that begins with * or &",
        ),
        "yaml_merge": Text("不许用合并键 <<", "no merge keys <<", "把内容原样写出", "write the content out"),
        "yaml_tag": Text(
            "不许用标签 !",
            "no tags !",
            "删去标签;文字以 ! 开头时加英文引号",
            "delete the tag; quote a text that begins with !",
        ),
        "yaml_quote_open": Text(
            "引号没有配对",
            "this quotation mark is never closed",
            "在文字末尾补上引号",
            "close it at the end of the text",
        ),
        "yaml_colon_missing": Text(
            "这一行缺少冒号",
            "a colon is missing on this line",
            "键后写冒号和空格,例如 name: 示范",
            "a key is followed by colon and blank, as in name: demo",
        ),
        "yaml_colon_in_value": Text(
            "值里有冒号加空格",
            "a colon and a blank inside a value",
            "给整个值加英文引号",
            "put the whole value in quotes",
        ),
        "yaml_bracket": Text(
            "括号没有配对,或两项之间缺逗号",
            "a bracket is not closed, or a comma is missing between two items",
            "补上 ] 或 }},各项用半角逗号隔开",
            "close it with ] or }}, separate items by commas",
        ),
        "yaml_indent": Text(
            "缩进与上文不一致",
            "the indentation does not fit the lines above",
            "同一级的键左端对齐,用空格",
            "keys of one level begin in one column; use blanks",
        ),
        "yaml_needs_quotes": Text(
            "值不能以 {sign} 开头", "a value cannot begin with {sign}", "给值加英文引号", "put the value in quotes"
        ),
        "yaml_syntax": Text(
            "YAML 语法错误:{problem}", "YAML syntax: {problem}", "对照示例文件", "compare with the example"
        ),
        "yaml_unreadable": Text(
            "不能作为 YAML 读取:{reason}",
            "cannot be read as YAML: {reason}",
            "对照示例文件",
            "compare with the example",
        ),
        "yaml_too_deep": Text(
            "嵌套太深", "nested too deeply", "配置不需要这么多层括号", "no configuration needs so many brackets"
        ),
        "not_a_mapping": Text(
            "文件应由 “键: 值” 组成",
            "the file must consist of `key: value`",
            "对照示例文件",
            "compare with the example",
        ),
        # ------------------------------------------------------------------------------------------- form of a value
        "unknown_key_near": Text(
            "没有 “{key}” 这个键", "there is no key {key}", "应为 {close}?", "did you mean {close}?"
        ),
        "unknown_key": Text("没有 “{key}” 这个键", "there is no key {key}", "可用:{known}", "known: {known}"),
        "missing_key": Text(
            "{parent} 里缺少 {key}", "{key} is missing in {parent}", "补上 {key}: …", "add {key}: ... ({about_en})"
        ),
        "value_missing": Text("{key} 没有值", "{key} has no value", "在冒号后写值", "write a value after the colon"),
        "key_needs_text": Text(
            "键 {key} 应为文字", "the key {key} must be a text", '加英文引号:"{key}"', 'put it in quotes: "{key}"'
        ),
        "needs_text": Text("{key} 应为文字", "{key} must be a text", "{write_zh}", "{write_en}"),
        "needs_number": Text(
            "{key} 必须是数字,这里是 “{given}”", "{key} must be a number, not {given}", "{write_zh}", "{write_en}"
        ),
        "needs_whole_number": Text(
            "{key} 必须是整数,这里是 “{given}”", "{key} must be a whole number, not {given}", "{write_zh}", "{write_en}"
        ),
        "needs_finite_number": Text(
            "{key} 必须是有限的数", "{key} must be a finite number", "{write_zh}", "{write_en}"
        ),
        "needs_true_or_false": Text(
            "{key} 只能是 true 或 false", "{key} must be true or false", "{write_zh}", "{write_en}"
        ),
        "needs_mapping": Text(
            "{key} 应由 “键: 值” 组成", "{key} must consist of `key: value`", "{write_zh}", "{write_en}"
        ),
        "needs_list": Text("{key} 应为列表", "{key} must be a list", "{write_zh}", "{write_en}"),
        "needs_date": Text("{key} 应为日期", "{key} must be a date", "{write_zh}", "{write_en}"),
        "needs_pair": Text("应为两个数一组", "must be a pair of numbers", "例如 [-10, 48]", "for example [-10, 48]"),
        "needs_text_default": Text("写一段文字", "write a text"),
        "needs_number_default": Text("写一个数,不带单位", "write a number, without a unit"),
        "needs_whole_number_default": Text("写一个整数", "write a whole number"),
        "needs_finite_number_default": Text("写一个普通的数", "write an ordinary number"),
        "needs_mapping_default": Text(
            "换行缩进写各个键,或用 {{键: 值}}", "write its keys on indented lines, or {{key: value}}"
        ),
        "needs_list_default": Text("用方括号,各项用逗号隔开", "use brackets, items separated by commas"),
        "not_one_of": Text(
            "“{given}” 不在可选值之内:{allowed}", "{given} is none of: {allowed}", "写 {write}", "write {write}"
        ),
        "outside_bounds": Text(
            "{key} 为 {given},应 {sign} {bound}",
            "{key} is {given}, must be {sign} {bound}",
            "核对数值和单位",
            "check the figure and its unit",
        ),
        "too_few": Text("{key} 内容太少", "{key} holds too little", "至少 {least} 项", "write {least} at least"),
        "too_many": Text("{key} 内容太多", "{key} holds too much", "最多 {most} 项", "write {most} at most"),
        "bad_form": Text(
            "{key} 写法不对:“{given}”",
            "{key} has the wrong form: {given}",
            "应符合 {pattern}",
            "must match {pattern}: {about_en}",
        ),
        "bad_value": Text("值不对:“{given}”", "wrong value {given}: {reason}", "{reason}", "compare with the example"),
        "line_too_long": Text(
            "这一行有 {characters} 个字符", "this line has {characters} characters", "最多 2000 个", "at most 2000"
        ),
        # ---------------------------------------------------------------------------------- across fields and files
        "unknown_name_near": Text(
            "没有叫 “{name}” 的{kind_zh}", "there is no {kind_en} {name}", "应为 {close}?", "did you mean {close}?"
        ),
        "unknown_name": Text(
            "没有叫 “{name}” 的{kind_zh}", "there is no {kind_en} {name}", "现有:{known}", "known: {known}"
        ),
        "point_form": Text(
            "测点应写成 设备.测点,这里是 “{name}”",
            "a point is written device.point, not {name}",
            "例如 io1.supply_temperature",
            "as in io1.supply_temperature",
        ),
        "not_built": Text(
            "本版本尚不支持 {what}",
            "{what} is not built in this version",
            "改用已支持的,或等后续版本",
            "use one that is, or wait for a later version",
        ),
        "bus_kind": Text(
            "总线 {name} 须且只须写 serial、tcp、rtu_over_tcp 之一(现有:{kinds})",
            "bus {name} needs exactly one of serial, tcp, rtu_over_tcp (has: {kinds})",
            "留下一个",
            "keep one",
        ),
        "host_port": Text("“{given}” 不是 地址:端口", "{given} is no host:port", "例如 {example}", "as in {example}"),
        "port_twice": Text(
            "串口 {given} 已属于总线 {other}",
            "port {given} already belongs to bus {other}",
            "一个串口只能属于一条总线",
            "a port belongs to one bus",
        ),
        "port_by_number": Text(
            "串口 {given} 的编号由插入次序决定，重新插拔后可能变成另一条总线",
            "the number of port {given} follows the order of plugging in; after re-plugging it may be another bus",
            "改用 /dev/serial/by-id 下的名字（ls -l /dev/serial/by-id）",
            "use its name below /dev/serial/by-id (ls -l /dev/serial/by-id)",
        ),
        "host_twice": Text(
            "地址 {given} 已属于总线 {other}",
            "address {given} already belongs to bus {other}",
            "许多设备只接受一个连接；把其后的设备都写在同一条总线上",
            "many devices take one connection only; put all devices behind it on one bus",
        ),
        "tcp_only": Text(
            "{key} 只用于 tcp 总线",
            "{key} is for a tcp bus only",
            "删去这一行",
            "delete it",
        ),
        "lenient_depth": Text(
            "lenient_ids 时 depth 只能为 1（现为 {given}）",
            "with lenient_ids depth must be 1 (is {given})",
            "事务号不可信时，只有同一时刻一个请求才能认出应答",
            "without transaction numbers an answer is known only while one request is in flight",
        ),
        "unit_twice": Text(
            "总线 {bus} 上的站号 {unit} 已属于 {other}",
            "unit {unit} on bus {bus} already belongs to {other}",
            "改站号,并核对设备面板",
            "change the number, and look at the device",
        ),
        "unit_broadcast": Text(
            "串行总线上 0 是广播,不能读",
            "on a serial bus unit 0 is the broadcast and cannot be read",
            "站号为 1 至 247",
            "units are 1 to 247",
        ),
        "unknown_zone": Text(
            "没有时区 “{given}”", "there is no time zone {given}", "应为 {close}?", "did you mean {close}?"
        ),
        "clock_not_simulated": Text(
            "仿真时钟只能用于仿真站点",
            "a simulated clock is for simulated sites only",
            "删去它;真实站点用系统时钟",
            "delete it; a real site uses the system's clock",
        ),
        "unsigned": Text(
            "未签字不能直接进入自动",
            "no automatic start without a signature",
            "写 monitor,或填 signed_by 和 signed_on",
            "write monitor, or fill in signed_by and signed_on",
        ),
        "half_signed": Text(
            "signed_by 与 signed_on 要同时填写",
            "signed_by and signed_on go together",
            "两项都填,或都写 null",
            "fill in both, or make both null",
        ),
        "min_above_max": Text(
            "上限 {high} 不高于 {low_key} 的 {low}",
            "the upper limit {high} is not above {low_key} {low}",
            "核对两个限值",
            "check both limits",
        ),
        "curve_empty": Text(
            "曲线没有点",
            "the curve has no points",
            "例如 [[-10, 48], [5, 44], [15, 41]]",
            "as in [[-10, 48], [5, 44], [15, 41]]",
        ),
        "curve_not_rising": Text(
            "曲线的点应从小到大:{before} 之后是 {after}",
            "the points of a curve must rise: {after} comes after {before}",
            "按第一个数由小到大排列",
            "sort them by their first figure",
        ),
        "curve_not_convex": Text(
            "曲线不凸:这一点之前的斜率更大,计划会把耗电少算 {percent} %",
            "the curve is not convex, steeper before this point: a plan would count {percent} % too little electricity",
            "核对样本数据;负荷越高,每 kW 增量耗电不应减少",
            "check the maker's figures; each further kW must not get cheaper",
        ),
        "curve_hull": Text(
            "曲线略有不凸:计划按其凸包,负荷率 {load} 处耗电少算 {percent} %",
            "the curve bends a little: planned by its hull, {percent} % too little electricity at load {load}",
            "可以不改;若是抄写误差,请改正",
            "may stay; if it is a copying error, mend it",
        ),
        "map_needs": Text(
            "有 full_load 就要写明常用工况的 {key}",
            "full_load needs {key}, the temperature of the usual figures",
            "补上 {key}",
            "add {key}",
        ),
        "map_row": Text(
            "这一行应为 [热源温度, 出水温度, 出力 kW, 电功率 kW],出力大于电功率,都大于 0",
            "a row is [source degC, leaving degC, output kW, electricity kW]: above 0, more output than electricity",
            "核对顺序和单位",
            "check order and units",
        ),
        "map_twice": Text(
            "热源 {source} °C、出水 {load} °C 写了两次",
            "source {source} degC, leaving {load} degC stands twice",
            "删去一行",
            "delete one",
        ),
        "curve_ends": Text(
            "曲线应从最低负荷率(0 与 1 之间)到 1",
            "the curve must run from the lowest load ratio (between 0 and 1) to 1",
            "补上两端的点",
            "add its end points",
        ),
        "curve_outside": Text(
            "供水温度 {given} 超出 {low}..{high}",
            "supply {given} degC lies outside {low}..{high}",
            "改曲线或改限值",
            "change the curve or the limits",
        ),
        "no_design_heat": Text(
            "设计室外温度 {design} °C 不低于停止供热的温度 {balance} °C",
            "the design temperature {design} degC is not below {balance} degC, above which no heat is needed",
            "核对 design_outdoor_degc 和 balance_outdoor_degc",
            "compare design_outdoor_degc and balance_outdoor_degc",
        ),
        "no_design_cold": Text(
            "设计室外温度 {design} °C 不高于开始供冷的温度 {balance} °C",
            "the design temperature {design} degC is not above {balance} degC, below which no cold is needed",
            "供冷环路要写夏季的 design_outdoor_degc 和 balance_outdoor_degc",
            "a cold loop needs its summer's design_outdoor_degc and balance_outdoor_degc",
        ),
        "charge_too_cold": Text(
            "充热温度 {given} 低于蓄满温度 {high}",
            "charging at {given} degC never fills a tank to {high} degC",
            "调高充热温度或调低 degc_max",
            "raise it, or lower degc_max",
        ),
        "charge_min_not_water": Text(
            "只有热水罐的充热温度可由计划选择",
            "only a hot-water tank can be charged at a temperature that the plan chooses",
            "删去这一行",
            "delete this line",
        ),
        "charge_min_empty": Text(
            "最低充热温度 {given} °C 应比放空温度 {low} °C 至少高 3 K,否则充进去的热没有用",
            "charging at {given} degC fills little into a tank that is empty at {low} degC: 3 K above that at least",
            "调高 charge_setpoint_degc_min",
            "raise charge_setpoint_degc_min",
        ),
        "layers_empty": Text(
            "没有层温测点", "no layer temperatures", "自上而下列出各层测点", "list the layers' points from the top"
        ),
        "layer_twice": Text(
            "测点 {name} 用于两层", "{name} stands for two layers", "每层一个测点", "one point a layer"
        ),
        "season_form": Text(
            "季节应写成 11-15..03-15,这里是 “{given}”",
            "a season is written 11-15..03-15, not {given}",
            "月-日..月-日",
            "MM-DD..MM-DD",
        ),
        "window_form": Text(
            "需量窗口 {given} 分钟不能整除一小时",
            "a demand window of {given} min does not divide an hour",
            "通常写 15",
            "usually 15",
        ),
        "period_too_long": Text(
            "采集周期 {given} s 不短于读数有效时间 {stale} s,控制总是用不上",
            "polled every {given} s, but readings are valid for {stale} s only: control can never use them",
            "缩短 period_s 或加大 control.stale_s",
            "shorten period_s or raise control.stale_s",
        ),
        "state_dir_too_long": Text(
            "数据目录路径 {given} 字节,最多 {most} 字节:放不下服务的套接字,不经 systemd 启动时命令行连不上服务",
            "the path of the state folder has {given} bytes, at most {most} leave room for the service's socket: verbs "
            "cannot reach a service that systemd has not started",
            "换一个短些的目录",
            "use a shorter folder",
        ),
        "bus_overloaded": Text(
            "总线 {name} 每秒要占用 {share} 秒,采集周期无法保证(占用最多:{devices})",
            "bus {name} is asked for {share} s of every second and cannot keep its periods (most: {devices})",
            "把 period_s 加长到 {stretch} 倍,提高波特率,或把设备分到另一条总线",
            "make period_s {stretch} times longer, raise the baud rate, or move devices to another bus",
        ),
        "modes_empty": Text(
            "机组没有运行方式", "the unit has no modes", "例如 [direct, charge]", "as in [direct, charge]"
        ),
        "charge_without_storage": Text(
            "{name} 能充热,但没有写 storage",
            "{name} can charge, but names no storage",
            "补上 storage: 名称",
            "add storage: NAME",
        ),
        "mode_without_way": Text(
            "{name} 能以 {mode} 运行,但没有一种水力方式的 units_in 含 {mode}",
            "{name} can run in {mode}, but no operating mode lets it: none has {mode} in its units_in",
            "在 operating_modes 里补上,或从机组的 modes 里去掉",
            "add one under operating_modes, or take it out of the unit's modes",
        ),
        "modes_alike": Text(
            "{name} 与 {other} 的阀门、水泵、机组方式完全相同,分不清",
            "{name} and {other} have the same valves, pumps and unit modes: they cannot be told apart",
            "合并,或写明区别",
            "merge them, or say how they differ",
        ),
        "threshold_order": Text(
            "{lower} 不能大于 {upper}",
            "{lower} must not be above {upper}",
            "先报警、先减载,后停机",
            "first the milder step, then the harder one",
        ),
        "unit_unmetered": Text(
            "{name} 没有电表,算不出它的 COP",
            "{name} has no electricity meter: its COP cannot be told",
            "在 meters.units 里补上",
            "add it under meters.units",
        ),
        "performance_mode_missing": Text(
            "性能曲线 {name} 没有 {mode} 方式",
            "performance map {name} has no mode {mode}",
            "在曲线文件里补上",
            "add it to the map",
        ),
        "capacity_below_load": Text(
            "设计负荷 {load} kW,机组和辅助热源一共只有 {have} kW,差 {lack} kW",
            "the design load is {load} kW, units and auxiliaries together give {have} kW: {lack} kW are missing",
            "核对 design_kw 与机组的性能曲线;若确实如此,最冷的日子会缺热,计划会写明",
            "check design_kw and the units' maps; if it is so, the coldest days lack heat, and the plan says so",
        ),
        "limit_below_unit": Text(
            "上限 {given} kW 低于 {unit} 最低负荷的用电 {least} kW(含水泵),没有一台机组能运行",
            "the limit of {given} kW is below what {unit} takes at its lowest load with its pumps, {least} kW: "
            "no unit could ever run",
            "核对单位(kW)和数值",
            "check the unit (kW) and the figure",
        ),
        "contract_above_limit": Text(
            "合同需量 {given} kW 高于最大用电功率 {limit} kW,永远用不到",
            "the contracted demand of {given} kW is above the most power drawn, {limit} kW: it can never be used",
            "核对两个数值,或降低合同需量以省电费",
            "check both figures, or contract less and save",
        ),
        "source_below_unit": Text(
            "热源上限 {given} kW 低于 {unit} 最低负荷的取热量 {least} kW,没有一台机组能运行",
            "the source's limit of {given} kW is below what {unit} draws at its lowest load, {least} kW: "
            "no unit could ever run",
            "核对单位(kW)和数值;不限就删去",
            "check the unit (kW) and the figure; delete it if there is no limit",
        ),
        "charge_below_unit": Text(
            "蓄热上限 {given} kW 低于 {unit} 蓄热方式最低负荷 {least} kW,多出的热只能进管网",
            "the tank takes at most {given} kW, {unit} gives {least} kW at its lowest load while charging: "
            "the rest must go into the loop",
            "核对 charge_kw_max",
            "check charge_kw_max",
        ),
        "cop_unlikely": Text(
            "满负荷时制热 {heat} kW、用电 {power} kW,COP {cop}:没有这样的机组",
            "at full load {heat} kW of heat for {power} kW of power, a COP of {cop}: no machine does that",
            "核对性能文件里的 heat_kw 与 curve(kW)",
            "check heat_kw and curve in the performance file (kW)",
        ),
        "rated_unlike_map": Text(
            "额定制热 {given} kW,性能曲线却是 {mapped} kW",
            "rated at {given} kW of heat, but the performance map has {mapped} kW",
            "核对单位(kW),或改用与机组相符的性能文件",
            "check the unit (kW), or name the map of this machine",
        ),
        "tank_below_supply": Text(
            "{given} °C 低于回路最低供水温度 {needed} °C:这部分热用户用不上,却算作存量",
            "{given} degC is below the lowest supply temperature of the loop, {needed} degC: "
            "that heat is counted and cannot be used",
            "degc_min 不要低于 supply_degc_min",
            "let degc_min be no lower than supply_degc_min",
        ),
        "tank_small": Text(
            "{given} m³ 只存 {holds} kWh,机组 {minutes} 分钟就充满",
            "{given} m3 hold {holds} kWh only: the units fill that in {minutes} min",
            "核对单位(m³)和数值",
            "check the unit (m3) and the figure",
        ),
        "tank_loses_most": Text(
            "每天损失 {given},即 {given} 乘 100 %",
            "a loss of {given} a day is {given} times 100 %",
            "写成比例:每天 1 % 写 0.01",
            "write a ratio: 0.01 for 1 % a day",
        ),
        "twin_itself": Text("机组不能与自己相同", "a unit cannot be identical to itself", "删去这一项", "delete it"),
        "twin_chain": Text(
            "{name} 自己又与别的机组相同",
            "{name} is identical to yet another unit",
            "都写最先的那一台",
            "name the first one of them",
        ),
        "twin_differs": Text(
            "{name} 与 {twin} 不同:{key} 为 {mine},对方为 {theirs}",
            "{name} is not identical to {twin}: {key} is {mine}, there {theirs}",
            "改成相同,或删去 identical_to",
            "make them equal, or delete identical_to",
        ),
        "device_lacks_point": Text(
            "设备 {device}({profile})没有测点 {point}",
            "device {device} ({profile}) has no point {point}",
            "换设备或型号文件;机组的测点也可以写在它的 points 里",
            "name another device or profile; a unit's points may also be named under its points",
        ),
        "device_lacks_command": Text(
            "设备 {device}({profile})没有可写的测点 {point}",
            "device {device} ({profile}) has no writable point {point}",
            "核对控制方式和型号文件;机组的测点也可以写在它的 points 里",
            "check actuation and profile; a unit's points may also be named under its points",
        ),
        "unit_key_foreign": Text(
            "控制方式 {actuation} 用不到 {key}",
            "{key} means nothing to a unit told by {actuation}",
            "删去这一项,或改 actuation",
            "delete it, or change actuation",
        ),
        "unit_lacks_role": Text(
            "机组 {name}({actuation})必须有 {role} 测点",
            "unit {name} ({actuation}) needs a point for {role}",
            "在 points 里写 {role}: 设备.测点",
            "write under points: {role}: device.point",
        ),
        "unit_no_feedback": Text(
            "机组 {name} 既没有运行触点,也没有自己的电表,无法知道它是否在转",
            "unit {name} has neither a running contact nor an electricity meter: nothing shows whether it runs",
            "写 running 触点,或在 meters.units 里给它电表",
            "name the running contact, or give it a meter under meters.units",
        ),
        "unit_no_watchdog": Text(
            "机组 {name} 没有心跳测点:控制器停了,它不会自己转回面板,最后的指令会一直保持",
            "unit {name} hears no heartbeat: without us it does not go back to its panel, the last commands stand",
            "在机组或触点箱上设通信看门狗,写 points: {{heartbeat: 设备.测点}};没有就确认停服务时的安全状态",
            "set a watchdog at the unit, points: {{heartbeat: device.point}}; else see that what stands is safe",
        ),
        "stages_missing": Text(
            "机组 {name} 按级控制,却没有各级的份额",
            "unit {name} is told in stages and has no shares",
            "补上,例如 stage_ratios: [0.5, 1]",
            "add for instance  stage_ratios: [0.5, 1]",
        ),
        "stage_ratios_form": Text(
            "各级份额应至少两级、逐级增大、以 1 结束",
            "shares of stages: at least two, rising, the last one 1",
            "例如 [0.5, 1] 或 [0.34, 0.67, 1]",
            "as in [0.5, 1] or [0.34, 0.67, 1]",
        ),
        "stage_contacts_count": Text(
            "{stages} 级需要 {wanted} 个 {key},现有 {given} 个:第 1 级就是启停",
            "{stages} stages need {wanted} {key}, there are {given}: the first stage is the run request",
            "从第 2 级起每级一个",
            "one for each stage from the second on",
        ),
        "stages_told_twice": Text(
            "既写了 stage_request 又写了 stage_contacts",
            "both stage_request and stage_contacts",
            "留一个",
            "keep one of them",
        ),
        "period_form": Text(
            "上传周期 {given} 分钟不能整除一天",
            "a period of {given} min does not divide a day",
            "例如 5、15、30、60",
            "as in 5, 15, 30, 60",
        ),
        "uplink_lacks": Text(
            "{transport} 缺少 {key}", "{transport} needs {key}", "补上 {key}: {example}", "add {key}: {example}"
        ),
        "uplink_key_unused": Text(
            "{transport} 不用 {key}",
            "{transport} has no use for {key}",
            "删去,或核对 transport",
            "delete it, or look at transport",
        ),
        "credential_missing": Text(
            "没有密钥文件 {given}",
            "there is no key file {given}",
            "放在配置旁边或 systemd 的凭据里,写 md5_key: …、aes_key: …、aes_iv: … 各一行",
            "beside the configuration or among systemd's credentials: lines md5_key: ..., aes_key: ..., aes_iv: ...",
        ),
        "url_form": Text(
            "“{given}” 不是 https://主机/路径",
            "{given} is no https://host/path",
            "例如 https://platform.example/records;不加密的 http 只许用于本机",
            "as in https://platform.example/records; plain http for this machine only",
        ),
        "server_twice": Text(
            "服务器 {given} 已用于 {other}",
            "server {given} is already used by {other}",
            "同一采集器的两个连接会互相挤掉,每个服务器只写一次",
            "two connections of one collector push each other out: name each server once",
        ),
        "project_form": Text(
            "项目号 {given} 应为 9 位:区划 6 + 项目 3",
            "project {given} must have 9 characters: area 6 + project 3",
            '例如 "110108900",加引号',
            'as in "110108900", in quotes',
        ),
        "project_area": Text(
            "项目号的区划 {given} 与 site.yaml 的 area_code {area} 不同",
            "area {given} of the project differs from area_code {area} in site.yaml",
            "两处都核对:项目号由主管部门给出",
            "check both: the authority gives the project's number",
        ),
        "gateway_form": Text(
            "采集器号 {given} 应为 13 位:项目号 9 + 系统 2 + 采集器 2",
            "collector {given} must have 13 characters: project 9 + system 2 + collector 2",
            '例如 "1101089000101",加引号',
            'as in "1101089000101", in quotes',
        ),
        "gateway_project": Text(
            "采集器号 {given} 不以项目号 {project} 开头",
            "collector {given} does not begin with project {project}",
            "向平台核对",
            "ask the platform",
        ),
        "period_outside": Text(
            "上传周期 {given} min 超出平台的 {least}..{most} min",
            "a period of {given} min is outside the platform's {least}..{most} min",
            "导则:默认 30 min",
            "the guideline's default is 30 min",
        ),
        "code_form": Text(
            "编码 {given} 应为 16 位:区划 6 + 项目 3 + 技术类型 3 + 系统 2 + 指标 2({uplink} 要求)",
            "code {given} must have 16 characters: area 6 + project 3 + technology 3 + system 2 + index 2 ({uplink})",
            '例如 "1101089002050120";字符:{form}',
            'as in "1101089002050120"; characters: {form}',
        ),
        "code_project": Text(
            "编码 {given} 里的项目号是 {found},应为 {project}",
            "code {given} names project {found}, this plant is {project}",
            "前 9 位改为 {project}",
            "let it begin with {project}",
        ),
        "code_technology": Text(
            "编码 {whole} 里的技术类型 {given} 不存在",
            "technology {given} in code {whole} does not exist",
            "第 10 至 12 位,可用:{known}",
            "characters 10 to 12, one of {known}",
        ),
        "code_technology_unfit": Text(
            "技术类型 {given}({name_zh})与 plant_type: {plant_type} 不符",
            "technology {given} ({name_en}) does not fit plant_type: {plant_type}",
            "核对第 10 至 12 位",
            "check characters 10 to 12",
        ),
        "code_system": Text(
            "编码 {given} 里的系统号是 00",
            "system 00 in code {given}",
            "第 13、14 位,01 至 99",
            "characters 13 and 14, 01 to 99",
        ),
        "indices_unsent": Text(
            "{count} 个测点的指标({indices})平台没有,不上传给 {uplink}",
            "{count} points carry indices ({indices}) that the platform does not know: not sent to {uplink}",
            "平台已分配时写 options: {{extra_indices: [...]}}",
            "if the platform has assigned them: options: {{extra_indices: [...]}}",
        ),
        "too_many_points": Text(
            "{count} 个测点;{uplink} 的测点编码只有两位序号",
            "{count} points; the point codes of {uplink} have two digits for their number",
            "每个采集器最多 99 个",
            "at most 99 a collector",
        ),
        "number_twice": Text(
            "测点序号 {given} 已用于第 {other} 条",
            "number {given} is already used by entry {other}",
            "每个序号只能用一次",
            "a number stands for one point",
        ),
        "broker_form": Text(
            "“{given}” 不是 mqtt://主机:端口",
            "{given} is no mqtt://host:port",
            "例如 mqtts://broker.example:8883",
            "as in mqtts://broker.example:8883",
        ),
        "secret_in_file": Text(
            "配置文件里不许写用户名和密码",
            "no user name or password in a configuration file",
            "放进凭据文件,用 credentials 写它的名字",
            "keep them in a credential file and name it under credentials",
        ),
        "code_twice": Text(
            "编码 {given} 已用于第 {other} 条",
            "code {given} is already used by entry {other}",
            "每个编码只能用一次",
            "a code stands for one point",
        ),
        "required_point_missing": Text(
            "监测导则要求的指标 {index} {name_zh} 没有上报",
            "index {index} ({name_en}), required by the monitoring guideline, is not reported",
            "有测点就补上;没有则向主管部门说明",
            "add it if there is a meter; if not, tell the authority",
        ),
        # ------------------------------------------------------------------------------------- profiles of devices
        "profile_unknown": Text(
            "没有这个设备型号文件:{message}",
            "{message}",
            "可放在配置文件夹的 profiles/ 里",
            "your own go into profiles/ beside the configuration",
        ),
        "profile_unknown_key": Text(
            "型号文件里有未知的键:{message}", "{message}", "对照已有的型号文件", "compare with a shipped profile"
        ),
        "profile_missing_key": Text(
            "型号文件缺少键:{message}", "{message}", "对照已有的型号文件", "compare with a shipped profile"
        ),
        "profile_unknown_point": Text(
            "型号文件里没有这个测点:{message}",
            "{message}",
            "对照型号文件的 points",
            "compare with the profile's points",
        ),
        "profile_bad_value": Text(
            "型号文件的值不对:{message}", "{message}", "对照设备手册", "compare with the device's manual"
        ),
    }
)
