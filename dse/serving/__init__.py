"""`dse serve`: studies in a browser, and an API to them."""
