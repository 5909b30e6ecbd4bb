"""Sessions: who may enter, by the token itself or by a cookie that stands for it."""

from __future__ import annotations

import hmac
import secrets
import time

SESSION_S = 12 * 3600.0
_MOST = 1000


class Sessions:
    """Compares tokens in constant time, and remembers who has shown the right one.

    Args:
        token: The right one; None lets everybody in.
    """

    def __init__(self, token: str | None) -> None:
        self._token = token
        self._ends: dict[str, float] = {}

    @property
    def are_needed(self) -> bool:
        """Whether there is a token at all."""
        return self._token is not None

    def knows(self, token: str) -> bool:
        """Whether the token is right."""
        if self._token is None:
            return True
        return hmac.compare_digest(token.encode(), self._token.encode())

    def open(self) -> str:
        """A cookie's value for somebody who has shown the token."""
        now = time.monotonic()
        kept = sorted(((end, key) for key, end in self._ends.items() if end > now), reverse=True)
        self._ends = {key: end for end, key in kept[: _MOST - 1]}
        session = secrets.token_urlsafe(32)
        self._ends[session] = now + SESSION_S
        return session

    def close(self, session: str) -> None:
        """Forget a cookie's value."""
        self._ends.pop(session, None)

    def holds(self, session: str) -> bool:
        """Whether a cookie's value was given out and has not run out."""
        end = self._ends.get(session)  # of 256 random bits: its time tells nothing
        return end is not None and end > time.monotonic()

    def admit(self, authorization: str, session: str) -> bool:
        """Whether a request may enter.

        Args:
            authorization: Its header, `Bearer TOKEN`; empty without one.
            session: Its cookie; empty without one.
        """
        if not self.are_needed:
            return True
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and self.knows(token.strip()):
            return True
        return self.holds(session)
