"""Birds: each function draws one, looking right, its feet (or, in flight, its heart) at the pen's origin."""
