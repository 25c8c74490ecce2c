"""What the end-to-end tests are made of: networks, processes, guests' consoles, and private worlds."""
