"""The catalogue as a folder of files, and back."""
