"""Data to model: one module per stage of dvc.yaml, named as the stage. Knows no Git and no DVC.

`python -m pipeline.STAGE` imports this first: the libraries are judged before the stage imports them.
"""

import sys

from pipeline import libraries
from pipeline.errors import OtherLibraries

try:
    libraries.check(libraries.stage_of(sys.orig_argv))
except OtherLibraries as error:
    sys.exit(f"{type(error).__name__}: {error}")
