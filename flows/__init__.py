"""The stages as Prefect flows: wiring, schedules and artifacts; what they do is done in `nas`.

Every flow runs by `python -m flows.NAME EXPERIMENT`, with no server configured (Prefect then starts
a temporary one on loopback) or with `PREFECT_API_URL` naming one.
"""

from flows._settings import apply

apply()
