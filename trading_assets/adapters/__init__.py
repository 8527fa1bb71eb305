"""What we talk to: each port beside its implementations."""
