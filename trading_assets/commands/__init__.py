"""Groups of what a person can ask for at the prompt, one file each."""
