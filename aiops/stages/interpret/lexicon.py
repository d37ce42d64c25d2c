"""Words of the trade in English and Chinese, as data. Catalog names never stand here: they come from the live system.

`METRICS`: concept -> (which catalog metrics mean it, in order of preference; how people say it). Order matters: where two
sayings start at the same place, the concept that comes first wins, so the specific stands before the general.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

METRICS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "p99",
        (r"(?:latency|duration|response).*99", "p99"),
        r"(?:tail[ -])?(?:latency|response times?|rt)?[ _-]?(?:at )?(?:the )?p[ -]?99(?:th)?(?:[ _-]?(?:percentile|latency|latencies|response times?|rt|ms))?|"
        r"99(?:th|\.0)?[ -]?(?:percentile|pct|%ile)(?: latency| response times?)?|tail[ -]latenc(?:y|ies)|slowest (?:1%|one percent)|"
        r"(?:延迟|时延|耗时|响应时间|响应)?的?(?:p99|99线|99分位数?|九九线|尾延迟|长尾延迟|长尾时延)(?:的?(?:延迟|时延|耗时|响应时间|线))?",
    ),
    (
        "p95",
        (r"(?:latency|duration|response).*95", "p95"),
        r"(?:latency|response times?|rt)?[ _-]?(?:at )?(?:the )?p[ -]?95(?:th)?(?:[ _-]?(?:percentile|latency|latencies|response times?|rt|ms))?|"
        r"95(?:th)?[ -]?(?:percentile|pct|%ile)(?: latency| response times?)?|"
        r"(?:延迟|时延|耗时|响应时间|响应)?的?(?:p95|95线|95分位数?|九五线)(?:的?(?:延迟|时延|耗时|响应时间|线))?",
    ),
    (
        "5xx",
        ("5xx", "server_error"),
        r"(?:http[ _-]?)?(?:5xx'?s?|5\*\*|50[0-4](?:'?s\b|(?= errors?| responses?| status)))(?: (?:errors?|responses?|status(?:es)?|codes?|rates?|counts?))*|"
        r"http[ _-]?5xx|server[ -]side errors?|internal server errors?|bad gateways?|gateway timeouts?|"
        r"(?:http\s?)?(?:5xx|50[0-4])(?:\s?(?:错误|响应|状态码|报错|异常))?(?:率|数量?)?|服务端错误|服务器内部错误",
    ),
    (
        "hit_rate",
        ("hit_?(?:rate|ratio)",),
        r"(?:cache[ _-]?)?(?:hit|miss)[ _-]?(?:rate|ratio|percentage|pct|%)s?|cache (?:hits?|misses|miss|efficiency|effectiveness)|(?:缓存)?的?(?:未?命中率?|击穿)",
    ),
    (
        "lag",
        ("lag", "backlog"),
        r"(?:consumer|consumption|kafka|topic|message|partition|queue)?[ _-]?(?:group )?(?:lag|backlog|back-log)(?!gy)s?|(?:falling|fallen|fell|lagging|running|way) behind|lagging|can(?:'|no)?t keep up|"
        r"(?:messages?|queue) (?:are |is )?(?:piling|backing|stacking|backed|piled) up|pil(?:ing|ed) up|queue depth|unconsumed messages|"
        r"(?:消费|消息|队列)?的?(?:积压量?|堆积量?|滞后|落后)|消费(?:者|组|端)?的?(?:延迟|lag|跟不上|不过来)|消费不(?:动|过来)|lag",
    ),
    (
        "gc",
        ("gc", "garbage"),
        r"(?:full[ -])?gc(?:[ _-]?(?:pauses?|time|times|duration|stalls?|activity|behaviou?r|overhead))?|garbage[ -]collect(?:ion|or|ing)(?: (?:pauses?|times?|stalls?))?|stop[ -]the[ -]world(?: pauses?)?|jvm pauses?|"
        r"(?:full\s?)?gc\s?(?:停顿|暂停|时间|耗时|次数)(?:时间|时长)?|垃圾回收(?:的?(?:停顿|暂停|时间|耗时))?(?:时间|时长)?|fgc",
    ),
    (
        "restarts",
        ("restart",),
        r"(?:pod |container )?restart(?:s|[ _-]?counts?| number| rates?| loops?)|(?:number of|how many) restarts|crash[ -]?loop(?:s|ing|ed|backoff)?|(?:keeps?|kept|been|is|are|started?|constantly|repeatedly) (?:on )?(?:crashing|restarting|dying|bouncing|rebooting|falling over)|"
        r"restarted(?: itself)?(?= \d| \w+ times| several| many| again| repeatedly| a lot| twice)|(?:keeps?|kept) (?:crashing|dying)|crash(?:es|ed)\b|crashing|restarts? (?:itself|themselves)|"
        r"重启(?:的?次数|数|频率|频繁|计数)|(?:频繁|反复|不停|一直|老是|总是|自动|自己|不断|又|疯狂)(?:地)?(?:在)?(?:重启|崩溃|挂掉)|重启了?(?:几|多少|[\d一二三四五六七八九十两好]+)(?:几)?(?:次|回|遍)|崩溃(?:次数)?|crashloop(?:backoff)?|循环重启|重启过(?:几|多少)次",
    ),
    (
        "network",
        ("network", "net_?io", "bandwidth"),
        r"network[ _-]?(?:i/?o|traffic|throughput|usage|bandwidth|utili[sz]ation|bytes|in and out)?|net[ _-]?i/?o|nic (?:traffic|throughput)|bandwidth(?: (?:usage|use|utili[sz]ation))?|(?:ingress|egress)(?: (?:traffic|bytes))?|bytes (?:in|out|sent|received)|"
        r"网络(?:的?(?:流量|io|i/o|吞吐量?|带宽|使用率?|读写))?|带宽(?:使用率?|占用)?|网卡(?:流量)?|出入流量|网口流量|进出流量",
    ),
    (
        "error_rate",
        ("error", "failure", "failed"),
        r"(?:request )?(?:error|failure|fail|failed[ -]request|exception)s?[ _-]?(?:rates?|ratios?|percentages?|pct|%|counts?|numbers?)|errors?\b(?! budget)|erroring|failures?\b|failing|(?:requests?|calls?|payments?|transactions?|logins?) (?:fail|failed|are failing)\b|fail(?:s|ed)?\b|exceptions?\b|"
        r"(?:请求)?的?(?:错误|失败|出错|报错|异常|故障)(?:率|比例|占比)|(?:错误|失败|报错)(?:数量?|次数|请求|量)?|出错|抛异常",
    ),
    (
        "qps",
        ("qps", "rps", "throughput", "request_rate", "requests"),
        r"qps|rps|tps|(?:requests?|queries|transactions|calls|hits)(?:[ -]?(?:per|a|/)[ -]?(?:second|sec|s|minute)\b|[ -]rates?|[ -]volumes?|[ -]counts?)|req/s|throughput|(?:call|query) (?:rate|volume)|traffic(?: (?:volume|level)s?)?|request load|"
        r"每秒(?:的?请求|查询|事务)(?:数|量)?|请求(?:量|数|速率|总量)|(?:吞吐|访问|调用|查询)量?(?:率)?(?=$|[^\w]|[\u4e00-\u9fff])(?<!查询)(?<!访问)(?<!调用)|流量|并发量?",
    ),
    (
        "connections",
        ("conn",),
        r"(?:open |active |idle |db |database |client |tcp )*(?:connections?|conns?)(?: (?:counts?|numbers?|pools?|usage|limits?))*|连接(?:的?(?:数量?|池|总数))?|链接数",
    ),
    (
        "cpu",
        ("cpu", "processor"),
        r"(?:cpu|processor)s?(?:[ _-]?(?:usage|use|utili[sz]ation|load|time|consumption|percent(?:age)?|pct|burn|%))?|load average|compute usage|"
        r"(?:cpu|处理器)\s?(?:的?(?:使用率|利用率|占用率?|负载|使用|用量|水位))?",
    ),
    (
        "memory",
        ("mem", "heap", "rss"),
        r"(?:memory|mem|ram|heap)(?:[ _-]?(?:usage|use|utili[sz]ation|consumption|footprint|leaks?|leaking|pressure|percent(?:age)?|pct|size|%))?|rss|oom(?:[ -]?kill(?:ed|s|ing)?|s|ed|ing)?\b|out of memory|working set|"
        r"(?:内存|堆内存|堆)\s?(?:的?(?:使用率|使用量|利用率|占用率?|泄漏|泄露|溢出|用量|使用|水位))?|oom",
    ),
    (
        "disk",
        ("disk", "storage", "filesystem", "volume"),
        r"(?:disks?|storage|filesystem|volume|hdd|ssd)(?:[ _-]?(?:usage|use|utili[sz]ation|consumption|space|capacity|percent(?:age)?|pct|fill(?: rate)?|full|%))*|(?:free )?space (?:left|remaining|usage|used)|out of space|fill(?:ing|s|ed)? up|"
        r"(?:磁盘|硬盘|存储|盘)\s?(?:的?(?:使用率|使用量|利用率|占用率?|空间|容量|用量|使用|水位|余量))?(?:使用率|占用率?)?",
    ),
    (
        "latency",
        (r"(?:latency|duration|response).*99", "p99", "latency", "duration", "response_time", "rt$"),
        r"(?:average |avg |mean |request |response |api )*(?:latenc(?:y|ies)|response[ -]times?|respon[sc]e speed|delays?|round[ -]trip(?: times?)?|rtt|rt)\b|"
        r"slow(?:er|est|ness|ing|ed|s|ly)?\b|sluggish(?:ly|ness)?|laggy|crawl(?:ing|s|ed)?|dragging|drags|takes? (?:forever|ages|too long|so long|way too long|an eternity)|taking (?:forever|ages|too long|so long|an eternity|longer)|time(?:s|d)?[ -]?out(?:s)?|timing out|hang(?:s|ing)|spinning|unresponsive|"
        r"延迟|时延|耗时|响应(?:时间|速度|耗时|时长|慢)?|rt(?![a-z])|(?:很|太|好|这么|那么|变|越来越|有点|特别|非常|巨|超|贼|突然|又|老|总)?慢|超时|卡(?:顿|死|住|得|爆|成|了|$)|转圈|半天(?:没|才|不)",
    ),
)

# Said of a thing, these mean a value is high; they speak of a symptom even when nobody asks why.
COMPLAINT = re.compile(
    r"\b(?:slow\w*|sluggish|laggy|crawl\w*|drag\w*|fail\w*|down\b(?! ?load)|broken|broke|dead|dying|dies|die|degrad\w*|spik\w+|surg\w+|jump\w*|climb\w*|soar\w*|tank\w*|plummet\w*|plung\w*|drop(?:s|ped|ping)?\b|fell|through the roof|going up|went up|going crazy|went crazy|going nuts|bonkers|haywire|berserk|on fire|up in flames|"
    r"melt\w*|chok\w*|struggl\w*|flak\w+|flap\w*|unstable|unavailable|unreachable|unresponsive|stuck|hang\w*|hung|timing out|time[sd]? ?out\w*|timeouts?|crash\w*|pegged|maxed|saturated|overload\w*|throw\w*|spew\w*|erroring|errors?|5xx|50[0-4]s?|acting up|playing up|misbehav\w*|"
    r"blow\w* up|blew up|shot up|shoot\w* up|elevated|high|higher|hot|bad|worse|terrible|awful|ugly|garbage|horrible|leak\w*|bloat\w*|eating|hogging|hammered|page[ds]?\b|paging|alerting|firing|red\b|outage|incident|issues?|problems?|trouble|complain\w*|can't|cannot|won't|doesn't work|not working|isn't working|stopped working|backed up|piling|behind|"
    r"keeps?|kaput|toast|hosed|borked|busted|wonky|grinding|cranky|unhappy|dog|pig|mess|belly up|tits up|fallen over|fell over|falling over|keel\w*|nosediv\w*|cratered|in the (?:toilet|gutter|weeds))\b"
    r"|慢|卡|挂了?|崩|炸|爆|飙|抖|报错|出错|失败|错误|超时|打不开|进不去|用不了|不可用|不通|不行|坏了|跪了|飘红|告警|报警|异常|故障|问题|涨|升高|上升|变高|很高|太高|偏高|过高|高了|这么高|掉了|下降|下跌|跌|降低|骤降|暴跌|突增|激增|暴涨|猛增|打满|跑满|占满|满了|撑不住|扛不住|顶不住|抽风|不稳|积压|堆积|泄漏|卡死|没反应|无响应|转圈|不动|拉胯|宕机|躺了|瘫|抗议|投诉|受不了"
)

DIAGNOSE = re.compile(
    r"\b(?:why|y (?:is|are|does|did|has|do)|how come|how so|what(?:'s| is| are|s)? (?:causing|behind|driving|wrong|up with|the deal|going on|happening|eating|hogging|killing|making|breaking|slowing|the matter|the story|the problem|the issue|the root)|what (?:caused|made|happened|went|broke|triggered|led|drove|killed|changed|the (?:heck|hell))|"
    r"wh?at gives|wtf|reasons?|root[ -]?causes?|rca|caus(?:e|es|ed|ing)|culprits?|to blame|responsible for|who(?:'s| is)? (?:to blame|the culprit|killing|breaking|hammering)|investigat\w+|troubleshoot\w*|diagnos\w+|debug\w*|dig (?:into|in|deeper)|digging|look into|looking into|look in to|get to the bottom|track down|trace (?:down|back)|pin(?:point| down)|figure out|find out|explain|explanation|understand|analy[sz]e the (?:cause|failure|outage|incident)|where (?:does|is|are|do) .{1,60}? com(?:e|ing) from|how did .{1,60}? (?:get|end up|become)|source of|origin of)\b"
    r"|为什么|为啥|为何|怎么(?:回事|会|了|搞的|这么|那么|突然|又|老是|总是|一直|还是?|越来越|变|就)|咋(?:回事|了|整|这么|又|老|突然|还|就|就是|变|搞|会)?|原因|根因|根本原因|起因|诱因|元凶|罪魁|祸首|凶手|排查|定位|诊断|溯源|追查|查清|查明|查出|搞清楚|弄清楚|分析一?下.{0,20}(?:故障|问题|慢|高|失败|原因)|什么(?:情况|问题|毛病|鬼|导致|造成|引起|引发|状况|东西把)|啥(?:情况|问题|毛病|原因|鬼|导致|造成|状况)|哪(?:里|儿|块|个环节)?(?:出了?|有)(?:问题|毛病|错)|出了什么|出什么|谁(?:搞|导致|把|干)|由什么|因为什么|何故|导致的|引起的|造成的"
)
FORECAST = re.compile(
    r"\b(?:forecast\w*|predict\w*|project(?:ion|ions|ed)?\b|extrapolat\w*|estimate[ds]?(?: when| how| the)|anticipat\w*|outlook|will\b(?! you)|when (?:will|does|do|would|is|are)\b.{0,60}?\b(?:run|hit|reach|fill|exceed|exhaust|full|out|cross|top|max)|how (?:long|soon) (?:until|till|before|do we have|will|can)|how many (?:days|hours|weeks) (?:until|till|before|left|do we have)|going to (?:be|hit|reach|run|fill|exceed|look|need|cross|grow|max|top|blow|burst|die|last)|gonna (?:be|hit|reach|run|fill|exceed|look|need|cross|grow|max|top|blow|burst|last)|"
    r"expect(?:ed)?\b|be like (?:tomorrow|next)|capacity plan\w*|headroom|runway|time to full|days left|make it (?:through|to|till|until)|last (?:until|till|another)|hold (?:out|up) (?:until|till|for))"
    r"|预测|预估|预计|预判|推测|估计(?!.{0,6}是)|推算|估算|预料|展望|走势会|趋势会|未来|接下来.{0,8}(?:会|如何|怎样|怎么样|走势|趋势|多少)|(?:什么时候|啥时候|何时|几时|几点|哪天|多久(?:之?后)?|多长时间|几天(?:之?后)?|还有多久).{0,12}(?:会|能|满|用完|耗尽|撑|到|爆|超|写满|打满|跑满|用光|不够)|会不会.{0,16}(?:满|超|爆|不够|撑|达到|耗尽|用完|破|涨|降)|还?能(?:撑|用|扛|坚持|顶|挺)(?:多久|几天|到|住|多长)|还够(?:用|撑)?|会(?:涨|升|达|到|降|跌|超|满|爆|是)(?:到|过|至|成)?(?:多少|几|什么)?|够不够用"
)
DETECT = re.compile(
    r"\b(?:anomal\w+|abnormal\w*|ab-normal|unusual(?:ly)?|weird(?:ly|ness)?|strange(?:ly|r)?|odd(?:ly|ities)?|oddness|suspicious\w*|out of (?:the )?ordinary|out of (?:line|whack|range|band)|outliers?|irregular\w*|deviat\w*|normal(?:ly)?|as (?:usual|expected)|healthy|health|fishy|funny|funky|unexpected(?:ly)?|atypical|off (?:today|lately|recently|or not|in any way)|look(?:s|ing)? (?:ok|okay|fine|good|right|off|alright|sane|all right|healthy)|(?:is|are|was|were|has|have) .{0,60}?\b(?:ok|okay|fine|alright|stable|off|sane|misbehav\w+|behav\w+|acting|spiking|ok\?)|(?:any|anything|something|is there) .{0,30}?(?:wrong|off|odd|problem|problems|issue|issues|spikes?|outages?|regressions?)|"
    r"detect\w*|sanity[ -]check|health[ -]?check|all good|everything (?:ok|okay|fine|good|alright)|stick(?:s|ing)? out|stand(?:s|ing)? out|behav(?:e|es|ing) (?:normally|itself|themselves|well|oddly|badly|differently))\b"
    r"|异常|反常|不正常|正不正常|正常(?:吗|么|不|没|否|范围)?|是否正常|不对劲|对劲|有没有(?:什么|啥|哪些|任何)?(?:问题|毛病|波动|异样|尖刺|毛刺|突变|抖动|不妥|猫腻)|有(?:什么|啥)?(?:异样|古怪|蹊跷)|有无(?:问题|波动)|健康|稳定吗|稳不稳|平稳(?:吗|么)|离群|毛刺|突变|偏离|奇怪|怪怪的|怪(?=吗|么|不)|诡异|没事吧|有事吗|还好吗|好着(?:吗|呢吗|没)|检测|体检|巡检|ok吗|ok不"
)
REPORT = re.compile(
    r"\b(?:report(?:s)?\b(?! (?:me )?the (?:current|value))|summar(?:y|ies|i[sz]e[ds]?|i[sz]ing)|post[ -]?mortems?|pm doc|pir\b|write[ -]?ups?|writing up|write (?:it )?(?:up|down)|write (?:me )?(?:a|an|the|up)|retro(?:spective)?s?|incident (?:review|doc|document|record|timeline|notes|summary|report)|recap|tl;?dr|digest|wrap[ -]?up|after[ -]action|hand[ -]?over(?: notes?)?|debrief|rundown|overview|draft)\b"
    r"|报告|复盘|总结|汇总|小结|概述|综述|周报|日报|月报|简报|通报|故障回顾|回顾一?下|事故记录|写(?:个|一份|份|一下|一篇)|出(?:个|一份|份)(?:报|总|复|文)|整理(?:一下|成|出|一份|个)|纪要|交接"
)
QUERY = re.compile(
    r"\b(?:show|list|display|fetch|get|give|pull(?: up)?|plot|graph|chart|query|print|read|return|lookup|look up|compare|comparison|versus|vs|diff(?:erence)?|check|see|view|bring up|what(?:'s| is| are| was| were|s)|what\b|how (?:many|much|big|high|low|large|full|fast|long|often|is|are|was|were|does|do|did)|hows|how's|number of|count|counts|total|current(?:ly)?|right now|at the moment|value|values|level|levels|average|avg|mean|max(?:imum)?|min(?:imum)?|peak|sum|top|tell me|let me (?:see|know)|i(?:'d| would)? (?:want|need|like) (?:to see|the|to know)|can i (?:see|get|have)|stats?|numbers?|figures?|trends?|which)\b"
    r"|查看|查询|查一?下|查查|查|看一?下|看看|瞧瞧|瞅瞅|瞅一?眼|看一?眼|看|多少|几个|几条|几次|有几|多大|多高|多长|是几|列出|列一?下|显示|展示|给我|拉一?下|拉取|拉出|调出|打印|返回|获取|对比|比较|比一?下|比一比|统计|当前|现在|目前|此刻|值|曲线|走势|趋势|情况|怎么样|怎样|如何|发我|来一份|告诉我|想知道|想看|平均|最大|峰值"
)
WHY_STRONG = re.compile(
    r"\b(?:why|how come|root[ -]?causes?|rca|what(?:'s| is)? (?:causing|behind)|what caused|wtf|troubleshoot|diagnose|investigate|figure out|dig into|look into)\b|为什么|为啥|为何|原因|根因|怎么回事|咋回事|排查|诊断"
)

NAMED_LABELS: Mapping[str, str] = {
    "namespace": r"namespace|ns|命名空间",
    "cluster": r"cluster|集群",
    "pod": r"pod",
    "host": r"host|hostname|主机|机器",
    "instance": r"instance|实例",
    "node": r"node|节点",
    "zone": r"zone|az|availability zone|可用区",
    "region": r"region|区域|地域|大区|地区",
    "version": r"version|版本|release",
    "tenant": r"tenant|租户",
    "dc": r"dc|datacenter|data center|idc|机房",
    "status": r"status(?: code)?|状态码",
    "method": r"method",
    "path": r"path|endpoint|route|接口",
    "topic": r"topic|主题",
    "partition": r"partition|分区",
    "env": r"env|environment|环境",
    "team": r"team",
    "shard": r"shard|分片",
    "group": r"group",
}
ENVIRONMENTS: tuple[tuple[str, str], ...] = (
    (
        "prod",
        r"\b(?:prod|production|prd)\b(?: (?:env(?:ironment)?|cluster|only))?|生产(?:环境|集群|上|线)?(?!者|力)|线上(?:环境)?|正式环境",
    ),
    (
        "staging",
        r"\b(?:staging|stage|stg|pre-?prod(?:uction)?|uat)\b(?: env(?:ironment)?)?|预发布?(?:环境)?|预生产(?:环境)?|仿真环境",
    ),
    ("canary", r"\bcanary\b|灰度(?:环境)?|金丝雀"),
    ("test", r"\b(?:test(?:ing)?|qa) (?:env(?:ironment)?|cluster)\b|\bin (?:test|qa|testing)\b|测试(?:环境|集群|服)"),
    ("dev", r"\bdev(?:elopment)?\b(?: env(?:ironment)?| cluster)?(?! ?(?:mode|ops|tools))|开发环境|研发环境"),
)

ROLES: Mapping[str, tuple[str, ...]] = {
    "consumer": ("consumer", "consumers", "消费者", "消费端", "消费组", "消费服务", "消费"),
    "producer": ("producer", "producers", "生产者", "生产端"),
    "worker": ("worker", "workers", "工作进程", "任务进程"),
    "cache": ("cache", "缓存"),
    "db": ("db", "database", "数据库", "库"),
    "gateway": ("gateway", "网关"),
    "api": ("api", "接口"),
    "scheduler": ("scheduler", "调度器", "调度"),
    "proxy": ("proxy", "代理"),
}

# Words that name no service by themselves, whatever a catalog says with a suffix ("user-service").
GENERIC = frozenset(
    ["user", "users", "customer", "customers", "client", "clients", "data", "web", "app", "apps", "api", "main", "core", "test", "file", "files", "job", "jobs", "task", "tasks", "event", "events", "service", "services", "system", "systems", "server", "servers", "message", "messages", "email", "mail", "log", "logs", "config", "account", "time", "monitor", "metric", "metrics", "alert", "alerts", "status", "admin"]
)

# Where a name is also a verb or an everyday word: uses that don't name the service.
VERB_USES: Mapping[str, re.Pattern[str]] = {
    "search": re.compile(r"\bsearch (?:for|through|the logs?)\b"),
    "order": re.compile(r"\b(?:in|out of) order\b|\border (?:of magnitude|by)\b|\border to\b"),
    "orders": re.compile(r"\borders of magnitude\b"),
    "cart": re.compile(r"\bcart (?:before|off)\b"),
    "notifications": re.compile(r"\b(?:disable|mute|turn off|silence) notifications\b"),
    "recommendation": re.compile(r"\b(?:any|a|your|what) recommendations?\b"),
    "recommendations": re.compile(r"\b(?:any|your|what|give me) recommendations\b"),
    "搜索": re.compile(r"搜索(?:一下|关键|日志)"),
    "通知": re.compile(r"通知(?:我|一下|大家|值班|他|运维|相关)|(?:告警|报警)通知"),
    "推荐": re.compile(r"推荐(?:一个|个|一下|方案|做法|怎么|给我)|(?:有什么|有啥)推荐"),
    "支付": re.compile(r"支付宝"),
}

# Ordinary words a typo correction must leave alone though a catalog name lies one slip away.
CONFUSABLE = frozenset(
    ["shopping", "shipped", "shipment", "shipments", "chart", "charts", "card", "cards", "care", "part", "parts", "cast", "car", "carts", "research", "searched", "searching", "reach", "teach", "order", "ordered", "orders", "older", "holders", "borders", "inventor", "invent", "inventive", "getaway", "recommend", "recommended", "recommends", "ledge", "leader", "leaders", "pledge", "author", "authors", "authored", "checked", "checking", "checks", "check", "chick", "notify", "notified", "notifying", "notion", "notation", "case", "cash", "catch", "caught", "user", "users", "used", "uses", "usher", "payer", "pays", "paid", "pay", "pavement", "redo", "reads", "ready", "radius", "kafkaesque", "broken", "broke", "broker", "brokers"]
)

# Words of ordinary English in ops talk: never corrected into a name, and harmless inside a hyphenated word.
KNOWN_WORDS = frozenset(
    ["the", "a", "an", "and", "or", "of", "on", "in", "at", "to", "for", "from", "by", "with", "without", "is", "are", "was", "were", "be", "been", "being", "it", "its", "this", "that", "these", "those", "there", "here", "what", "which", "who", "whom", "whose", "why", "when", "where", "how", "i", "me", "my", "we", "us", "our", "you", "your", "he", "she", "they", "them", "their", "do", "does", "did", "done", "doing", "have", "has", "had", "having", "can", "could", "will", "would", "shall", "should", "may", "might", "must", "not", "no", "yes", "please", "pls", "plz", "thanks", "thank", "show", "list", "get", "give", "tell", "find", "figure", "look", "see", "check", "compare", "plot", "fetch", "pull", "want", "need", "know", "make", "let", "start", "started", "starting", "stop", "stopped", "since", "after", "before", "until", "till", "between", "during", "over", "under", "above", "below", "than", "more", "less", "most", "least", "last", "past", "next", "previous", "recent", "recently", "now", "today", "yesterday", "tomorrow", "tonight", "morning", "afternoon", "evening", "night", "noon", "midnight", "hour", "hours", "minute", "minutes", "min", "mins", "hr", "hrs", "second", "seconds", "sec", "secs", "day", "days", "week", "weeks", "month", "months", "fortnight", "year", "latency", "error", "errors", "rate", "rates", "request", "requests", "traffic", "throughput", "memory", "disk", "usage", "utilization", "space", "network", "connection", "connections", "cache", "hit", "miss", "ratio", "lag", "backlog", "consumer", "consumers", "producer", "garbage", "collection", "pause", "pauses", "restart", "restarts", "restarted", "count", "counts", "service", "services", "server", "system", "pod", "pods", "replica", "replicas", "instance", "instances", "node", "nodes", "cluster", "region", "zone", "namespace", "version", "release", "deploy", "deployed", "deployment", "rollback", "rolled", "revert", "scale", "scaled", "reboot", "bounce", "up", "down", "out", "back", "off", "high", "higher", "low", "lower", "slow", "slower", "fast", "spike", "spikes", "spiking", "spiked", "jump", "jumped", "drop", "dropped", "dropping", "increase", "increased", "increasing", "decrease", "decreased", "rising", "rise", "rose", "climb", "climbing", "crash", "crashed", "crashing", "crashes", "fail", "fails", "failed", "failing", "failure", "failures", "broken", "problem", "problems", "issue", "issues", "incident", "incidents", "outage", "alert", "alerts", "alarm", "cause", "causes", "caused", "causing", "root", "reason", "behind", "forecast", "predict", "expected", "anomaly", "anomalies", "anomalous", "abnormal", "normal", "unusual", "strange", "weird", "odd", "healthy", "fine", "okay", "report", "summary", "postmortem", "write", "draft", "json", "markdown", "plain", "text", "plaintext", "format", "output", "table", "yaml", "please", "first", "second", "third", "some", "any", "all", "every", "each", "other", "same", "again", "still", "just", "only", "also", "too", "very", "really", "so", "such", "like", "about", "around", "as", "well", "if", "then", "else", "while", "because", "whether", "per", "both", "either", "neither", "go", "going", "gone", "went", "goes", "come", "comes", "came", "take", "takes", "took", "taking", "keep", "keeps", "kept", "put", "puts", "say", "says", "said", "think", "thinks", "look", "looks", "looking", "seem", "seems", "seemed", "feel", "feels", "run", "runs", "running", "ran", "work", "works", "working", "worked", "use", "uses", "used", "using", "add", "added", "adding", "change", "changed", "changing", "update", "updated", "team", "people", "customers", "customer", "users", "user", "client", "clients", "prod", "production", "staging", "stage", "stuck", "dead", "dying", "down", "alive", "weird", "bad", "worse", "worst", "good", "better", "best", "new", "old", "big", "small", "large", "much", "many", "few", "lot", "lots", "bit", "little", "open", "opened", "closed", "current", "currently", "value", "values", "number", "numbers", "level", "levels", "average", "peak", "total", "data", "database", "query", "queries", "call", "calls", "response", "responses", "time", "times", "long", "short", "end", "ends", "begin", "began", "point", "points", "line", "lines", "log", "logs", "trace", "traces", "metric", "metrics", "graph", "chart", "dashboard", "page", "paged", "paging", "exceed", "exceeds", "exceeded", "reach", "reaches", "reached", "cross", "crosses", "crossed", "hits", "goes", "stays", "drops", "falls", "fell", "hold", "holds", "green", "red", "yellow", "black", "white", "right", "left", "wrong", "true", "false", "null", "none", "sure", "maybe", "perhaps", "probably", "hello", "hey", "team", "guys", "folks", "anyone", "someone", "everybody", "nobody", "nothing", "anything", "something", "everything", "throw", "throwing", "threw", "thrown", "getting", "got", "gets", "blow", "blowing", "blew", "fire", "firing", "fired", "pegged", "maxed", "saturated", "full", "filling", "fill", "filled", "eat", "eating", "leak", "leaking", "hot", "cold", "quick", "quickly", "asap", "urgent", "important", "help", "investigate", "look", "dig", "into", "onto", "off", "everywhere", "somewhere", "worth", "price", "prices", "pricing", "search", "order", "orders", "cart", "checkout"]
)
