"""How a model is called: in this process, or over HTTP."""
