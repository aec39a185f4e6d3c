"""Telling a Redis that is there and refuses us from one that is away."""

from typing import Final

from redis.exceptions import AuthenticationError, AuthenticationWrongNumberOfArgsError, NoPermissionError

CODE: Final = "REDIS_DENIED"
USERS_FILE: Final = "deploy/redis/users.acl"
_LOGIN: Final = (AuthenticationError, AuthenticationWrongNumberOfArgsError)


def refusal(failure: BaseException) -> str | None:
    """Why Redis refuses us and what to do; None where the failure is another."""
    if isinstance(failure, NoPermissionError):
        return f"Redis does not permit Billing this: {failure}. Give its user the permissions of {USERS_FILE}."
    if isinstance(failure, _LOGIN):
        return f"Redis does not let Billing in: {failure}. Mend the user and password in BILLING_REDIS_URL."
    return None
