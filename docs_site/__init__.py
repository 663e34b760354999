"""What builds the documentation site beside the pages that people write: `make docs`.

Generated pages (keys of the configuration, commands), the picture of the graph, and what reads Markdown and HTML so
that links and commands can be checked. The pages themselves are in docs/.
"""
