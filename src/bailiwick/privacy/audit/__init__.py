"""Attacks on our own releases. An audit can refute a claim; it can never prove one."""
