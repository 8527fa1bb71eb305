"""What we measure: one module and one command each."""
