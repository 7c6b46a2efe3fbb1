"""A base with its adapters: rows of coefficients, chat template, generation, likelihood, weights."""
