"""How a child is trained on its own: recipes (plain values) and what carries them out in a fresh process.

Importing this package or a recipe imports no Keras: the search's process checks recipes with it.
"""
