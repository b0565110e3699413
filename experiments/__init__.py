"""The configurations that come with the search: YAML files, one folder for each choice."""
