"""A tab's explorer: `python -m percpu_emu.web.search_worker`. Each request has an `id`, which its answer repeats."""

from __future__ import annotations

from percpu_emu.web.answers import answered
from percpu_emu.web.lines import settle_in


def main() -> None:
    """Until the input ends."""
    inbox, outbox = settle_in()
    for request in inbox:
        outbox.say(answered(request))


if __name__ == "__main__":
    main()
