"""How hard property tests try: `scripts/test` as every day, `scripts/test --deep` ten times as hard."""

import os

from hypothesis import settings

settings.register_profile("everyday", deadline=None)  # a loaded machine is no failure
settings.register_profile("deep", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "everyday"))
