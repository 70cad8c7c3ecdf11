"""The schedules that tests failed by, kept in the cache of pytest: a file for each test, for tests in parallel."""

from __future__ import annotations

import hashlib

import pytest


def kept_token(item: pytest.Item) -> str | None:
    """The token of the schedule that a test failed by last time."""
    cache = _cache(item)
    token = None if cache is None else cache.get(_key(item), None)
    return token if isinstance(token, str) else None


def keep(item: pytest.Item, token: str | None) -> None:
    """Keep a token for the next time; None forgets the one that is kept."""
    cache = _cache(item)
    if cache is not None and token != kept_token(item):
        cache.set(_key(item), token)


def _cache(item: pytest.Item) -> pytest.Cache | None:
    """Pytest's cache; none where it is switched off by `-p no:cacheprovider`."""
    return getattr(item.config, "cache", None)


def _key(item: pytest.Item) -> str:
    return f"percpu-emu/tokens/{hashlib.sha256(item.nodeid.encode()).hexdigest()[:16]}"
