"""The machinery: what a project runs on, and its owner seldom has to read.

`python -m mlops.STAGE` imports this first: the libraries are judged before the stage imports them.
"""

import sys

from mlops import libraries
from mlops.errors import OtherLibraries

try:
    libraries.check(libraries.stage_of(sys.orig_argv))
except OtherLibraries as error:
    sys.exit(f"{type(error).__name__}: {error}")
