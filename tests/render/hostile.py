"""Text that tries to be more than text."""

from __future__ import annotations

HOSTILE = {
    "html": "<script>alert(1)</script><img src=https://evil.example/x onerror=alert(1)>\"'><svg onload=alert(1)>",
    "closing": "</style></title></pre></code></svg><base href=https://evil.example><meta http-equiv=refresh content=0>",
    "markdown": "[click](https://evil.example) ![x](https://evil.example/x.png) **b** `code` # h | a | <b> www.evil.example",
    "fences": "```\n# heading\n``` `` ` $(rm -rf /) $x^2$",
    "mention": "@channel @here https://evil.example me@evil.example",
    "ansi": "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\ \x9b2J \x9d0;x\x9c \x07\x08",
    "bidi": "safe\u202egnp.exe\u2066x\u2069 \u200fy\u061c \u200bz\ufeff \U000e0041",
    "formula": '=HYPERLINK("https://evil.example")',
    "formula_at": "@SUM(1+1)*cmd|' /C calc'!A0",
    "lines": "one\r\n\r\n# two\n- three\n\u2028four\x85five\x0bsix",
    "template": "{{ 7*7 }}{% include '/etc/passwd' %}${7*7}",
    "long": "x" * 100_000,
    "surrogate": "half \ud800 a character \ufffe \x00",
    "entity": "&lt;script&gt; &#64;channel &amp;",
    "empty": "",
    "chinese": "订单服务：连接池已耗尽，等待 2000 毫秒",
}
