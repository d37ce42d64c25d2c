"""Which change is asked for, if any: restart, scale or rollback as a wish, never as a mention.

"restart cart" and "can you bounce it" are wishes; "restarted 3 times", "after the rollback", "why did it restart",
"don't restart" are not. A question about an action ("should I restart?") is a doubt: it is asked back, never acted on.
"""

from __future__ import annotations

import re

_PODS = r"(?:replicas?|pods?|instances?|nodes?|workers?|capacity|machines?|copies|containers?|servers?|boxes|box|vms?|hosts?|resources)"
_VERBS = (
    (
        "rollback",
        (
            r"roll(?:ing)?[ -]?back|roll (?:it|that|this|them|the \w+(?: \w+)?|\x00+|[\w-]+)(?: \w+)? back|revert|back out|(?:undo|yank|pull|reverse|unship|back out)(?: (?:of|out|back))?(?: (?:the|that|last|latest|this|new|newest|recent|night's|yesterday's|today's|morning's|[\w-]+'s|\x00+(?:'s)?|[\w-]+)){1,4}? (?:deploy(?:ment)?|release|change|push|rollout|version|build|update)|"
            r"(?:bring|put|get|take|give|have|want) (?:me |us )?(?:back )?the (?:old|previous|prior|last|earlier|former) (?:\w+ )?(?:one|version|build|release|image)(?: back)?|(?:go|goes|move|put|switch|flip|take|get|bring|set|return|change|rewind|drop|fall)(?: (?:it|that|this|them|us|[\w-]+|\x00+)){0,3}?(?: back)? (?:to|on|onto|at) (?:(?:the|its|an|our|that|\w+'s) )*(?:(?:old|older|previous|prev|prior|last|earlier|former|known[ -]good|good|stable|working) (?:\w+ ){0,2}?(?:version|release|build|deploy(?:ment)?|rollout|image|tag|revision|one|state)|(?:version|release|build|deploy(?:ment)?) (?:before|prior|from before|we had))|"
            r"(?:restore|redeploy|put back|switch back to|downgrade to) (?:the |to )*(?:previous|last|prior|old|earlier|known good|stable)(?: \w+)? (?:version|release|build|deploy(?:ment)?|one)|downgrade"
        ),
        r"回滚|回退|退回(?:到|上|去|旧|老|之前|前|原)?|撤回(?:去|上线|发布|变更|部署|版本|新版|来)?(?=$|吧|了|上线|发布|变更|部署|版本|新版|[,.!?。;])|撤销(?:这次|上次|本次|昨天的?)?(?:上线|发布|变更|部署)|(?:恢复|还原|切回?|换回?|改回?|退|降|回)到?(?:上一?个?|上次的?|之前的?|以前的?|旧的?|老的?|原来的?|前一?个?|先前的?|稳定的?)(?:稳定|正常|可用|健康)?的?(?:版本?|代码|镜像|发布)|(?:切|换|改)回(?:旧|老|上|之前|原来|前)|降级到?(?:旧|老|上)",
    ),
    (
        "scale",
        (
            rf"(?:up|down|auto)?scale(?:[ -]?(?:up|out|down|in))?|(?:add|spin up|launch|give (?:it |[\w-]+ )?|throw|provision|bring up|deploy)\s+(?:me |in |it )?(?:\w+ )?(?:more|extra|additional|another|\d+|two|three|four|five|some|a few|a couple(?: of)?)\s+(?:more |extra |additional )?{_PODS}|"
            rf"(?:double|triple|increase|bump(?: up)?|raise|reduce|decrease|lower|set|grow|shrink)\s+(?:up )?(?:the )?(?:number of |count of )?(?:[\w-]+(?:'s)? )?{_PODS}|(?:get|have|need|needs|want|wants|use|deserves?|add|with|give (?:it|[\w-]+))\s+(?:me )?(?:a |some )?(?:couple (?:of )?|few |handful of |\d+ |two |three )?(?:more|extra|additional|another|bigger)\s+(?:\w+ )?{_PODS}|beef up|(?:expand|add|increase|raise|bump(?: up)?|boost|double|triple|grow|more) (?:the |its |some |more |extra |additional )*(?:capacity|headroom|firepower|horsepower|resources)|expand (?:the )?cluster|resize|"
            rf"(?:add|spin up|bring up|fire up|stand up|launch|throw|toss|chuck|stick|slap|put|provision|start up|get|give|need|want|deploy|allocate|roll out|turn up)(?: (?:it|him|me|us|in|on|up|at|[\w-]+|\x00+)){{0,3}}? (?:(?:a|some) )?(?:more|extra|additional|another|\d+|two|three|four|five|few|couple(?: of)?|bunch of|handful of)(?: (?:more|extra|additional|new|[\w-]+|\x00+)){{0,2}}? {_PODS}"
        ),
        r"扩缩?容|缩容|扩(?:到|至|一下|大|展|成|[\d一二两三四五六七八九十]+)|缩到|伸缩|(?:加|增加|多加|再加|补|添|起)(?:到|上|多)?[\d一二两三四五六七八九十几]*(?:个|台|倍)?(?:更多)?(?:的)?(?:副本|实例|节点|机器|pod|容器|资源)|(?:加|增加|添|补|扩)(?:点|些|几个?|几台|多点|一些|一点)?(?:机器|副本|实例|节点|资源|容量|pod)数?(?:量)?|(?:再|多|快|赶紧)?(?:加|拉|起|开|补|上|添|弄|搞|整|来)(?:[\d一二两三四五六七八九十几仨俩]+|几|些)(?:台|个(?:副本|实例|节点|pod|容器))(?:机器|副本|实例|节点|pod|容器)?(?!小时|月|钟)|(?:副本|实例)数?(?:加|调|扩|翻|改|增)(?:到|成|为|至|倍|加)?",
    ),
    (
        "restart",
        (
            r"re-?start|re-?boot|bounce|power[ -]?cycle|recycle|respawn|re-?launch|(?:start|spin|fire|bring)(?: (?:it|that|this|them|the|[\w-]+|\x00+)){0,2}? (?:up )?(?:afresh|fresh|anew|over again|up again|back up)|turn (?:it |[\w-]+ )?off and on(?: again)?|cycle (?:the )?(?:pods?|service|instances?)|kick(?: over)?(?! (?:off|in|out))|give (?:it |[\w-]+ |the [\w-]+ )?(?:a )?(?:quick |good |rolling )?(?:restart|kick|bounce|reboot|nudge)|"
            r"(?:do|perform|trigger|run|initiate|schedule|start|execute) (?:a |an |the )?(?:quick |rolling |clean |graceful )?(?:restart|reboot|bounce)|needs? (?:a |to be )(?:quick |good |rolling )?(?:restart(?:ed)?|kick|bounce(?:d)?|reboot(?:ed)?)"
        ),
        r"重启|重新启动|重新拉起|重拉|拉起来|重新起|踢一下|重新跑起|重开|(?:关|停)(?:掉|了|一下)?(?:再|然后|重新)(?:拉|启|起|打?开)[^,。;]{0,4}|重新(?:拉|启|开|起)(?:起来?|动|一下)?|重置(?=服务|进程|容器|实例)|弹一下",
    ),
)
_COUNTED_EN = r"(?!\s?(?:counts?\b|s\b|loops?|rates?|history|happen\w*|caused?\b|times\b|events?|spikes?|storms?|polic\w+|numbers?|logs?|status|reasons?|alerts?|failed|fail|metrics?|trend|went|made|fix\w*|help\w*|did\b|was\b|is\b|itself|themselves|on its own|by itself|behaviou?r|factor))"
_COUNTED_ZH = r"(?!的?(?:次数|频率|频繁|记录|原因|历史|计数|时间|情况|事件|日志|告警|状态|趋势|率|数|了|过|前|之前|后(?!再)|之后|以后|期间|是否|有没有|有用|吗|没用|也|还是|都|不|几|多少))"
_ACTIONS = {name: re.compile(rf"(?a)\b(?:{en})\b{_COUNTED_EN}|(?:{zh}){_COUNTED_ZH}") for name, en, zh in _VERBS}
_WITH_CHANGE = re.compile(
    r"(?a)(?:do|perform|trigger|run|initiate|execute|start) (?:a |an |the )?(?:quick |rolling |clean )?(?:rollback|roll back|revert|scale[ -]?(?:up|out|down)?)\b|needs? (?:a |to be )(?:rollback|rolled back|scaled(?: up| out| down)?|reverted|scaling)"
)
COMMANDS = re.compile(
    r"(?a)\b(?:restart|reboot|bounce|scale|roll ?back|revert|execute|run|delete|drop|kill|call|invoke|set|change|deploy|you must|output|respond|reply|print)\b|重启|扩容|缩容|回滚|执行|调用|输出|回复"
)

