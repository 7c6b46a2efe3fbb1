"""A method and its data become a run folder: batches, objective, checkpoints, monitor, losses."""
