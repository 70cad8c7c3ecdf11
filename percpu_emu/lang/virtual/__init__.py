"""The virtual engine: a machine whose whole state is one row of integers, stepped one operation at a time.

The state can be copied, compared and hashed, so every interleaving can be tried. The rules are those of `lang.setting`.
A state is: a header, a block for each context (those of the setting, then the callbacks), the words that programs
have touched, and which per-CPU areas and objects are allocated (`layout`). `vm` holds what stays the same.
"""
