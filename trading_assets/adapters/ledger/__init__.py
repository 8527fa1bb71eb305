"""What must be transactional and is never deleted."""
