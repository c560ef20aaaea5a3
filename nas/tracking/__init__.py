"""MLflow: searches and their children as runs, winners as registered models. The only room that knows MLflow.

The record of a search is the truth; what stands in MLflow is made from it, and can be made again.
"""

from nas.tracking.tracker import Tracker

__all__ = ["Tracker"]
