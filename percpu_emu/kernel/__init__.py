"""The kernel's memory controller: the patchset as programs, what is around it, sizes."""
