"""Scenarios: their files, what their steps do, what is expected of them."""
