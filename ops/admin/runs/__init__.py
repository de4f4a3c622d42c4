"""The pages of runs and exports."""
