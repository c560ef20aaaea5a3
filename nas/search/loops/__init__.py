"""The ways to go through a search: which stages can begin, and who carries them out.

A *loop* (`Rounds`, or a user's own) says which stages of which batches can begin. A *driver* carries them
out: `drive` with threads, `drive_by_clock` on a virtual clock, `flows.search` as Prefect tasks.
"""

from nas.search.loops.drivers import drive, drive_by_clock
from nas.search.loops.loop import Limits, Loop, Stage, StageKind, room
from nas.search.loops.rounds import Rounds

__all__ = ["Limits", "Loop", "Rounds", "Stage", "StageKind", "drive", "drive_by_clock", "room"]
