"""What follows: pure functions of values, arrays and frames."""
