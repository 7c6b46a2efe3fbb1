"""The Pipeline tab: start a training, watch it, use what comes out."""
