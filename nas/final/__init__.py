"""From a search to a result: the best are retrained, one is chosen on validation data and tested once.

Public are `nas.final.finalize.finalize`, `nas.final.evaluate.evaluate` and, to read what they wrote,
`nas.final.evaluations.read_evaluation`.
"""
