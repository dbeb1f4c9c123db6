"""Traffic plans: which share of the users each model version serves."""
