"""Imported first by the forkserver: its output, and what libraries print on import, goes nowhere.

Children write to a log of their own; without this, TensorFlow's start-up messages, which no setting
of its own silences, would run through the search's progress display.
"""

import os

_nowhere = os.open(os.devnull, os.O_WRONLY)
for _stream in (1, 2):
    os.dup2(_nowhere, _stream)
os.close(_nowhere)
