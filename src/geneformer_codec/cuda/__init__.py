"""Experts, and qualities, on a GPU: a thread a slice, by the functions that the CPU runs, compiled for CUDA."""
