"""The model file: experts, network and panel; panels outside it, and their cache."""
