"""`python -m percpu_emu`."""

from percpu_emu.cli.main import main

if __name__ == "__main__":
    main()
