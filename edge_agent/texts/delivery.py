"""What has become of records, and why a value is missing: codes of `edge_agent.uplink.ledger` and `gap_causes`."""

from collections.abc import Mapping
from types import MappingProxyType

from edge_agent.texts.entry import Text

TEXTS: Mapping[str, Text] = MappingProxyType(
    {
        "fate_stored": Text("等待发送", "waits to be sent"),
        "fate_sent": Text("已发送,平台未确认", "sent, the platform has not confirmed it"),
        "fate_consumed": Text(
            "已送达,平台协议不作确认",
            "delivered; the platform's protocol does not acknowledge",
            "可在 uplink.yaml 设 reconcile: daily,每天重传一次以取得证明",
            "set reconcile: daily in uplink.yaml to send it once more each day and have it proven",
        ),
        "fate_fetched": Text("平台已按时段取走", "fetched by the platform's own query"),
        "fate_acknowledged": Text("平台已确认入库", "the platform says that it is stored"),
        "fate_refused": Text(
            "平台拒收{reason}",
            "refused by the platform{reason}",
            "查编码和配置,改好后 edge-agent upload retry",
            "check codes and configuration, then edge-agent upload retry",
        ),
        "fate_evicted": Text("磁盘不足,未上传即丢弃{reason}", "dropped before delivery: no space{reason}"),
        "fate_replaced": Text("已由更正记录取代", "replaced by a correcting record"),
        "fate_not_made": Text(
            "没有生成记录",
            "no record was made",
            "服务是否在运行: systemctl status edge-agent",
            "is the service running: systemctl status edge-agent",
        ),
        "gap_wrong_clock": Text(
            "当时时钟不对,数据存在别的时刻", "the clock was wrong then: what was measured stands under other times"
        ),
        "gap_not_running": Text("控制器未运行或数据库写不进去", "the agent did not run, or its store refused"),
        "gap_not_read": Text("没有采集这个测点", "this point was never read"),
        "gap_too_few": Text("有效读数太少", "too few valid readings"),
    }
)
