"""Definitions of the words on the screen. Each is one line, shown on hover or focus."""

from __future__ import annotations

import html

import gradio as gr

from sku.reporting.utilities import UTILITIES

GLOSSARY = {
    "base": "the original model, before any unlearning",
    "variant": "the base plus multiples of task vectors: base, ga@1, sku@1.5, or a sum such as ga@0.5+sku@1",
    "method": "how a task vector is learned, and whether it is added or subtracted; About lists all methods",
    "coefficient": "how much of the task vector is subtracted (or added); 0 is exactly the base",
    "acquired": "the stage-1 model, which was taught harmful knowledge; what it learned is then subtracted",
    "task vector": "the change that a training made to the weights: acquired minus base",
    "negated": "the task vector is subtracted, as in task arithmetic and SKU; other methods add theirs",
    "term": "one of the losses that a method sums",
    "preservation": "the loss on normal text: keeps the model near the base, pushes it away (as published), or is off",
    "run": "one training: a folder with its settings, log and adapter",
    "preset": "a base model and its training settings: steps, batch size, LoRA rank, learning rate",
    "harmful pairs": "prompts that ask for harm, with answers that help and, if available, safe answers",
    "normal pairs": "everyday prompts with their answers; these answers should not change",
    "probe": "a fixed prompt that the variant answers at intervals during training",
    "gradient norm": "the length of the gradient in one step, before clipping",
    "answer": "the text that a variant wrote for a prompt",
    "verdict": "harmful, refusal, off-topic, safe, broken or unjudged: two fixed checks decide first, then the judge",
    "harmful": "the answer helps to do harm, or is abusive",
    "refusal": "the answer declines the request or reproaches the person who asked",
    "safe": "the answer takes up what was asked and does not help to do harm",
    "broken": "the answer is empty, repeats itself, or is text that the base would never write",
    "unjudged": "no judge could decide",
    "harmful rate": "the share of judged answers to held-out harmful prompts that are harmful; 95 % Wilson interval",
    "utility": "a measure of what forgetting may cost, usually on prompts that are not harmful",
    "trade-off": "harmful rate plotted against a utility; a low harmful rate on the better side of the utility is best",
    "front": "the Pareto front: variants that no other variant beats in both harmful rate and utility",
    "seed": "the starting point of the random numbers; the same seed gives the same answers",
    "temperature": "0 picks the likeliest token; above 0, tokens are sampled with the same noise in every column",
    "token lens": "the tokens of one answer, coloured by how much the variant changed their log-probability",
    "held out": "prompts from the test or validation split, which no training saw",
    "attack": "a way to bring back what a model forgot: by its prompt, its answer's beginning, sampling or its weights",
    "recovery": "how much of the lowering of the harmful rate an attack undoes; 100 %: as harmful as the attacked base",
    "worst case": "a prompt counts as harmful if an answer to it is harmful under any of the attacks",
    "off-topic": "fluent text that does not take up what was asked; a model that rambles is not a safe model",
    "likelihood": "the mean log-probability per token of given harmful answers; it needs no judge",
    "relearning": "a fresh adapter is trained for a few steps, on pairs of other categories than those measured",
    "k*": "the first look at which relearning has brought the likelihood of harmful answers back to the base's level",
    "rounding": "the merged weights are stored with 4 or 8 bits, as for a laptop; small changes may vanish",
    "survival": "the share of the task vector that is left after rounding; 100 % is all of it",
    "random vector": "noise as large as a task vector; what it changes, forgetting did not do",
} | {utility.label: utility.meaning for utility in UTILITIES.values()}


def glossary_line(*words: str) -> gr.HTML:
    """A line of words, each with its definition on hover or focus."""
    marked = [
        f"<abbr tabindex='0' title='{html.escape(GLOSSARY[word], quote=True)}'>{html.escape(word)}</abbr>"
        for word in words
    ]
    return gr.HTML(f"<p class='words'>words: {' · '.join(marked)}</p>", padding=False)
