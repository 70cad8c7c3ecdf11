"""Search: every interleaving of a setting, or a part of them, and the smallest schedule that breaks it."""
