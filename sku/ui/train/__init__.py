"""The Pipeline tab: start a training, watch it, and use the adapter that it makes."""
