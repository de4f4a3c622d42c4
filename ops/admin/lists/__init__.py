"""Lists of millions of rows: pages by key, filters, layouts, views, selections."""
