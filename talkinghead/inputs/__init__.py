"""What users write: YAML files, values of options, and which files a command reads."""
