"""One operation per file: the operation, and its plain-torch reference where there is a faster path."""
