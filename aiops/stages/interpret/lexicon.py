"""Words of the trade in English and Chinese, as data. Catalog names never stand here: they come from the live system.

`METRICS`: concept -> (which catalog metrics mean it, in order of preference; how people say it). Order matters: where two
sayings start at the same place, the concept that comes first wins, so the specific stands before the general.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

METRICS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "5xx",
        ("5xx", "server_error", "error"),
        (
            r"(?:http[ _-]?)?(?:5xx'?s?|5\*\*|50[0-4](?:'?s\b|(?= errors?| responses?| status)))(?: (?:errors?|responses?|status(?:es)?|codes?|rates?|counts?))*|"
            r"http[ _-]?5xx|server[ -]side errors?|internal server errors?|bad gateways?|gateway timeouts?|"
            r"(?:http\s?)?(?:5xx|50[234]|50[01](?=\s?(?:错误|响应|状态码|报错|异常)))(?:\s?(?:错误|响应|状态码|报错|异常))?(?:率|数量?)?|服务端错误|服务器内部错误|"
            r"(?:报|返回|抛|冒|出|吐|全是|都是|一堆|好多|大量)(?:了|着)?(?:一堆|很多|好多|个)?50[0-4](?![0-9.])"
        ),
    ),
    (
        "4xx",
        ("4xx", "client_error"),
        (
            r"(?:http[ _-]?)?(?:4xx'?s?|4\*\*|40[0-9](?:'?s\b|(?= errors?| responses?| status)))(?: (?:errors?|responses?|status(?:es)?|codes?|rates?|counts?))*|"
            r"client[ -]side errors?|(?:http\s?)?4xx(?:\s?(?:错误|响应|状态码|报错|异常))?(?:率|数量?)?|客户端错误"
        ),
    ),
    (
        "hit_rate",
        ("hit_?(?:rate|ratio)",),
        r"(?:cache[ _-]?)?(?:hit|miss)[ _-]?(?:rate|ratio|percentage|pct|%)s?|cache (?:hits?|misses|miss|efficiency|effectiveness)|cache (?:went|is|was|has gone|got|turned|running) (?:\w+ )?cold|cold cache|(?:缓存)?的?(?:未?命中率?|击穿|失效)|缓存[^,。;]{0,6}?[不没]命中",
    ),
    (
        "replication",
        (r"repl.*(?:lag|delay)|(?:lag|delay).*repl", "seconds_behind"),
        (
            r"replica(?:tion)?[ _-]?(?:lag|delay)|(?:fell|falling|fallen|fall|lagging|running|is|trailing)(?: \w+)? behind (?:the |its )?(?:primary|master|leader|source|\x00+)|"
            r"(?:主从|复制|同步|主备)的?(?:延迟|滞后|时延|差距|落后)"
        ),
    ),
    (
        "queue",
        (r"queue.*(?:depth|length|size|backlog|pending)", "backlog", "consumer.*lag", r"^(?!.*repl).*lag"),
        r"queue[ _-]?(?:depth|length|size)s?|(?:depth|length|size) of (?:the |its )?queue|(?<!in )(?<!by )(?:the |its |their )?queue(?!d| up| is up)|队列(?:的?(?:深度|长度|大小))?",
    ),
    (
        "lag",
        (
            r"(?:consumer|kafka|topic|message|group|offset).*lag",
            r"^(?!.*repl).*lag",
            "backlog",
            r"queue.*(?:depth|length|size)",
        ),
        (
            r"(?:consumer|consumption|kafka|topic|message|partition|queue)?[ _-]?(?:group )?(?:lag|backlog|back-log)(?!gy)s?|(?:falling|fallen|fell|lagging|running|way) behind|lagging|can(?:'|no)?t keep up|"
            r"(?:messages?|queue|backlog) (?:are |is |keeps? |kept )?(?:piling|backing|stacking|backed|piled|stacked) up|(?:pil|stack)(?:ing|ed) up|unconsumed messages|(?:mountains?|piles?|heaps?|tons?|loads?|stacks?) of (?:unread |unprocessed |pending )?(?:messages?|events|jobs)|(?:chok|drown)\w+ (?:on|in) (?:messages|events|jobs)|"
            r"(?:消费|消息|队列)?的?(?:积压量?|堆积量?|滞后|落后)|消费(?:者|组|端)?的?(?:延迟|lag|跟不上|不过来)|消费不(?:动|过来)|堆(?:着|了|满|成|起来|(?=\x00))|积压|堆积|lag"
        ),
    ),
    (
        "gc",
        ("gc", "garbage"),
        (
            r"(?:full[ -])?gc(?:[ _-]?(?:pauses?|time|times|duration|stalls?|activity|behaviou?r|overhead))?|garbage[ -]collect(?:ion|or|ing)(?: (?:pauses?|times?|stalls?))?|stop[ -]the[ -]world(?: pauses?)?|jvm pauses?|"
            r"(?:full\s?)?gc\s?(?:停顿|暂停|时间|耗时|次数)(?:时间|时长)?|垃圾回收(?:的?(?:停顿|暂停|时间|耗时))?(?:时间|时长)?|fgc"
        ),
    ),
    (
        "restarts",
        ("restart",),
        (
            r"how (?:often|many times)[^.;,]{0,40}?(?:restart|crash|reboot)\w*|(?:pod |container )?restart(?:s|[ _-]?counts?| number| rates?| loops?)|(?:number of|how many) restarts|crash[ -]?loop(?:s|ing|ed|backoff)?|(?:keeps?|kept|been|is|are|started?|constantly|repeatedly) (?:on )?(?:crashing|restarting|dying|bouncing|rebooting|falling over)|"
            r"restarted(?: itself)?(?= \d| \w+ times| several| many| again| repeatedly| a lot| twice)|(?:keeps?|kept) (?:crashing|dying)|(?:pods?|instances?|containers?|workers?) (?:are |is |were |keep |just )*(?:dropping|dying|going down|falling over|being killed|vanishing|flapping)|(?:drop|dropping|dying|die|falling) like flies|crash(?:es|ed)\b|crashing|restarts? (?:itself|themselves)|(?:keeps?|kept) (?:coming|going|popping) (?:back |up |down )?(?:up|down|back)|up and down (?:like|all)|(?:went|goes|going|fell|falls?) (?:down|over) and (?:keeps? )?(?:came|comes|coming) back|"
            r"重启(?:的?次数|数|频率|频繁|计数)|(?:频繁|反复|不停|一直|老是|总是|自动|自己|不断|又|疯狂)(?:地)?(?:在)?(?:重启|崩溃?|挂掉?|宕机?)|(?:老|动不动就?|时不时就?)(?:重启|崩|挂|宕)|重启了?(?:几|多少|[\d一二三四五六七八九十两好]+)(?:几)?(?:次|回|遍)|崩溃(?:次数)?|crashloop(?:backoff)?|循环重启|(?:pod|实例|容器|进程)[^,。;]{0,8}?(?:挂|崩|死|宕)(?:了|掉)?(?:好?几|多|[一二三四五六七八九两\d]+)?(?:次|回|遍)?|重启过(?:几|多少)次|挂了?又?起[^,。;]{0,3}?了?又挂|起来?了?又(?:挂|崩|死)|重启个?不停"
        ),
    ),
    (
        "network",
        (
            "network",
            "net_?io",
            "bandwidth",
            r"bytes_(?:out|in|sent|received)",
            r"(?:transmit|receive).*bytes",
            r"tx_bytes|rx_bytes",
        ),
        (
            r"network[ _-]?(?:i/?o|traffic|throughput|usage|bandwidth|utili[sz]ation|bytes|in and out)?|net[ _-]?i/?o|nic (?:traffic|throughput)|bandwidth(?: (?:usage|use|utili[sz]ation))?|(?:ingress|egress)(?: (?:traffic|bytes))?|bytes (?:in|out|sent|received)|"
            r"网络(?:的?(?:流量|io|i/o|吞吐量?|带宽|使用率?|读写))?|带宽(?:使用率?|占用)?|网卡(?:流量)?|网口流量|(?:进出|出入|出|入|上行|下行)口?流量"
        ),
    ),
    (
        "success",
        ("success", "availab"),
        r"(?:request )?success(?:ful)?[ _-]?(?:rates?|ratios?)|availability(?: rate)?|成功率|可用率|可用性",
    ),
    (
        "error_rate",
        ("error", "failure", "failed"),
        (
            r"(?:request )?(?:error|failure|fail|failed[ -]request|exception)s?[ _-]?(?:rates?|ratios?|percentages?|pct|%|counts?|numbers?)|errors?\b(?! budget)|erroring|(?:success|availability) rates?|failures?\b|(?:can'?t|cannot|can not|couldn'?t|unable to|nobody can|no one can|not able to) (?:log ?in|sign ?in|log on|pay|order|buy|check ?out|connect|access|open|use|place|complete|submit|load|reach)\b|(?:reject|declin|refus)(?:e?s|ing|ed)\b|failing|(?:requests?|calls?|payments?|transactions?|logins?) (?:fail|failed|are failing)\b|fail(?:s|ed)?\b|exceptions?\b|bomb(?:s|ing|ed)? out|bounc(?:ing|ed) back|blow(?:s|ing)? up on (?:users?|customers?|people)|"
            r"(?:请求)?的?(?:错误|失败|出错|报错|异常|故障)(?:率|比例|占比)|(?:错误|失败|报错)(?:数量?|次数|请求|量)?|出错|抛异常|成功率|可用率|(?:付|登|打|用|下|提交|访问|连|进|加载|支付|登录|登陆)不(?:了|上|开|进去|来|出来|到|通)(?:单|款)?|(?:全|都|尽|净)是错误?(?!觉)|错误?(?=刷屏)"
        ),
    ),
    (
        "qps",
        (
            "qps",
            "rps",
            "throughput",
            "request_rate",
            "requests",
            "workload",
            r"(?:^|_)(?:ops|invocations|calls|hits)(?:$|_)",
        ),
        (
            r"qps|rps|tps|(?:requests?|reqs?|queries|transactions|calls|hits)(?:[ -]?(?:per|a|/)[ -]?(?:second|sec|s|minute)\b|[ -]rates?|[ -]volumes?|[ -]counts?)|req/s|reqs?\b|throughput|(?:call|query) (?:rate|volume)|traffic(?: (?:volume|level)s?)?|request load|how busy|(?:no|zero|barely any|hardly any|any|few) (?:new |more )?(?:requests?|calls|hits|queries)(?! (?:fail|error|time|succeed|work))|(?:no ?(?:one|body))(?:'s| is| are| was)? (?:\w+ )?(?:hitting|calling|using|visiting|querying)|(?:went|gone|goes|fell|is|been) (?:quiet|silent|dark)|requests? (?:coming in|drying up|dried up|stopped|vanish\w*|disappear\w*)|"
            r"每秒(?:的?请求|查询|事务)(?:数|量)?|请求(?:量|数|速率|总量)|(?:吞吐|访问|调用|查询)量?(?:率)?(?=$|[^\w]|[\u4e00-\u9fff])(?<!查询)(?<!访问)(?<!调用)|流量|并发量?|没(?:有)?(?:什么|啥)?人(?:访问|请求|调用|打|用|来)|没(?:有)?(?:什么|啥)?(?:请求|流量|访问)|(?<![数用容余流总剩])量(?=看|正常|不正常|异常|大不|小不|跌|掉|涨|降|猛|突|对|有点|咋|怎)"
        ),
    ),
    (
        "connections",
        ("conn",),
        r"(?:open |active |idle |db |database |client |tcp )*(?:connections?|conns?)(?: (?:counts?|numbers?|pools?|usage|limits?))*|连接(?:的?(?:数量?|池|总数))?|链接数",
    ),
    (
        "cpu",
        ("cpu", "processor"),
        (
            r"(?:cpu|processor)s?(?:[ _-]?(?:usage|use|utili[sz]ation|load|time|consumption|percent(?:age)?|pct|burn|%))?|load average|compute usage|"
            r"(?:cpu|处理器)\s?(?:的?(?:使用率|利用率|占用率?|负载|使用|用量|水位))?"
        ),
    ),
    (
        "memory",
        ("mem", "heap", "rss"),
        (
            r"(?:memory|mem|ram|heap)(?:[ _-]?(?:usage|use|utili[sz]ation|consumption|footprint|leaks?|leaking|pressure|percent(?:age)?|pct|size|%))?|rss|oom(?:[ -]?kill(?:ed|s|ing)?|s|ed|ing)?\b|out of memory|working set|"
            r"(?:内存|堆内存|堆(?=使用|大小|空间|占用|外))\s?(?:的?(?:使用率|使用量|利用率|占用率?|泄漏|泄露|溢出|用量|使用|水位))?|oom"
        ),
    ),
    (
        "disk",
        ("disk", "storage", "filesystem", "volume"),
        (
            r"(?:disks?|storage|filesystem|volume|hdd|ssd)(?:[ _-]?(?:usage|use|utili[sz]ation|consumption|space|capacity|percent(?:age)?|pct|fill(?: rate)?|full|%))*|(?:free )?space (?:left|remaining|usage|used)|(?:out of|no|low on|short (?:on|of)|more) (?:space|room)(?! for improvement)|fill(?:ing|s|ed)? up|"
            r"(?:磁盘|硬盘|存储|(?<!复)(?<!大)盘)\s?(?:的?(?:使用率|使用量|利用率|占用率?|空间|容量|用量|使用|水位|余量))?(?:使用率|占用率?)?|没(?:有)?(?:地儿|地方|空间)|空间(?:不够|不足|告急|快没)"
        ),
    ),
    (
        "buffering",
        ("buffer.*(?:ratio|rate|time|count|seconds)", "stall"),
        r"(?:re-?)?buffer(?:ing|s|ed)?(?![ _-]?(?:cache|pool|size))|stall(?:s|ing|ed)?|stutter(?:s|ing|ed)?|卡顿率?|缓冲|卡成[\w一-鿿]{1,4}",
    ),
    (
        "latency",
        (r"(?:latency|duration|response).*99", "p99", "latency", "duration", "response_time", "rt$"),
        (
            r"(?:average |avg |mean |request |response |api )*(?:latenc(?:y|ies)|response[ -]times?|respon[sc]e speed|delays?|round[ -]trip(?: times?)?|rtt|rt)\b|"
            r"slow(?:er|est|ness|ing|ed|s|ly)?\b|(?:like |as )?(?:a |slow as )?(?:treacle|molasses|snail|tortoise|syrup|glacier|glacial)\b|sluggish(?:ly|ness)?|laggy|crawl(?:ing|s|ed)?|dragging|drags|(?:takes?|took|taken) (?:forever|ages|too long|so long|way too long|an eternity)|taking (?:forever|ages|too long|so long|an eternity|longer)|time(?:s|d)?[ -]?out(?:s)?|timing out|hang(?:s|ing)|"
            r"延迟|时延|耗时|响应(?:时间|速度|耗时|时长|慢)?|rt(?![a-z])|(?:很|太|好|这么|那么|变|越来越|有点|特别|非常|巨|超|贼|突然|又|老|总)?慢|超时|巨卡|卡(?:顿|得|爆|成|(?:了|$|(?=[,.!?。;\s])))|转圈|蜗牛|龟速|半天(?:没|才|不)"
        ),
    ),
)

# Said of a thing, these mean a value is high; they speak of a symptom even when nobody asks why.
COMPLAINT = re.compile(
    r"(?a)\b(?:slow\w*|sluggish|laggy|crawl\w*|drag\w*|fail\w*|down\b(?! ?load)|broken|broke|dead|dying|dies|die|degrad\w*|spik\w+|surg\w+|jump\w*|climb\w*|soar\w*|tank\w*|plummet\w*|plung\w*|drop(?:s|ped|ping)?\b|fell|through the roof|going up|went up|going crazy|went crazy|going nuts|bonkers|haywire|berserk|on fire|up in flames|"
    r"melt\w*|chok\w*|struggl\w*|flak\w+|flap\w*|unstable|unavailable|unreachable|unresponsive|stuck|hang\w*|hung|timing out|time[sd]? ?out\w*|timeouts?|crash\w*|pegged|maxed|saturated|overload\w*|throw\w*|spew\w*|erroring|errors?|5xx|50[0-4]s?|acting up|playing up|misbehav\w*|"
    r"blow\w* up|blew up|shot up|shoot\w* up|elevated|high|higher|hot|bad|worse|terrible|awful|ugly|garbage|horrible|leak\w*|bloat\w*|eating|hogging|hammered|page[ds]?\b|paging|alerting|firing|red\b|outage|incident|issues?|problems?|trouble|complain\w*|can't|cannot|won't|doesn't work|not working|isn't working|stopped working|backed up|piling|behind|treacle|molasses|snail|glacial|"
    r"keeps?|kaput|dumpster fire|drowning|buried|swamped|wheezing|limping|gasping|bananas|nuts|wild|balloon\w*|explod\w*|skyrocket\w*|freaking|losing it|meltdown|tantrum|tripping|puk\w+|barf\w+|vomit\w*|cough\w*|jammed|clogged|starv\w+|cooked|sucks?|abysmal|horrendous|brutal|painful\w*|unusable|unbearable|rubbish|trash|shambles|nightmare|disaster|wreck|burning|smoking|on its knees|bricked|knackered|ropey|patchy|choppy|janky|spotty|wobbly|shaky|glitch\w*|buggy|frozen|froze|wedged|gone|lost|doubled|tripled|quadrupled|regress\w*|out of control|off the charts|left and right|all over the place|staring|help|toast|hosed|borked|busted|sick|sad|angry|grumpy|flatlin\w*|bomb\w*|tumbl\w*|slump\w*|sink\w*|sank|creep\w*|crept|ramp\w*|rocket\w*|moon\w*|explod\w*|rising|rose|risen|stalled?|stalling|timing|lag\w*|scream\w*|suffer\w*|sweat\w*|bleed\w*|fritz|rails|wall|blue|wonky|grinding|cranky|unhappy|dog|pig|mess|belly up|tits up|fallen over|fell over|falling over|keel\w*|nosediv\w*|cratered|in the (?:toilet|gutter|weeds))\b"
    r"|刷屏|离谱|吓人|冒烟|炸锅|要死|歇菜|嗝屁|趴(?:了|窝)|罢工|慢|卡|蜗牛|龟速|挂了?|崩|炸|爆|飙|抖|报错|出错|失败|错误|超时|打不开|进不去|用不了|不可用|不通|不行|坏了|跪了|飘红|告警|报警|异常|故障|问题|涨|升高|上升|变高|很高|太高|偏高|过高|高了|这么高|掉了|下降|下跌|跌|降低|骤降|暴跌|突增|激增|暴涨|猛增|打满|跑满|占满|满了|撑不住|扛不住|顶不住|抽风|不稳|积压|堆积|泄漏|卡死|没反应|无响应|转圈|不动|拉胯|老(?!板|师|的|客|用户|版)|总是?|一直|又|狂|猛|不停|不断|频频|疯狂|拼命|大量|大面积|纷纷|居高不下|蹭蹭|噌噌|嗖嗖|直线|没完没了|要命|救命|崩溃|吃紧|顶满|见底|烧|飞|便秘|难受|闹|废|凉|宕机|躺了|瘫|抗议|投诉|受不了"
)

DIAGNOSE = re.compile(
    r"(?a)\b(?:why|y (?:is|are|does|did|has|do)|how come|how so|what(?:'s| is| are|s)? (?:causing|behind|driving|wrong|up with|the deal|going on|happening|eating|hogging|killing|making|breaking|slowing|the matter|the story|the problem|the issue|the root)|what (?:(?:on earth|in the world|the \w+|exactly|just|really|is it that) )?(?:caused|made|happened|went|broke|triggered|led|drove|killed|changed|the (?:heck|hell))|"
    r"wh?at gives|wtf|reasons?|root[ -]?causes?|rca|caus(?:e|es|ed|ing)|culprits?|to blame|responsible for|who(?:'s| is| has| keeps)? (?:been )?(?:to blame|the culprit|\w+ing)|what(?:'s| is| has| keeps) (?:been )?(?!running|missing|pending|remaining|outstanding)\w+ing|investigat\w+|troubleshoot\w*|diagnos\w+|debug\w*|dig (?:into|in|deeper)|digging|look into|looking into|look in to|get to the bottom|track down|trace (?:down|back)|pin(?:point| down)|figure out|find out|explain|explanation|understand|analy[sz]e the (?:cause|failure|outage|incident)|where (?:does|is|are|do) .{1,60}? com(?:e|ing) from|how did .{1,60}? (?:get|end up|become)|source of|origin of)\b"
    r"|为什么|为啥|为何|怎么(?!样|走|做|办|用|看|弄|操作|配置|查|重启|扩|回滚|才能|联系|写|读)|咋(?:回事|了|整|这么|又|老|突然|还|就|就是|变|搞|会)?|原因|根因|根本原因|起因|诱因|元凶|罪魁|祸首|凶手|排查|定位|诊断|溯源|追查|查清|查明|查出|搞清楚|弄清楚|分析一?下.{0,20}(?:故障|问题|慢|高|失败|原因)|(?<![没有])什么(?:情况|问题|毛病|鬼|导致|造成|引起|引发|状况|东西把)|(?<![没有])啥(?:情况|问题|毛病|原因|鬼|导致|造成|状况)|(?:求|帮忙?|麻烦|赶紧|快|急)(?:查|看看|排查|定位)(?!一下.{0,8}多少)|哪(?:里|儿|块|个环节)?(?:出了?|有)(?:问题|毛病|错)|出了什么|出什么|谁(?:搞|导致|把|干|在(?!线|吗)|占|吃)|由什么|因为什么|何故|导致的|引起的|造成的"
)
FORECAST = re.compile(
    r"(?a)\b(?:surviv\w+|head(?:ed|ing)\b|forecast\w*|predict\w*|project(?:ion|ions|ed)?\b|extrapolat\w*|estimate[ds]?(?: when| how| the)|anticipat\w*|outlook|will\b(?! you)|when (?:will|does|do|would|is|are)\b.{0,60}?\b(?:run|hit|reach|fill|exceed|exhaust|full|out|cross|top|max)|how (?:long|soon) (?:until|till|before|do we have|will|can)|how many (?:days|hours|weeks) (?:until|till|before|left|do we have)|going to (?:be|hit|reach|run|fill|exceed|look|need|cross|grow|max|top|blow|burst|die|last)|gonna (?:be|hit|reach|run|fill|exceed|look|need|cross|grow|max|top|blow|burst|last)|"
    r"expect(?:ed)?\b|be like (?:tomorrow|next)|at (?:this|the current|that) (?:rate|pace)|when(?:'s| is| does| will)? (?:it )?(?:game over|the end|it (?:full|blow|burst|pop|die|over)|this (?:blow|burst|fill))|(?:run|runs|running) (?:out|dry) (?:of \w+ )?(?:before|by|until|within)|will (?:it|this|that|we)\b|how (?:far|high|big) (?:will|does it|is it going to)|enough (?:for|until|till)|how (?:long|much time) (?:have|has|do|does) (?:we|it|that|this|\w+|\x00+) (?:got|have|left)|(?:days|hours|time|how long) (?:is |are )?(?:left|remaining)|about to (?:blow|run out|burst|fill|hit|exceed|overflow|max|top)|capacity plan\w*|headroom|runway|time to full|days left|make it (?:through|to|till|until)|last (?:until|till|another)|hold (?:out|up) (?:until|till|for))"
    r"|预测|预估|预计|预判|推测|估计(?!.{0,6}是)|推算|估算|预料|展望|走势会|趋势会|未来|接下来.{0,8}(?:会|如何|怎样|怎么样|走势|趋势|多少)|(?:什么时候|啥时候|何时|几时|几点|哪天|多久(?:之?后)?|多长时间|几天(?:之?后)?|还有多久).{0,12}(?:会|能|满|用完|耗尽|撑|到|爆|超|写满|打满|跑满|用光|不够)|会不会.{0,16}(?:满|超|爆|不够|撑|达到|耗尽|用完|破|涨|降)|还?能(?:撑|用|扛|坚持|顶|挺)(?:多久|几天|到|住|多长)|还够(?:用|撑)?|(?:啥|什么)时候(?:到顶|见顶|封顶|爆|满|崩|不够|撑不住|用完)|多久(?:会)?(?:到顶|满|爆|用完)|(?:明天|后天|下周|周末|月底|之前)[^,。]{0,6}(?:会不会|够|会|能)|(?:够|撑得?住)(?:吗|么|不|不够)|还剩(?:下)?(?:几|多少|多久|多长)|撑(?:得|不)?(?:过|到|住)(?!了)|(?:照|按)(?:着)?(?:这|现在|目前|当前)(?:个|样|种)?(?:的)?(?:势头|速度|趋势|涨法|节奏|走势|增速|情况)?(?=[^,。]{0,3}(?:下去|[,。]|\s|\x00|[a-z0-9]|[一-鿿]))|会(?:涨|升|达|到|降|跌|超|满|爆|是)(?:到|过|至|成)?(?:多少|几|什么)?|够不够用"
)
DETECT = re.compile(
    r"(?a)\b(?:anomal\w+|abnormal\w*|ab-normal|unusual(?:ly)?|weird(?:ly|ness)?|strange(?:ly|r)?|odd(?:ly|ities)?|oddness|suspicious\w*|out of (?:the )?ordinary|out of (?:line|whack|range|band)|outliers?|irregular\w*|deviat\w*|normal(?:ly)?|as (?:usual|expected)|healthy|health|fishy|funny|funky|unexpected(?:ly)?|atypical|off (?:today|lately|recently|or not|in any way)|look(?:s|ing)? (?:ok|okay|fine|good|right|off|alright|sane|all right|healthy)|(?:does|do|did|is|are) [^.;]{0,60}\blook(?:s|ing)?\b|or is it (?:just )?me|is it just me|am i (?:imagining|seeing things)|(?:seem|feel|smell)s? (?:\w+ ){0,2}(?:off|weird|odd|wrong|fishy|normal|fine|ok|okay|right)|off to (?:you|anyone)|kosher|legit|(?:higher|lower|slower|faster|worse|better|more|less|busier|noisier) than (?:usual|normal|average|typical|it (?:was|used to be|should be)|expected|before|last week|yesterday)|is it me\b|just me\b|whack|wack|screwy|hinky|amiss|awry|rough|concerning|worrying|worth worrying|sus\b|sketchy|iffy|dodgy|(?:is|are|was|were|has|have) .{0,60}?\b(?:ok|okay|fine|alright|stable|off|sane|misbehav\w+|behav\w+|acting|spiking|ok\?)|(?:any|anything|something|is there) .{0,30}?(?:wrong|off|odd|problem|problems|issue|issues|spikes?|outages?|regressions?)|"
    r"(?:is|are|was|were|has|have|did|does|do) [^.;,]{0,60}?\b(?:up|high|higher|elevated|dropp\w+|ris\w+|leak\w*|climb\w*|grow\w*|degrad\w+|slow(?!est)\w*|low|lower|jump\w*|increas\w+|spik\w+|flapp\w+|unstable|stable|steady|fluctuat\w+|drift\w*)\b(?=[^.;,]{0,30}\?)|detect\w*|sanity[ -]check|health[ -]?check|all good|everything (?:ok|okay|fine|good|alright)|stick(?:s|ing)? out|stand(?:s|ing)? out|behav(?:e|es|ing) (?:normally|itself|themselves|well|oddly|badly|differently))\b"
    r"|(?:高|低|慢|快|多|少)于(?:平常|平时|往常|正常|预期|以往)|比(?:平常|平时|往常|正常|以前|昨天|上周)(?:高|低|慢|快|多|少|大|小)|是否(?:偏?高|偏?低|变慢|有问题)|是不是(?:有点|有些|偏|变|出)|有啥(?:古怪|猫腻|幺蛾子|不妥)|古怪|猫腻|幺蛾子|异样|异常|反常|不正常|正不正常|正常(?:吗|么|不|没|否|范围)?|是否正常|不对劲|对劲|有没有(?!办法|人|可能|文档|谁|什么办法)|是不是(?!该|要|应该|因为|由于)|(?:高|稳|涨了?|掉了?|抖|抖动|泄漏|上升|下降|升高|下跌)(?:吗|么|没有?(?=$|[?,。!])|不(?=$|[?,。!]))|[没有](?:什么|啥)?(?:异样|古怪|蹊跷)|[没有](?:什么|啥)(?:毛病|问题|事儿?|异常)|有无(?:问题|波动)|健康|稳定吗|稳不稳|平稳(?:吗|么)|离群|毛刺|突变|偏离|奇怪|怪怪的|(?:有点|有些|挺|很)怪|怪(?=吗|么|不)|(?:哪儿|哪里|哪|有点|有些|是不是)不对(?!付)|诡异|没事吧|有事吗|还好吗|好着(?:吗|呢吗|没)|检测|体检|巡检|ok吗|ok不"
)
REPORT = re.compile(
    r"(?a)\b(?:report(?:s)?\b(?! (?:me )?the (?:current|value))|summar(?:y|ies|i[sz]e[ds]?|i[sz]ing)|post[ -]?mortems?|pm doc|pir\b|write[ -]?ups?|writing up|write (?:it )?(?:up|down)|write (?:me )?(?:a|an|the|up)|retro(?:spective)?s?|incident (?:review|doc|document|record|timeline|notes|summary|report)|recap|tl;?dr|digest|wrap[ -]?up|after[ -]action|hand[ -]?over(?: notes?)?|debrief|rundown|overview|draft|(?:something|anything|material|slides?|a (?:doc|page|note)) (?:that )?(?:i|we) can (?:send|show|forward|share|give|present)|put together (?:something|a|an|some))\b"
    r"|报告|复盘|总结|汇总|小结|概述|综述|周报|日报|月报|简报|通报|故障回顾|回顾一?下|事故记录|写(?:个|一份|份|一下|一篇)|出(?:个|一份|份)(?:报|总|复|文)|整理(?:一下|成|出|一份|个)|纪要|交接|(?:发|给|交)给?(?:老板|领导|老大|客户|上面)(?:看|汇报|交代)?|汇报|材料"
)
QUERY = re.compile(
    r"(?a)\b(?:show|list|display|fetch|get|give|pull(?: up)?|plot|graph|chart|query|print|read|return|lookup|look up|compare|comparison|versus|vs|diff(?:erence)?|check|see|view|bring up|what(?:'s| is| are| was| were|s)|what\b|since when|when (?:did|was|were|has|have)|what time|(?<!how )long has|how (?:many|much|big|high|low|large|full|fast|long|often|is|are|was|were|does|do|did)|hows|how's|how \w+ (?:is|are|was|were|has|have|does|do|did|\x00)|number of|count|counts|in total|total (?:number|count)|current(?:ly)?|right now|at the moment|value|values|level|levels|average|avg|mean|max(?:imum)?|min(?:imum)?|peak|sum|top|tell me|let me (?:see|know)|i(?:'d| would)? (?:want|need|like) (?:to see|the|to know)|can i (?:see|get|have)|stats?|numbers?|figures?|spit out|cough up|dump|gimme|lemme see|trends?|which)\b"
    r"|查看|查询|(?P<aba>[\u4e00-\u9fff])不(?P=aba)(?:少|多)?|给个数|报个数|查一?下|查查|查|看一?下|看看|瞧瞧|瞅瞅|瞅一?眼|看一?眼|看|什么时候|何时|多少|几个|几条|几次|有几|多大|多高|多长|是几|列出|列一?下|显示|展示|给我|拉一?下|拉取|拉出|调出|打印|返回|获取|对比|比较|比一?下|比一比|统计|当前|现在|目前|此刻|值|曲线|走势|趋势|情况|怎么样|怎样|如何|发我|来一份|告诉我|想知道|想看|平均|最大|峰值"
)
# Looking is not yet asking for a value: "看看网关5xx飙升" wants to know why.
LOOKING = re.compile(
    r"\b(?:check|look|see|view|let me know|help)\b|查看|查一?下|查查|查|看一?下|看看|瞧瞧|瞅瞅|瞅一?眼|看一?眼|看|情况",
    re.ASCII,
)
WHY_STRONG = re.compile(
    r"(?a)\b(?:why|how come|root[ -]?causes?|rca|what(?:'s| is)? (?:causing|behind)|what caused|wtf|troubleshoot|diagnose|investigate|figure out|dig into|look into)\b|为什么|为啥|为何|原因|根因|怎么回事|咋回事|排查|诊断"
)

# Asked of whatever there is, not of one service.
EVERY = re.compile(
    r"(?a)\b(?:which|what|any|all|every|each|list|how many|other|top(?: \d+)?)(?: of)?(?: the| our| my| all)? (?:\w+ )?(?:micro)?(?:services?|apps?|applications?|components?|workloads?)\b"
    r"|\b(?:everything|anything|everywhere|across the board|(?:whole|entire) (?:system|platform|stack))\b|\b(?:micro)?services (?:with|whose|that|having|over|above|below|under|where)\b"
    r"|(?:哪些|哪个|哪几个|哪一个|所有|全部|各个?|每个|任何|其他)的?(?:微服务|服务|应用|组件|模块)|整个(?:系统|平台)|全(?:局|站|系统|部正常)|有(?:什么|哪些|没有)(?:服务|应用|异常)"
    r"|\b(?:micro)?services? with (?:the )?(?:highest|lowest|most|least|largest|smallest|biggest|fewest)\b"
    r"|最(?:高|低|大|小|多|少)的?(?:\s?[\d一二三四五六七八九十两几]+\s?个)?\s?(?:微服务|服务|应用|组件)"
)

# Of many, those first that have the least. "At least 90 %" orders nothing, and "the least" of anything beside "the most" neither.
LOWEST = re.compile(r"(?a)(?<!at )\b(?:lowest|smallest|least|fewest)\b|最(?:低|小|少)")

# Said of a service, these mean that its requests fail, though no metric is named.
DOWN = re.compile(
    r"(?a)(?:\b(?:is|are|was|were|went|goes|gone|been|be|totally|completely)|'s) (?:\w+ )?(?:down|dead|unavailable|unreachable|offline)\b(?! to\b)|\b(?:not|stopped|isn't|aren't|doesn't|won't|quit) (?:working|responding|respond|work)\b|挂了|挂掉|宕|不可用|不能用|用不了|没反应|无响应|瘫痪|瘫了"
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

# Where a name is also a verb or an everyday word: uses that don't name the service.
VERB_USES: Mapping[str, re.Pattern[str]] = {
    "search": re.compile(r"(?a)\bsearch (?:for|through|the logs?)\b"),
    "order": re.compile(r"(?a)\b(?:in|out of) order\b|\border (?:of magnitude|by)\b|\border to\b"),
    "orders": re.compile(r"(?a)\borders of magnitude\b"),
    "cart": re.compile(r"(?a)\bcart (?:before|off)\b"),
    "notifications": re.compile(r"(?a)\b(?:disable|mute|turn off|silence) notifications\b"),
    "recommendation": re.compile(r"(?a)\b(?:any|a|your|what) recommendations?\b"),
    "recommendations": re.compile(r"(?a)\b(?:any|your|what|give me) recommendations\b"),
    "搜索": re.compile(r"(?a)搜索(?:一下|关键|日志)"),
    "通知": re.compile(r"(?a)通知(?:我|一下|大家|值班|他|运维|相关)|(?:告警|报警)通知"),
    "推荐": re.compile(r"(?a)推荐(?:一个|个|一下|方案|做法|怎么|给我)|(?:有什么|有啥)推荐"),
    "支付": re.compile(r"(?a)支付宝"),
}

# The words that metric names are put together from: how else they are said in English, and in Chinese. Quantities that a
# concept of `METRICS` covers as a whole need none.
METRIC_WORDS: Mapping[str, tuple[str, str]] = {
    "queue": ("queueing", "队列"),
    "depth": ("length|size", "深度|长度"),
    "length": ("depth|size", "长度|深度"),
    "size": ("", "大小|长度"),
    "replication": ("replica", "复制|主从|同步"),
    "replica": ("replication", "副本|从库"),
    "lag": ("delay", "延迟|滞后|落后"),
    "delay": ("lag", "延迟|滞后"),
    "buffering": ("buffer|rebuffering", "缓冲|卡顿"),
    "active": ("", "活跃"),
    "idle": ("", "空闲"),
    "open": ("", "打开"),
    "thread": ("", "线程"),
    "threads": ("", "线程"),
    "pool": ("", "池"),
    "session": ("", "会话"),
    "sessions": ("", "会话"),
    "login": ("log-?in|sign-?in", "登录|登陆"),
    "logins": ("log-?in|sign-?in", "登录|登陆"),
    "swap": ("", "交换分?区?"),
    "inode": ("", "inode"),
    "inodes": ("", "inode"),
    "fds": ("file descriptors?|file handles?", "文件描述符|句柄"),
    "goroutines": ("", "协程"),
    "lock": ("", "锁"),
    "locks": ("", "锁"),
    "deadlock": ("", "死锁"),
    "deadlocks": ("", "死锁"),
    "transaction": ("", "事务"),
    "transactions": ("", "事务"),
    "wait": ("waiting", "等待"),
    "temperature": ("temp", "温度"),
    "power": ("", "功耗"),
    "packet": ("", "报文|数据包|包"),
    "packets": ("", "报文|数据包|包"),
    "loss": ("lost", "丢失|丢"),
    "dropped": ("drops?", "丢弃|丢"),
    "retransmit": ("retransmissions?", "重传"),
    "retransmits": ("retransmissions?", "重传"),
    "retry": ("retries", "重试"),
    "retries": ("retry", "重试"),
    "timeout": ("time-?outs?", "超时"),
    "timeouts": ("time-?outs?", "超时"),
    "throttling": ("throttled|throttle", "限流|节流"),
    "throttled": ("throttling|throttle", "限流|节流"),
    "saturation": ("", "饱和度"),
    "availability": ("", "可用性|可用率"),
    "uptime": ("", "运行时长|运行时间|在线时长"),
    "certificate": ("cert", "证书"),
    "expiry": ("expiration", "过期|到期"),
    "token": ("", "令牌"),
    "batch": ("", "批次|批量"),
    "job": ("", "任务|作业"),
    "jobs": ("", "任务|作业"),
    "pending": ("", "待处理|等待"),
    "inflight": ("in[ -]flight", "处理中"),
    "orders": ("", "订单"),
    "order": ("", "订单"),
    "eviction": ("", "淘汰|驱逐"),
    "evictions": ("", "淘汰|驱逐"),
    "partition": ("", "分区"),
    "partitions": ("", "分区"),
    "compaction": ("", "压缩|合并"),
    "checkpoint": ("", "检查点"),
    "iops": ("", "iops"),
    "requests": ("", "请求"),
    "request": ("", "请求"),
    "connections": ("conns?", "连接"),
    "errors": ("", "错误"),
    "error": ("", "错误"),
    "cache": ("", "缓存"),
    "disk": ("", "磁盘"),
    "memory": ("", "内存"),
    "network": ("", "网络"),
    "read": ("", "读"),
    "write": ("", "写"),
}
