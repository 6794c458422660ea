"""Every error Ragstone raises on purpose.

    RagstoneError                          exit  http
    ├── InputError                            2   400   the request cannot be carried out as it is
    │   ├── SettingsError                     2   400   unknown key, wrong type, contradiction
    │   ├── NotFound                          3   404   path, document or collection does not exist
    │   ├── QueryError                        2   400   empty or too long question, k out of range
    │   ├── TooLarge                          2   413   a request larger than the server takes
    │   ├── PromptTooLong                     2   413   larger than the window of every model that could answer
    │   ├── PriceUnknown                      2   400   a hard budget cannot pay for what has no price
    │   └── Conflict                          2   409   what is there now does not allow it
    ├── ReadError                             4   422   one source could not be read; the others go on
    │   ├── UnsupportedFormat                 4   415   no reader for this kind of file
    │   ├── DamagedFile                       4   422   the reader could not make sense of it
    │   ├── EncryptedFile                     4   422   needs a password (setting `ingest.passwords`)
    │   ├── NoTextLayer                       4   422   pictures of text only; needs the `ocr` extra
    │   ├── EmptyFile                         4   422   nothing in it
    │   ├── LimitExceeded                     4   413   larger than a limit (size, pages, time, memory, archive)
    │   ├── Unreadable                        4   422   permission, vanished, not a regular file
    │   └── ReaderCrashed                     4   422   the worker process died; the parent did not
    ├── StoreError                            5   500
    │   ├── StoreDamaged                      5   500   the database file fails its checks
    │   ├── StoreNewer                        5   500   written by a newer version
    │   ├── BackupDamaged                     5   500   a part of a backup is missing or not what was written
    │   ├── StoreReadOnly                     5   503   folder or disk cannot be written
    │   ├── DiskFull                          5   507   no space left; nothing acknowledged was lost
    │   ├── StoreBusy                         5   503   another process holds the write lock for too long (retryable)
    │   ├── QueueFull                         5   503   as many jobs wait as may (retryable)
    │   └── LeaseLost                         5   409   the job went to another worker; what this one did does not count
    ├── ModelError                            6   500
    │   ├── ModelMissing                      6   500   weights not installed; says what to install
    │   ├── ModelMismatch                     6   500   wrong hash, dimension or vector space
    │   ├── KeyRefused                        6   500   a provider does not accept the API key
    │   └── ModelUnavailable                  6   503   a model server does not answer (retryable)
    ├── DeadlineExceeded                      7   504   (retryable)
    ├── BudgetExceeded                        8   429   a call could cost more than is left; says when it renews
    └── AccessError                           9   403   a request to the server that is not allowed
        ├── NotSignedIn                       9   401   no key, or one that is wrong, expired or revoked
        ├── Forbidden                         9   403   the key's scopes do not reach so far; a foreign page asks
        ├── WrongHost                         9   421   the request is meant for another name than the server's
        ├── TooManyRequests                   9   429   faster than the key's limit, or over a quota (retryable)
        ├── Overloaded                        9   503   as much work as the server takes on is waiting (retryable)
        └── SignInUnavailable                 9   503   the identity provider does not answer (retryable)

`exit_code` and `http_status` are read by the command line and the server; `retryable` by callers.
Foreign exceptions are mapped to these at the edge where they arise.
"""

from __future__ import annotations

from typing import ClassVar


class RagstoneError(Exception):
    """Base. `message` says what happened, `hint` what to do about it."""

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    @property
    def code(self) -> str:
        """Stable name for machines: the class name."""
        return type(self).__name__


class InputError(RagstoneError):
    exit_code = 2
    http_status = 400


class SettingsError(InputError):
    pass


class NotFound(InputError):
    exit_code = 3
    http_status = 404


class QueryError(InputError):
    pass


class TooLarge(InputError):
    http_status = 413


class PromptTooLong(InputError):
    http_status = 413


class PriceUnknown(InputError):
    pass


class Conflict(InputError):
    http_status = 409


class ReadError(RagstoneError):
    exit_code = 4
    http_status = 422


class UnsupportedFormat(ReadError):
    http_status = 415


class DamagedFile(ReadError):
    pass


class EncryptedFile(ReadError):
    pass


class NoTextLayer(ReadError):
    pass


class EmptyFile(ReadError):
    pass


class LimitExceeded(ReadError):
    http_status = 413


class Unreadable(ReadError):
    pass


class ReaderCrashed(ReadError):
    pass


class StoreError(RagstoneError):
    exit_code = 5


class StoreDamaged(StoreError):
    pass


class StoreNewer(StoreError):
    pass


class BackupDamaged(StoreError):
    pass


class StoreReadOnly(StoreError):
    http_status = 503


class DiskFull(StoreError):
    http_status = 507


class StoreBusy(StoreError):
    http_status = 503
    retryable = True


class QueueFull(StoreError):
    http_status = 503
    retryable = True


class LeaseLost(StoreError):
    http_status = 409


class ModelError(RagstoneError):
    """`cost_nothing`: the provider was not reached or refused the call, so that it is not billed."""

    exit_code = 6
    cost_nothing: bool = False


class ModelMissing(ModelError):
    cost_nothing = True


class ModelMismatch(ModelError):
    pass


class KeyRefused(ModelError):
    cost_nothing = True


class ModelUnavailable(ModelError):
    """`retry_after`: seconds until the server wants to be asked again, where it said so."""

    http_status = 503
    retryable = True

    def __init__(self, message: str, hint: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after


class DeadlineExceeded(RagstoneError):
    exit_code = 7
    http_status = 504
    retryable = True


class BudgetExceeded(RagstoneError):
    """`renews`: when more may be spent, in seconds since the epoch; None where the budget has no period."""

    exit_code = 8
    http_status = 429

    def __init__(self, message: str, hint: str = "", *, renews: float | None = None) -> None:
        super().__init__(message, hint)
        self.renews = renews


class AccessError(RagstoneError):
    exit_code = 9
    http_status = 403


class NotSignedIn(AccessError):
    http_status = 401


class Forbidden(AccessError):
    pass


class WrongHost(AccessError):
    http_status = 421


class TooManyRequests(AccessError):
    """`retry_after`: seconds until a request is taken again."""

    http_status = 429
    retryable = True

    def __init__(self, message: str, hint: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after


class Overloaded(AccessError):
    http_status = 503
    retryable = True


class SignInUnavailable(AccessError):
    http_status = 503
    retryable = True
