"""Limits for visitors: the owner's settings, rate limits per visitor, and the gate that checks every request.

This package does not use torch.
"""
