"""Several backends that answer as one."""
