"""Imported first by the forkserver: it is out of the way of the terminal, and so are its children.

What libraries print on import goes nowhere.

Children write to a log of their own; without this, TensorFlow's start-up messages, which no setting
of its own silences, would run through the search's progress display.

A signal to the search's process group (Ctrl-C in a terminal, `timeout`, a service manager's stop) is
for the search alone, which then ends its children. If it reached them too, the record would keep them
as crashed, and a forkserver that died first would leave the search waiting for ever.
"""

import os

_nowhere = os.open(os.devnull, os.O_WRONLY)
for _stream in (1, 2):
    os.dup2(_nowhere, _stream)
os.close(_nowhere)
os.setpgid(0, 0)

for _limit in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"):  # for debugging: no part of an experiment
    os.environ.pop(_limit, None)

PID = os.getpid()
"""The forkserver's id, by which a child knows whether its parent still lives."""

from nas.workers.process import end_with_children  # noqa: E402 - only now is its import out of the way

end_with_children()
