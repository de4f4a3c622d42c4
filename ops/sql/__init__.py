"""Everything that calls the ORM's compilers or holds raw data-modifying SQL.

The ORM writes the filters and expressions of an operation, ``psycopg.sql`` the shell around them.
"""
