"""Gates, deployments, promotion and rollback."""
