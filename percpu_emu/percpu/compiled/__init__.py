"""The allocator compiled, for accounts of millions of areas: tests hold that it answers as `percpu.allocator` does."""
