"""Asking language models: three protocols behind one gateway that counts and remembers."""
