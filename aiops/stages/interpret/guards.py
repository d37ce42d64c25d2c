"""What is refused before anything else reads the text: orders that destroy, reach for secrets, override rules, or aren't ops.

Only wishes are refused: "why was the table dropped" asks, "drop the table" orders. Quoted text never comes here.
"""

from __future__ import annotations

import re

_ASK = r"(?:please|pls|plz|just|then|and|now|go|ahead|to|you|can|could|would|also|let's|lets|let us|kindly|immediately|must|should|first|finally|so|ok|okay|hey|hi|simply|quickly|me|instead|or|i want you to|need you to|not|but|next|sudo|directly)"
_START = rf"(?:^|[,;:.!?。()\-\n]|\b{_ASK})\s*"
_LEAD = re.compile(_START, re.ASCII)
_ALL = r"(?:all|every(?:thing|one)?|any|the|your|my|our|this|that|these|those|previous|prior|above|earlier|safety|security|system|built-in|existing|given|original|preceding|current|approval|of)"
_RULES = r"(?:instruction|rule|prompt|guideline|guard ?rail|restriction|polic(?:y|ies)|constraint|safet|safeguard|approval|protection|confirmation|directive|(?:safety|security|content|approval|permission) (?:filter|limit|check)|(?:previous|prior|earlier|your) (?:order|training|context|command|direction))"

OVERRIDE = re.compile(
    rf"(?a)\b(?:ignore|disregard|forget|bypass|override|overrule|skip|circumvent|evade|disable|drop|turn off|suspend|get around|work around|pay no attention to|don't (?:follow|obey)|do not (?:follow|obey)|stop (?:following|obeying))\b[^.;!?。]{{0,24}}?\b(?:{_ALL}\s+)*(?:\w+ )?{_RULES}\w*"
    r"|\b(?:ignore|forget|disregard) (?:everything|all|what) (?:above|before|prior|you|i said|that)|\bforget everything\b"
    r"|\byou are (?:now|no longer)\b|\b(?:pretend|act|behave|roleplay|role-play)\b.{0,20}\b(?:as|to be|like|you|that)\b.{0,40}(?:admin|root|unrestricted|dan\b|no (?:rules|limits|restrictions)|hacker|sudo|superuser|without|approved|assistant|ai\b|developer|different)"
    r"|\b(?:developer|debug|god|admin|sudo|maintenance|unrestricted|jailbreak|dan) mode\b|\bjail ?break|\bnew (?:instructions|system prompt|rules)\b|\bsystem prompt\b|\b(?:your|the|initial|hidden) (?:system )?(?:prompt|instructions)\b(?! file)"
    r"|\b(?:without|no|skip(?:ping)?|don't (?:need|require|wait for|ask for)|no need (?:for|of)|bypass(?:ing)?)\s+(?:any |an |the |my |further |waiting for |asking for |human |manual )*(?:approvals?|confirmation|authori[sz]ation|permission|review|asking)\b"
    r"|\bapproval (?:is )?(?:not (?:needed|required)|already (?:given|granted)|waived)|\b(?:already|pre-?) ?approved\b|\bauto-?approve\b|\bdon't ask (?:me|anyone|for)\b|\bi(?:'m| am) (?:the |an |your )?(?:admin|root|ceo|cto|owner|developer|creator|superuser)\b.{0,40}\b(?:so|do|obey|just|must|execute|run)\b"
    r"|(?:忽略|无视|忘掉|忘记|不要理会|不用理会|不用管|别管|抛开|绕过|跳过|绕开|突破|解除|关闭|取消|覆盖|撤销|不要遵守|别遵守|不遵守)[^。;!?]{0,12}?(?:规则|指令|提示词?|限制|约束|安全|审批|批准|确认|流程|设定|说明|要求|策略|护栏|授权|命令)"
    r"|(?:无需|不需要|不用|不必|免|别|不要|不经|未经|没有?)(?:任何|再|走|等|经过|人工|我|他们)*(?:审批|批准|确认|授权|同意|问我|请示|询问)|系统提示词?|提示词(?:是|内容|给我|发)|(?:你的|你)(?:初始|系统|内部|隐藏)?(?:指令|提示|设定)|越狱|开发者模式|(?:管理员|调试|上帝|无限制)模式|从现在(?:开始|起),?你(?:是|就是|不再)|你(?:现在)?(?:不再是|已经是|现在是)|假装(?:你|自己)|扮演|(?:直接|自动)(?:批准|通过审批)|已经(?:批准|审批)(?:过|了)"
)

