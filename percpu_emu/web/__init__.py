"""Lessons in a browser, on a machine that runs: a server on loopback, a tab's own processes, a page without a build.

A tab talks to the server over one WebSocket, in JSON objects. What it sends names whom it is for: `"to": "machine"` or
`"to": "explorer"`. Each of the two is a process of the tab's own, started when it is first needed, which reads one
object a line from its standard input and writes one a line to its standard output; the server passes them on.
"""
