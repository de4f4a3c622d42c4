"""Column changes and the guide's scenarios, from the first step to the last, beside players."""
