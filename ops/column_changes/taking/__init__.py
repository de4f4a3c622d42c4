"""Take the steps of a column change, and take them back."""
