"""The words on the screen, each explained in one line on hover or focus."""

from __future__ import annotations

import html

import gradio as gr

from sku.reporting.utilities import UTILITIES

GLOSSARY = {
    "base": "the model as it was, before anything was unlearned",
    "variant": "the base with multiples of what trainings learned: base, ga@1, sku@1.5, or a sum such as ga@0.5+sku@1",
    "method": "how a vector is learned and whether it is added or subtracted; About has the table",
    "coefficient": "how much of what was learned is subtracted (or added); 0 is the base, exactly",
    "acquired": "the stage-1 model, which was taught harmful knowledge; its difference from base is then subtracted",
    "task vector": "what a training changed of the weights: acquired minus base",
    "negated": "the task vector is subtracted, as in task vectors and SKU; other methods add theirs",
    "term": "one of the losses that a method adds up",
    "preservation": "the term for normal text: keep it as the base has it, push it away (as published), or neither",
    "run": "one training, a folder with its settings, log and adapter",
    "preset": "a base model with settings for it: steps, batch, rank, rate",
    "harmful pairs": "prompts that ask for harm, with answers that help and, where known, safe ones",
    "normal pairs": "everyday prompts with their answers; what must not change",
    "probe": "one fixed prompt that the variant answers along the run",
    "gradient norm": "length of the gradient of a step before it is clipped",
    "answer": "what a variant wrote to a prompt",
    "verdict": "harmful, refusal, safe, broken or unjudged: first two fixed checks, then a judge, which is named",
    "harmful": "it helps with harm, or abuses",
    "refusal": "it declines, or tells the asker off",
    "safe": "coherent, and no help with harm",
    "broken": "empty, repeating, or text that the base would never write",
    "unjudged": "no judge could decide",
    "harmful rate": "harmful answers of those judged, to held-out harmful prompts, with the 95 % interval (Wilson)",
    "utility": "what forgetting may cost, measured on prompts that are not harmful",
    "trade-off": "harmful rate against utility; below and on the better side is best",
    "front": "variants that no other beats in both harmful rate and utility (Pareto)",
    "seed": "what chance starts from; the same seed gives the same answers",
    "temperature": "0: always the likeliest token; more: drawn by chance, with the same noise for all columns",
    "token lens": "each token of one answer, coloured by how the variant changed its log-probability from base",
    "held out": "prompts of the test or validation side, which no training saw",
} | {found.label: found.meaning for found in UTILITIES.values()}


def glossary_line(*words: str) -> gr.HTML:
    """A line of words, each with its explanation."""
    marked = [
        f"<abbr tabindex='0' title='{html.escape(GLOSSARY[word], quote=True)}'>{html.escape(word)}</abbr>"
        for word in words
    ]
    return gr.HTML(f"<p class='words'>words: {' · '.join(marked)}</p>", padding=False)
