"""What we intend: one YAML file per strategy, and what such a file may say."""
