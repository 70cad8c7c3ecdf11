"""The reference, made from the definitions: `topics.page` gives one topic as Markdown."""
