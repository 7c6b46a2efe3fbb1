"""Variants x prompts to result rows: what is asked (plan), the work (runner), the numbers (metrics, aggregate)."""
