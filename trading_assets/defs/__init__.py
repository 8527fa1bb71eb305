"""What is made, from what, and when: the Dagster layer."""
