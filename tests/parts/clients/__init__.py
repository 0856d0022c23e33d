"""The stock clients that agents use: what each needs, what it shows, and the table of it in docs/clients.md."""
