"""Write the golden archives of networks anew: ``PYTHONPATH=tests python tests/network/golden/make.py``.

The texts stay; the models are random (seed 0), and the texts are what they find likely.
"""

from pathlib import Path

from networks import random_model

from geneformer_codec import compress

HERE = Path(__file__).parent


def main() -> None:
    """Write both."""
    for form in ("stream", "paper"):
        source, out = HERE / f"{form}.fa", HERE / f"{form}.gfz"
        compress(source, out, model=random_model(form), embed=True, access=512, verify=True, force=True)


if __name__ == "__main__":
    main()
