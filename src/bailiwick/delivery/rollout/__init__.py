"""Canary rollouts: schedule, evidence, decision, controller."""