_THING = r"(?:table|database|schema|index(?:es)?|collection|topic|data(?:set)?|queue|keyspace|volume|bucket|disk|backups?|partition|namespace|cluster|pods?|records?|rows?|files?|logs?|users?|accounts?|env(?:ironment)?|prod(?:uction)?|snapshots?|everything|all|redis|db|cache|keys?|messages|history|it|them|stateful ?sets?|deployments?|pvcs?|volumes|tables|databases|topics|indices|replicas|instances?|nodes?|hosts?|servers?|machines?)"
_VERBS = r"(?:delete|wipe|destroy|truncate|purge|erase|nuke|obliterate|annihilate|shred|format|flush|drop|kill|terminate|shut ?down|shut off|power ?(?:off|down)|turn off|take down|bring down|tear down|decommission|disable|uninstall|remove|unplug|stop|halt|evict|drain|cordon|empty|clear out|clear|blow away|get rid of|scrap|pull the plug on|poweroff|blackhole|detach|unmount|overwrite|corrupt|crash|ddos|attack|hack|exploit|encrypt|rm)"
_HARD = r"(?:delete|wipe|destroy|truncate|purge|erase|nuke|obliterate|annihilate|shred|tear down|decommission|uninstall|blow away|pull the plug on|ddos|hack|exploit|poweroff|shut ?down|power ?(?:off|down)|terminate|get rid of)"
DESTRUCTIVE = re.compile(
    rf"(?a){_START}{_HARD}\b(?!\s+(?:events?|counts?|rates?|latency|requests?|spikes?|errors?|metrics?|time|happened|was|were|is|are|hooks?|\?))"
    rf"|{_START}{_VERBS}\s+(?:out |down |off |away )?(?:(?:all|every|the|my|our|its|any|this|that|of|whole|entire|old|user|customer|prod(?:uction)?|live|running|[a-z0-9-]+(?:'s)?)\s+){{0,4}}?{_THING}\b(?! (?:usage|limit|restriction|lag|rate|count))"
    rf"|{_START}(?:kill|stop|halt|disable|take down|turn off|bring down|shut off)\s+(?:the\s+|all\s+|every\s+)?[a-z0-9-]+(?:\s+(?:service|svc|pod|pods|server|now|immediately|process))?\s*(?:$|[,.;!?])"
    r"|\brm\s+-\w*[rf]|\bmkfs|\bdd if=|:\(\)\s*\{|\bdrop (?:table|database|schema|index|keyspace)|\bdelete from\b|\btruncate (?:table )?\w+|\bflush(?:all|db)\b|\bkubectl (?:delete|drain|cordon|exec)|\bterraform destroy|\bhelm (?:uninstall|delete)|\bshutdown -|\bkill -9|\bcurl\b.{0,80}\|\s*(?:ba)?sh|\bchmod 777|/etc/(?:passwd|shadow)|\bsudo \w+"
    r"|\bscale\b.{0,40}\b(?:down )?to (?:0|zero|nothing)\b|\b(?:0|zero) (?:replicas|pods|instances)\b.{0,3}$|\breplicas? (?:to|=) ?(?:0|zero)\b"
    r"|(?:删除|删掉|删了|删光|删库|清空|清除|清掉|清理掉|抹掉|抹除|擦除|销毁|摧毁|毁掉|格式化|格掉|关停|关掉|关闭|关机|停掉|停止|停用|停了|(?<!一)下线(?!上)|干掉|杀掉|杀死|卸载|拔掉|断电|断网|攻击|入侵|黑进|炸掉|砍掉|丢弃|移除|铲掉|注销|强制终止|终止)(?!的?(?:原因|次数|事件|时间|数量|率|了多少|前|后))"
    r"|(?:缩|缩容|缩到|扩缩|伸缩|副本数?)[^。;,]{0,10}?(?:到|为|至|成|=)\s*(?:0|零)(?![\d.])个?|rm\s?-rf|跑路"
)
_ASKED_ABOUT = re.compile(  # before a destructive word: it is told or asked about, not ordered
    r"(?a)(?:\b(?:why|who|when|did|does|was|were|got|been|being|has|had|after|since|before|because|how|what|which|whether|if|oom|auto|is|are|the|a|an|not|don't|do not|never|anyone|someone|somebody|keeps?)\b[^,;.!?。]*|被[^,。;!?]{0,6}|(?:为什么|为啥|为何|怎么(?!不)|谁|什么时候|是不是|有没有|是否|原因|别|不要|不能|禁止|自从|刚刚?|已经|自己|自动|突然)[^,。;!?]{0,14})$"
)
_ORDER_LEAD = re.compile(
    r"(?a)(?:\b(?:how about|why not|why don't you|what if you|can you|could you|would you|please|pls|and|then|to|just|now|go)|(?:怎么不|请|帮我|给我|然后|并|把[^,。;!?]{0,16}|将[^,。;!?]{0,16}))\s*(?:the |just |all )?$"
)

