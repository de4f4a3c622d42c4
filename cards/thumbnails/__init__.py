"""A card's thumbnail: its illustration in the frame of its rarity."""
