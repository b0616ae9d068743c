"""Whether rows keep what is declared of them: contracts, expectations, and how fresh a table is."""
