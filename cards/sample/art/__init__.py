"""The illustrator: geometry, a pen, plants, scenes, birds, and the gallery that puts them together."""
