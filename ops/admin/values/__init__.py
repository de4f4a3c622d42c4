"""Values of rows as pages show and edit them, and the rows that the audit log names."""
