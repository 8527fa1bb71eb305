"""The border with Interactive Brokers, over the wire against a fake gateway."""
