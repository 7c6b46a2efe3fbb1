"""The Robustness tab: does what was forgotten come back under attack?"""
