WITH lagged AS (
    SELECT
        *,
        ln(units + 1) AS level,
        max(ln(units + 1)) OVER (series RANGE BETWEEN INTERVAL 1 DAY PRECEDING AND INTERVAL 1 DAY PRECEDING) AS level_1d,
        max(ln(units + 1)) OVER (series RANGE BETWEEN INTERVAL 6 DAY PRECEDING AND INTERVAL 6 DAY PRECEDING) AS level_6d,
        max(ln(units + 1)) OVER (series RANGE BETWEEN INTERVAL 7 DAY PRECEDING AND INTERVAL 7 DAY PRECEDING) AS level_7d
    FROM orders
    WINDOW series AS (PARTITION BY region, product ORDER BY day)
)
SELECT
    region,
    product,
    day,
    level AS log_units,
    level - level_1d AS growth_1d,
    level - level_7d AS growth_7d,
    level_6d - level_7d AS next_growth_last_week
FROM lagged
