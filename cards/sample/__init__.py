"""The sample pack: 40 birds of Colombia, and the code that draws them."""
