"""Read and check users' inputs: YAML files and the values of options."""
