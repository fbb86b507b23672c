"""One module per family of features; the registry lists them."""
