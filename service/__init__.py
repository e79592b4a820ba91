"""HTTP around the model: media in and out, the engine, the command line, the web page."""

import os

# Here, because OpenMP reads it once, when torch is imported. Its threads wait for the next part of a pass by spinning:
# some 5 ms unless told otherwise, in which they take a core from what follows the pass, and from the next upload. This
# many turns last half a millisecond, still longer than the gaps within a pass: threads that slept there would be late.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "30000")
