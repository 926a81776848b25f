# The page: npm builds web/ui, and every file of it is embedded, gzipped.
