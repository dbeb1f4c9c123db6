"""From a query to the domain and model that should answer it."""
