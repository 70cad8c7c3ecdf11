"""The Python API. Its names are those of `percpu_emu`, which imports these modules when a name is used."""
