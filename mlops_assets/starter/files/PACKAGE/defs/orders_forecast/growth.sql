SELECT
    this.region,
    this.product,
    this.day,
    ln(following.units / this.units) AS growth
FROM orders AS this
JOIN orders AS following
    ON following.region = this.region
    AND following.product = this.product
    AND following.day = this.day + INTERVAL 1 DAY
WHERE this.units > 0 AND following.units > 0
