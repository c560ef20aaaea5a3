"""The search itself: sample → train → reward → update, and its record on disk.

Public are `nas.search.opening` (`open_search`, `read_record`), `nas.search.search.Search`,
`nas.search.record.Record`, the rewards of `nas.search.rewards` and `nas.search.tradeoff`, and the packages
`nas.search.loops` and `nas.search.compare`.
"""