SECRETS = re.compile(
    r"(?a)\b(?:show|give|list|print|dump|reveal|tell|read|get|fetch|send|export|leak|exfiltrate|cat|display|what(?:'s| is| are)|upload|email|extract|share)\b[^.;!?]{0,40}?\b(?:passwords?|passwd|credentials?|secrets?|api[ -]?keys?|(?:access|auth|bearer|session) tokens?|tokens? (?:of|for|from)|private keys?|ssh keys?|env(?:ironment)? variables?|env vars?|connection strings?|certificates?' keys?|credit cards?(?: numbers?)?|customer (?:data|records|emails|pii)|personal data|pii|ssn)\b"
    r"|(?:密码|口令|密钥|秘钥|凭证|凭据|私钥|令牌|身份证|信用卡号|银行卡|用户隐私|环境变量|客户资料|用户数据(?!库))(?:是什么|多少|发|给|导|列|告诉|打印|$|,|。|都|全|出)|(?:给我|发我|告诉我|打印|导出|泄露|列出|查一?下|看一?下|显示|读取|获取)[^。;!?]{0,14}(?:密码|口令|密钥|秘钥|凭证|凭据|私钥|令牌|身份证|信用卡|银行卡|隐私|环境变量|客户资料)"
)

OFF_TOPIC = re.compile(
    r"(?a)\b(?:weather|jokes?|poems?|poetry|haiku|limerick|song|lyrics|sing\b|recipes?|cook\w*|bake|pizza|lunch(?! ?time)|dinner|breakfast|restaurants?|movies?|films?|football|soccer|basketball|nba|world cup|horoscope|astrology|stock (?:price|market)|bitcoin|crypto ?(?:price|currency)|lottery|president|capital of|prime minister|election|flights?|hotel|vacation|holiday|birthday|girlfriend|boyfriend|love (?:letter|me)|marry|essay|homework|translate|translation|novel|story about|fairy ?tale|bedtime|resume|cover letter|cv\b|tweet|linkedin|instagram|tiktok|netflix|spotify|meaning of life|how old are you|who (?:are|made|created) you|what are you\b|your name|write (?:me )?(?:some |a |an )?(?:python|java|javascript|rust|c\+\+|code|script|program|function|sql|regex|email|letter|blog|article|speech|rap|song|story)|(?:python|bash|shell|java) (?:script|program|code)|quick ?sort|fibonacci|leetcode|solve (?:this|the) (?:equation|math)|square root|math problem|riddle|trivia|play (?:a |some )?(?:game|music|chess)|order (?:me )?(?:a |some )?(?:pizza|food|coffee|lunch)|buy|book (?:me )?a|gift|salary|salaries|diet|workout|dating|cats?|dogs?(?= (?:picture|photo|breed))|medical|doctor|lawyer|legal advice|invest(?:ment)? advice|tax(?:es)?)\b"
    r"|天气|笑话|段子|写首?诗|作诗|一首|唱歌|唱首|歌词|歌曲|菜谱|食谱|怎么做饭|做菜|红烧|外卖|点餐|奶茶|咖啡|电影|电视剧|足球|篮球|世界杯|星座|算命|股票|股价|基金|比特币|彩票|总统|首都|机票|订票|酒店|旅游|旅行|生日|女朋友|男朋友|情书|作文|论文|作业|翻译|小说|讲个?故事|童话|简历|求职|你是谁|你叫什么|你多大|人生的?意义|写(?:一?个|一?段|点)?(?:python|java|代码|脚本|程序|函数|爬虫|邮件|情书|文章|歌|诗)|快速排序|冒泡|斐波那契|解方程|数学题|猜谜|谜语|下棋|玩(?:个)?游戏|听歌|放首|买(?!单)|礼物|工资|减肥|健身|相亲|猫咪|宠物|看病|医生|律师|理财|彩票|闲聊|聊天"
)


def refusal(text: str) -> str:
    """Why normalised, unquoted `text` must be refused; "" when it need not be."""
    if OVERRIDE.search(text):
        return "This tries to change the rules I work by. Every change needs an approval, and the rules stay."
    if any(_ordered(text, found) for found in DESTRUCTIVE.finditer(text)):
        return (
            "This would destroy or switch off something. I can propose a restart, a scale or a rollback for approval."
        )
    if SECRETS.search(text):
        return "This asks for secrets or personal data, which I neither have nor show."
    return ""


def off_topic(text: str) -> str:
    """Why the text isn't ops; "" when no word says so. Asked only where no service and no metric was found."""
    return (
        "This is outside operations: I diagnose, query, forecast, check, report and propose repairs."
        if OFF_TOPIC.search(text)
        else ""
    )


def is_order(text: str) -> bool:
    """Whether a piece of reported speech commands anything (it is then nobody's wish and is taken out)."""
    from aiops.stages.interpret.actions import COMMANDS

    return bool(OVERRIDE.search(text) or DESTRUCTIVE.search(text) or SECRETS.search(text) or COMMANDS.search(text))


def _ordered(text: str, found: re.Match[str]) -> bool:
    before = text[: found.start()]
    clause = re.split(r"(?a)[,;.!?。\n]", before)[-1]
    lead = clause + _word_lead(found.group())
    if _ORDER_LEAD.search(lead):
        return True
    return not _ASKED_ABOUT.search(lead)


def _word_lead(said: str) -> str:
    """The asking word that the pattern itself took in ("and delete ..."), which belongs to what stands before the verb."""
    head = _LEAD.match(said)
    return head.group() if head and head.group() else ""
