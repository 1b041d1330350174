"""What the pages in docs/ show is what a reader gets."""
