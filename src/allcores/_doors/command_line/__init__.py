"""The command line: `map`, and what looks at plans, journals and the machine, for a terminal. Begin with `main`."""
