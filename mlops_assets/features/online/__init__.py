"""The online store: of each table that is ``online: true``, a row for each key, as the lookup answers now."""
