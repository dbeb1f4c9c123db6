"""What private steps cost together. Pure: no noise is drawn and no data is seen."""
