"""``python -m geneformer_codec`` is ``gfz``."""

import sys

from geneformer_codec.cli.main import main

sys.exit(main())
