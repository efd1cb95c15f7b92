"""How the experts' kernels are compiled: anew whenever one of their sources has changed."""

from pathlib import Path

from ...compiled import Int, apart, inline, instruction, kernels, prefetch, sources

__all__ = ["SOURCES", "Int", "apart", "inline", "instruction", "kernel", "prefetch"]

SOURCES = sources(Path(__file__).parent)
kernel = kernels(SOURCES)
