"""percpu-emu: a machine on which the per-CPU code of the Linux memory controller runs, races and can be watched."""

__version__ = "0.1.0"
