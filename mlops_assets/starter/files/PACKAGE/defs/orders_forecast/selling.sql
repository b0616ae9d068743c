SELECT region, product, day FROM orders WHERE units >= 10