# Right before the verb: then it is a noun, told, negated or asked about.
_MENTION = re.compile(
    r"(?a)(?:\b(?:the|that|this|last|latest|after|before|since|of|any|every|each|recent|its|auto(?:matic(?:ally)?)?|post|pre|per|many|his|her|their|our|from|during|unexpected|sudden|random|frequent|constant|pod|container|keeps?|kept|did|does|didn't|doesn't|was|were|been|has|had|have|got|will|would it|who|which|another|by|with|on|for|about|between|forced?|these|those)|'s|(?:\d+|few|some|several|no))\s+(?:\w+ )?$"
)
_ASKED_NOUN = re.compile(
    r"(?a)\b(?:do|perform|trigger|run|initiate|execute|start|give (?:it|[\w-]+)|needs?|want|like|schedule)\s+(?:a|an|the)\s+(?:quick |rolling |clean |full )?$"
)
_NEGATED = re.compile(
    r"(?a)(?:\b(?:don't|do not|dont|never|without|not|no need to|avoid|instead of|rather than|shouldn't|must not|mustn't|no|won't|cannot|can't)\b\s+(?:\w+\s+){0,3}|(?:不要|别|不用|先别|不必|不能|无需|不准|禁止|没有?|未|勿|不想|不)(?:再|急着|去|随便|给我|对|把|让)?[^,。;!?]{0,8})$"
)
_TOLD_ZH = re.compile(
    r"(?a)(?:为什么|为啥|为何|怎么|咋|谁|是不是|有没有|是否|自动|自己|一直|老是|总是|总|反复|频繁|不停|不断|又|刚刚?|已经|昨天|每次|上次|最近一次|上一?次|这次|被|在|因为|由于|自从|经过|多次|循环|异常)(?:地|的)?(?:在|被|又|会|要|突然)?[^,。;!?把给帮请]{0,4}$"
)
_QUESTION = re.compile(
    r"(?a)^\s*(?:so |and |but |ok |hey |also )*(?:why|what|when|where|who|which|how|did|does|do|is|are|was|were|has|have|had|will|would it|y)\b(?! about| don't you| not| if you)"
)
_ADVICE = re.compile(
    r"(?a)\b(?:should|shall|may|might|could) (?:i|we|it|this|that|[\w-]+)\b|\b(?:would|will|does|do|can) (?:a |an |it help to |it be |restarting |scaling |rolling )|\bworth\b|\bdo we (?:need|have) to\b|\bis it (?:safe|ok|okay|wise|time|worth)|\bwhat (?:happens|if)\b|\bthink(?:ing)? (?:about|of|we)|\bmaybe\b|\bconsider\b|要不要|该不该|是不是(?:该|要|需要|应该)|能不能解决|需要(?:.{0,8})吗|应该.{0,8}吗|可不可以|会怎么?样|行不行|有用吗|有必要"
)
_POLITE = re.compile(
    r"(?a)\b(?:can|could|would|will) (?:you|u|someone|somebody|we)\b|\b(?:can|could) (?:i|we) (?:get|have|please)\b|\bplease\b|\bpls\b"
)

