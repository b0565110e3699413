"""The benchmarks behind the claims of the project, each a command."""
