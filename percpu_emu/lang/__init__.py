"""The language in which the code under test is written, and its engines."""
