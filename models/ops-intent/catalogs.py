"""Invented catalogs: every example is asked of another system, so that a model learns to copy names and not to know them."""

from __future__ import annotations

import random
from dataclasses import dataclass

from aiops.domain import Catalog

# What a system may be made of, with the Chinese word that people use for it.
_WORDS = """
invoice:发票 parcel:包裹 wallet:钱包 loyalty:积分 coupon:优惠券 billing:计费 pricing:定价 catalog:商品目录 product:商品 review:评价
member:会员 profile:档案 session:会话 login:登录 refund:退款 settlement:清算 risk:风控 fraud:反欺诈 audit:审计 message:消息
email:邮件 sms:短信 chat:聊天 feed:信息流 video:视频 image:图片 upload:上传 media:媒体 stream:直播 ticket:票务 seat:选座 route:路线
travel:出行 train:列车 hotel:酒店 flight:航班 booking:预订 driver:司机 map:地图 geo:定位服务 weather:气象 courier:骑手 delivery:配送
warehouse:仓库 stock:存货 supplier:供应商 purchase:采购 contract:合同 report:报表 metrics:指标 config:配置 scheduler:调度
workflow:工作流 rule:规则引擎 ad:广告 campaign:营销 bid:竞价 ranking:排序 recall:召回 embedding:向量 crawler:爬虫 indexer:索引
proxy:代理 edge:边缘 frontend:前端 mobile:移动端 web:官网 portal:门户 admin:管理后台 device:设备 sensor:传感器 telemetry:遥测 loan:贷款
credit:信贷 bank:银行 transfer:转账 exchange:兑换 quote:报价 insurance:保险 claim:理赔 policy:保单 patient:患者 clinic:诊所
lesson:课程 exam:考试 student:学生 forum:论坛 comment:评论 like:点赞 friend:好友 game:游戏 match:匹配 lobby:大厅 score:计分 gift:礼品
basket:购物篮
"""
NOUNS = dict(pair.split(":") for pair in _WORDS.split())
ROLES = ("service", "api", "svc", "server", "worker", "consumer", "gateway", "backend", "engine", "manager")
STORES = (
    "pg",
    "mysql",
    "mongo",
    "es",
    "redis",
    "rabbit",
    "kafka",
    "etcd",
    "cassandra",
    "minio",
    "influx",
    "nats",
    "db",
    "kafka-broker",
    "es-data",
    "node",
)
MAINS = ("main", "primary", "cache", "master", "cluster")
METRICS = {
    "P99": "latency_p99 latency_p99 latency_p99 http_latency_p99 p99_latency request_duration_p99 response_time_p99",
    "P95": "latency_p95 latency_p95 latency_p95 http_latency_p95 p95_latency request_duration_p95",
    "ERR": "error_rate error_rate error_rate errors_total request_error_rate error_ratio failed_requests",
    "5XX": "http_5xx http_5xx http_5xx responses_5xx http_5xx_rate",
    "QPS": "qps qps qps rps request_rate requests_per_second throughput",
    "CPU": "cpu_usage cpu_usage cpu_usage cpu cpu_percent container_cpu",
    "MEM": "memory_usage memory_usage memory_usage mem memory_bytes heap_used mem_percent",
    "DISK": "disk_usage disk_usage disk_usage disk_used filesystem_usage disk_percent",
    "LAG": "consumer_lag consumer_lag consumer_lag kafka_lag queue_lag backlog",
    "GC": "gc_pause gc_pause gc_pause gc_time jvm_gc_pause",
    "CONN": "connections connections connections open_connections conn_count",
    "HIT": "cache_hit_rate cache_hit_rate cache_hit_rate hit_ratio",
    "RST": "restart_count restart_count restart_count pod_restarts restarts_total",
    "NET": "network_io network_io network_io network_bytes net_io",
}


@dataclass(frozen=True)
class System:
    """One invented system: its catalog, and which of its metrics stands for which concept."""

    catalog: Catalog
    concepts: dict[str, str]


def system(rng: random.Random) -> System:
    """6 to 24 services, 7 to 14 metrics."""
    services: dict[str, tuple[str, ...]] = {}
    count = rng.randint(6, 24)
    prefix = rng.choice(("ts-", "app-", "mall-")) if rng.random() < 0.08 else ""
    while len(services) < count:
        kind = rng.random()
        noun = rng.choice(list(NOUNS))
        if kind < 0.35:
            services[prefix + noun] = (NOUNS[noun],)
        elif kind < 0.7:
            role = rng.choice(ROLES)
            services[f"{prefix}{noun}-{role}"] = (NOUNS[noun],) if role not in {"worker", "consumer"} else ()
        elif kind < 0.9:
            services[f"{rng.choice(STORES)}-{rng.randint(1, 12)}"] = ()
        elif kind < 0.96:
            services[f"{rng.choice(STORES[:9])}-{rng.choice(MAINS)}"] = ()
        else:
            services[f"{noun}{rng.choice(('service', 'svc', 'api'))}"] = ()
    chosen = rng.sample(list(METRICS), rng.randint(8, len(METRICS)))
    concepts = {c: rng.choice(METRICS[c].split()) for c in METRICS if c in chosen}
    latency = concepts.get("P99") or concepts.get("P95")
    taken: set[str] = set()
    aliases = {}
    for name, words in services.items():
        own = tuple(w for w in words if w not in taken)
        taken.update(own)
        if own:
            aliases[name] = own
    catalog = Catalog(tuple(services), tuple(concepts.values()), aliases)
    return System(catalog, concepts | ({"LAT": latency} if latency else {}))
