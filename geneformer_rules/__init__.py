"""Snakemake rules that archive nucleotide sequence with a learned model.

Another pipeline includes them as a module::

    from geneformer_rules import snakefile

    module archive:
        snakefile: snakefile()
        config: config["archive"]
        pathvars: results="results/archive"

    use rule * from archive as archive_*

All files of the rules are in this package, so an installed wheel and a checkout behave alike.
"""

from pathlib import Path

from geneformer_codec import __version__

__all__ = ["__version__", "profile", "snakefile"]

_HERE = Path(__file__).resolve().parent


def snakefile() -> str:
    """Return the path of the packaged Snakefile, for ``module``'s ``snakefile:``."""
    return str(_HERE / "Snakefile")


def profile(name: str) -> str:
    """Return the directory of a packaged profile (``default`` or ``slurm``), for ``snakemake --profile``."""
    directory = _HERE / "profiles" / name
    if not directory.is_dir():
        known = ", ".join(sorted(entry.name for entry in (_HERE / "profiles").iterdir() if entry.is_dir()))
        raise ValueError(f"unknown profile '{name}'; packaged are: {known}")
    return str(directory)
