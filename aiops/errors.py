"""The ways it can fail.

    AiopsError
    +-- UsageError              the request itself is wrong            exit 2, HTTP 400
    |   +-- ConfigError         a setting is wrong                     exit 2
    |   +-- NotFound            no such report, case, node             exit 2, HTTP 404
    |   +-- DataError           a file or body is not what it should be exit 2, HTTP 400
    +-- SourceError             a source could not answer              a Gap; exit 3 when nothing else could be read
    |   +-- SourceUnreachable   no connection, or no answer in time    may be retried
    |   |   +-- SourceBusy      it has too much to do: 429, 503        may be retried, but less often
    |   |       +-- SourceLate  no whole answer in time                as above
    |   +-- SourceRefused       4xx: it understood and said no         must not be retried
    |   +-- SourceGarbled       it answered what it must not           must not be retried
    +-- ModelError              the language model gave nothing        rules or a clarification answer instead
    +-- StoreError              the local store can't be used          exit 5, HTTP 503
    +-- Refused                 policy or sandbox said no              exit 4, HTTP 403
    +-- Overloaded              full: come back later                  HTTP 503

Each message names what was asked, of whom, and what came back; none holds a secret.
"""

from __future__ import annotations


class AiopsError(Exception):
    """Base of all foreseen failures; `exit_code` and `http_status` are part of the contract."""

    exit_code = 5
    http_status = 500


class UsageError(AiopsError):
    exit_code = 2
    http_status = 400


class ConfigError(UsageError):
    pass


class NotFound(UsageError):
    http_status = 404


class DataError(UsageError):
    pass


class SourceError(AiopsError):
    """A source could not answer. `what` was asked of `whom`, and `came_back` says what happened."""

    exit_code = 3
    http_status = 502
    retryable = False

    def __init__(self, what: str, whom: str, came_back: str) -> None:
        super().__init__(f"{what} from {whom}: {came_back}")
        self.what, self.whom, self.came_back = what, whom, came_back


class SourceUnreachable(SourceError):
    retryable = True


class SourceBusy(SourceUnreachable):
    pass


class SourceLate(SourceBusy):
    pass


class SourceRefused(SourceError):
    pass


class SourceGarbled(SourceError):
    pass


class ModelError(AiopsError):
    pass


class StoreError(AiopsError):
    http_status = 503


class Refused(AiopsError):
    exit_code = 4
    http_status = 403


class Overloaded(AiopsError):
    http_status = 503
