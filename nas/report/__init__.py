"""The page of an experiment, its curves, and drawings of architectures; made from records alone.

Public are `nas.report.page` (`write`, `write_page`), `nas.report.comparison` (`write_comparison`) and
`nas.report.drawings` (`draw`, `draw_decisions`, `save`, and what a drawing of one's own is made of).
"""
