"""A running machine as a file system: a cgroup2 tree, pages of /proc, and a /tmp whose pages are charged."""
