"""Apply the variants of a sample to the reference."""

from pathlib import Path

header, *lines = Path(snakemake.input.reference).read_text().splitlines()  # noqa: F821
bases = list("".join(lines))
for line in Path(snakemake.input.variants).read_text().splitlines():  # noqa: F821
    position, reference, alternative, _ = line.split("\t")
    if bases[int(position) - 1] != reference:
        raise ValueError(f"{snakemake.input.variants}: position {position} is {bases[int(position) - 1]}")  # noqa: F821
    bases[int(position) - 1] = alternative
sequence = "".join(bases)
rows = [sequence[start : start + 60] for start in range(0, len(sequence), 60)]
Path(snakemake.output[0]).write_text("\n".join([f">{snakemake.wildcards.sample} of {header[1:]}", *rows, ""]))  # noqa: F821
