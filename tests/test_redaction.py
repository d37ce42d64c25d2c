"""What is secret is gone, whatever shape it had; what is not secret stays."""

from __future__ import annotations

import io
import json
import logging
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiops.redaction import HIDDEN, Formatter, redact, redact_plain, secrets_in

SECRET = "Zx9kQ7vLm2Rt"

SHAPES = [
    # pairs, as settings, environments, JSON and YAML have them
    "password=§",
    "password = §",
    "PASSWORD: §",
    "DB_PASSWORD=§",
    "spring.datasource.password=§",
    "passwd:§",
    "pwd=§ host=db",
    "passphrase => §",
    "api_key=§",
    "apiKey: §",
    "API-KEY=§",
    "X-Api-Key: §",
    "X-Auth-Token: §",
    "client_secret=§&x=1",
    "aws_secret_access_key = §",
    "AccountKey=§;EndpointSuffix=core.windows.net",
    "SharedAccessKey=§",
    "private_key=§",
    "credential: §",
    "session_id=§",
    "signature=§",
    "password[0]=§",
    '{"password": "§"}',
    '{"user":"x","password":"§","host":"y"}',
    "{'token': '§'}",
    '{\\"password\\":\\"§\\"}',
    '"{\\\\\\"token\\\\\\": \\\\\\"§\\\\\\"}"',
    'password: "a \\" § b"',
    'password="two words §"',
    'password="never closed §',
    "password: |\n  §",
    "password:\n  §",
    "<password=§>",
    # URLs and connection strings
    "postgres://svc:§@db:5432/orders",
    "postgres://svc:a/§@db:5432/orders",
    "postgres://svc:p@§@db/orders",
    "redis://:§@cache:6379/0",
    "https://§@git.example/repo.git",
    "amqp://guest:§@rabbit:5672/%2f",
    "mongodb+srv://u:§@cluster/x?retryWrites=true",
    "https://host/cb?access_token=§&service=checkout",
    "https://host/cb?service=checkout&sig=§",
    "https://hooks.slack.com/services/T0/B0/§",
    "https://discord.com/api/webhooks/123/§",
    "https://open.feishu.cn/open-apis/bot/v2/hook/§",
    "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=§",
    "https://oapi.dingtalk.com/robot/send?access_token=§",
    "Server=db;User Id=sa;Password=§;Encrypt=true",
    "Server=db;User Id=sa;Password=two words §;Encrypt=true",
    "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=§==;",
    # headers
    "Authorization: Bearer §",
    "authorization: Basic §==",
    "Proxy-Authorization: Digest username=x, response=§",
    "curl -H 'Authorization: Token §' https://api",
    '{"Authorization": "Bearer §"}',
    "Cookie: a=b; session=§",
    "Set-Cookie: id=§; HttpOnly",
    "sent bearer § upstream",
    "HTTP 401 for Bearer §",
    # command lines
    "login --password § --host db",
    "login --password=§",
    "tool --api-key §",
    "curl -u bob:§ https://api",
    "curl --user bob:§ https://api",
    "mysql -u root -p§ orders",
    "sshpass -p § ssh host",
    "redis-cli -h cache -a § ping",
    "PGPASSWORD=§ psql -h db",
    # said in English
    "the password is §",
    "my password is: §",
    "password § does not work, the password is §",
    "the token of the admin user is §",
    "change the password to §",
    "why does login with password § fail on checkout?",
    "use token § and restart orders",
    "set the api key to § please",
    "the secret was §",
    "my pin is §",
    # said in Chinese
    "密码是§",
    "密码是§,然后重启checkout",
    "密码:§",
    "密码: §",
    "口令为 §",
    "数据库密码改成§",
    "密钥设置为§",
    "令牌叫§",
    "访问令牌是 § 查一下 orders",
    "把密码换成“§”",
    "用密码 § 登录",
    "token 是 §",
    "token是§",
    "验证码是§",
    "私钥=§",
    # keys in blocks
    "-----BEGIN RSA PRIVATE KEY-----\n§\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\\n§\\n-----END PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----\n§\n(cut off",
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\n§\n-----END PGP PRIVATE KEY BLOCK-----",
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_secret_is_gone(shape: str) -> None:
    before, after = "orders is slow since 10:00, ", " and then?"
    told = redact(before + shape.replace("§", SECRET) + after)
    assert SECRET not in told
    assert told.startswith(before)
    assert HIDDEN in told


ISSUED = [
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAIOSFODNN7EXAMPLE",
    "LTAI5tExampleExample12",
    "ghp_0123456789abcdefghijklmnopqrstuvwxyz",
    "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz",
    "glpat-abcdefghij0123456789",
    "xoxb-123456789012-abcdefghijkl",
    "xoxe.xoxp-1-abcdefghijkl",
    "AIzaSyA0123456789abcdefghijklmnopqrstuv",
    "sk_live_0123456789abcdef",
    "sk-proj-0123456789abcdefghij",
    "npm_0123456789abcdefghijklmnopqrstuvwxyz",
    "pypi-AgEIcHlwaS5vcmcCJDAxMjM0NTY3",
    "hf_abcdefghijABCDEFGHIJabcdefghij",
    "hvs.CAESIJabcdefghijklmnop",
    "glsa_0123456789abcdefghij_01234567",
    "SG.0123456789abcdefghijkl.0123456789abcdefghijkl",
    "123456789:AAabcdefghijklmnopqrstuvwxyz0123456",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
]


@pytest.mark.parametrize("key", ISSUED)
def test_keys_of_known_issuers_are_found_without_a_word_beside_them(key: str) -> None:
    assert redact(f"checkout fails, {key}, why?") == f"checkout fails, {HIDDEN}, why?"
    assert redact(f"为什么{key}慢").count(key) == 0


PLAIN = [
    "why is checkout slow since 3pm?",
    "compare qps of orders and checkout over the last 30 minutes",
    "why is the password service slow?",
    "the token service is slow",
    "password resets fail for orders",
    "为什么 checkout 慢, 昨晚三点一刻开始",
    "token 服务慢",
    "密码服务为什么报错",
    "basic authentication failed for orders",
    "cpu of node-1:9100 is 93% at http://prometheus:9090/graph?g0.expr=up",
    'rate(http_requests_total{service="checkout",code=~"5.."}[5m])',
    "max_tokens=4096",
    "see https://example.org/r?alertname=High&from=1",
    "diagnosis 0123456789abcdef of sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "task-runner-sk-checkout-backend is slow",
    "bob@example.org asked",
    "sources.password_file: can't read /run/secrets/x",
    "aiops serve --tokens-file /etc/aiops/tokens",
]


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_not_secret_stays(text: str) -> None:
    assert redact(text) == text


PASSWORD = st.text(string.ascii_letters + string.digits + "!#$%^&*+-_=.,:/?~|", min_size=8, max_size=40).filter(
    lambda s: any(c.isdigit() for c in s) and any(c.isalpha() for c in s) and s[0].isalnum() and s[-1].isalnum()
)
WORDS = st.text(st.characters(codec="utf-8"), max_size=60)


@given(PASSWORD, st.sampled_from([
    "password={}", "pwd: {}", '{{"password": "{}"}}', "the password is {}", "密码是{}", "口令:{}", "token={}",
    "Authorization: Bearer {}", "api_key = {}", "--password {}", "login with password {}", "mysql -p{}", "PGPASSWORD={} psql",
    "secret: '{}'", "令牌为 {}",
]), WORDS, WORDS)  # fmt: skip
@example("a1******", "password={}", "", "")
def test_no_password_survives_between_any_words(secret: str, shape: str, before: str, after: str) -> None:
    left = before.replace(secret, "")
    right = after.replace(secret, "")
    told = redact(f"{left} {shape.format(secret)} {right}")
    assert secret not in told.replace(left, "", 1).removesuffix(right)


@given(st.text(string.ascii_letters + string.digits, min_size=8, max_size=24), WORDS)
def test_no_password_of_a_url_survives(secret: str, around: str) -> None:
    around = around.replace(secret, "")
    assert secret not in redact(f"{around} postgres://svc:{secret}x@db/orders {around}")


@given(st.text(max_size=300))
def test_any_text_is_taken(text: str) -> None:
    assert isinstance(redact(text), str)


@pytest.mark.parametrize(
    "hostile", ["password ", "token is ", "://", "密码", "a:", "-----BEGIN PRIVATE KEY-----", '=\\"', "; x", "with my "]
)
def test_a_hostile_text_takes_no_more_than_its_share(hostile: str) -> None:
    """Bounded patterns only: this would not return if one of them were quadratic."""
    redact(hostile * (200_000 // len(hostile)))


def test_plain_data_is_redacted_whole() -> None:
    given = {
        "text": "password=hunter2x",
        "password": ["a", {"b": "c"}],
        "inputs": {"filters": ["token=abc"], "n": 1, "none": None},
        "db_token": "",
        "password=hunter2x": 1.5,
    }
    assert redact_plain(given) == {
        "text": "password=***",
        "password": "***",
        "inputs": {"filters": ["token=***"], "n": 1, "none": None},
        "db_token": "",
        "password=***": "***",
    }
    assert json.dumps(redact_plain({"密码": "x", "a": ("b",)}), ensure_ascii=False) == '{"密码": "***", "a": ["b"]}'


def test_what_was_taken_out_is_known_where_it_stands_without_a_sign() -> None:
    said = "my password is Hunter2x-and-more, see postgres://u:Zx9kQ7v@db and ghp_0123456789abcdefghijklmnop"
    known = secrets_in(said)
    assert known == ("ghp_0123456789abcdefghijklmnop", "Hunter2x-and-more,", "Hunter2x", "Zx9kQ7v")
    asked = {"question": "I don't know hunter2x. Which service?", "choices": ["zx9kq7v", "orders"]}
    assert redact_plain(asked, known) == {"question": "I don't know ***. Which service?", "choices": ["***", "orders"]}
    assert secrets_in("why is checkout slow?") == ()


@given(st.sampled_from(SHAPES), WORDS)
def test_whatever_is_taken_out_is_known(shape: str, before: str) -> None:
    known = secrets_in(f"{before} {shape.replace('§', SECRET)} and then?")
    assert SECRET not in redact_plain({"q": f"what is {SECRET}?"}, known)["q"]


def test_the_log_of_the_program_holds_no_secret() -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(Formatter("%(levelname)s %(message)s"))
    log = logging.getLogger("aiops.redacted")
    log.addHandler(handler)
    try:
        int(f"postgres://u:{SECRET}@db refused")
    except ValueError:
        log.exception("can't connect with %s", f"password={SECRET}")
    assert SECRET not in out.getvalue()
    assert "Traceback" in out.getvalue()
