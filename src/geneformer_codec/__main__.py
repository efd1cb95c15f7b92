"""``python -m geneformer_codec`` is ``gfz``."""

import sys

from .cli import main

sys.exit(main())
