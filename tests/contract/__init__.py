"""The contract itself: what its files say of each other, and that the code says the same."""
