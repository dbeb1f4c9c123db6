"""The ground under every table: engine, migrations, cache and leases."""
