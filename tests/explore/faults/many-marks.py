"""The 65th mark is never reached."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, mark, read_once

WORD = STATIC + 0


def first() -> Program[None]:
    yield mark("m0")
    yield mark("m1")
    yield mark("m2")
    yield mark("m3")
    yield mark("m4")
    yield mark("m5")
    yield mark("m6")
    yield mark("m7")
    yield mark("m8")
    yield mark("m9")
    yield mark("m10")
    yield mark("m11")
    yield mark("m12")
    yield mark("m13")
    yield mark("m14")
    yield mark("m15")
    yield mark("m16")
    yield mark("m17")
    yield mark("m18")
    yield mark("m19")
    yield mark("m20")
    yield mark("m21")
    yield mark("m22")
    yield mark("m23")
    yield mark("m24")
    yield mark("m25")
    yield mark("m26")
    yield mark("m27")
    yield mark("m28")
    yield mark("m29")
    yield mark("m30")
    yield mark("m31")


def second() -> Program[None]:
    yield mark("m32")
    yield mark("m33")
    yield mark("m34")
    yield mark("m35")
    yield mark("m36")
    yield mark("m37")
    yield mark("m38")
    yield mark("m39")
    yield mark("m40")
    yield mark("m41")
    yield mark("m42")
    yield mark("m43")
    yield mark("m44")
    yield mark("m45")
    yield mark("m46")
    yield mark("m47")
    yield mark("m48")
    yield mark("m49")
    yield mark("m50")
    yield mark("m51")
    yield mark("m52")
    yield mark("m53")
    yield mark("m54")
    yield mark("m55")
    yield mark("m56")
    yield mark("m57")
    yield mark("m58")
    yield mark("m59")
    yield mark("m60")
    yield mark("m61")
    yield mark("m62")
    yield mark("m63")


def marks() -> Program[None]:
    yield from first()
    yield from second()


def looks() -> Program[None]:
    x = yield read_once(WORD)
    if x:
        yield mark("never")
