"""Who may ask for how much: the owner's switches, the budgets of visitors, and the one gate that every request passes.

Knows no gradio and no torch.
"""