# "隔几分钟重启一次": what happens by itself, again and again.
_OFTEN = re.compile(
    r"(?a)(?:每|隔)[^,。;!?]{1,6}?(?:秒|分钟?|小时|钟头|天|会儿?|阵子?)(?:就|又|会|要|得|都|自己|自动)*(?:重启|回滚|扩缩?容|缩容)(?:一?[次回下遍])?"
)


def wanted(text: str) -> tuple[str, bool]:
    """The action that normalised, unquoted `text` asks for ("none" if none), and whether it only asks *about* one."""
    about = False
    for clause in _clauses(_OFTEN.sub(" ", text)):
        for name, pattern in _ACTIONS.items():
            for found in pattern.finditer(clause):
                wish = _wish(clause, found)
                if wish == "wish":
                    return name, False
                about = about or wish == "advice"
        noun = _WITH_CHANGE.search(clause)
        if noun and not _NEGATED.search(clause[: noun.start()]):
            return ("scale" if "scal" in noun.group() else "rollback"), False
    return "none", about


def _clauses(text: str) -> list[str]:
    return [
        part
        for part in re.split(
            r"(?a)(?:[;!?。\n]|,(?!\d)|\.(?=\s|$))\s*|\b(?:and then|then|and also|so please)\b|然后|并且?(?=[重回扩缩])|之后(?=[重回扩缩])|再(?=[重回扩缩])|就(?=[重回扩缩给把])",
            text,
        )
        if part.strip()
    ]


def _wish(clause: str, found: re.Match[str]) -> str:  # noqa: PLR0911 - one reason, one line
    """`wish`, `advice` (asks about it) or "" (a mention)."""
    before = clause[: found.start()]
    if _NEGATED.search(before):
        return ""
    if _ADVICE.search(clause) and not _POLITE.search(clause):
        return "advice"
    if re.match(r"(?a)[\u4e00-\u9fff]", found.group()):
        return (
            ""
            if _TOLD_ZH.search(before) or re.search(r"(?a)[\u4e00-\u9fff]*(?:为什么|为啥|怎么|原因)$", before)
            else _zh_wish(clause, found)
        )
    if found.group().startswith(
        ("give", "do ", "perform", "trigger", "run ", "initiate", "needs", "need ", "schedule", "start ", "execute")
    ):
        return "wish"
    if _MENTION.search(before) and not _ASKED_NOUN.search(before):
        return ""
    if re.search(r"(?a)\b(?:a|an)\s+(?:\w+ )?$", before) and not _ASKED_NOUN.search(before):
        return ""
    conditional = re.match(r"(?a)\s*(?:if|when|once|whenever|in case|should)\b", clause)
    if (
        _QUESTION.match(clause)
        and not _POLITE.search(before)
        and not conditional
        and not re.search(r"(?a)\band\s+$", before)
    ):
        return ""
    return "wish"


def _zh_wish(clause: str, found: re.Match[str]) -> str:
    after = clause[found.end() :]
    if re.match(r"(?a)了?(?:几|多少|\d+|[一二三四五六七八九十两]+)(?:次|回|遍)(?!试)", after) and not re.match(
        r"(?a)一[次下遍]", after
    ):
        return ""
    if re.search(r"(?a)(?:吗|么|呢)$", clause.rstrip("? ")) and not re.search(
        r"(?a)(?:可以|能|能否|可否|麻烦|帮|请)", clause
    ):
        return "advice"
    return "wish"
