"""Mutants of the product: single changes, each of which some test has to notice."""
