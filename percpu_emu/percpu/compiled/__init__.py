"""The allocator compiled, for accounts of millions of areas: it answers as `percpu.allocator` does, and tests hold that."""
