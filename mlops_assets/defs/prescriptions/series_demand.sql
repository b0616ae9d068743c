WITH lagged AS (
    SELECT
        *,
        ln(scripts + 1) AS level,
        max(ln(scripts + 1)) OVER (series RANGE BETWEEN INTERVAL 1 MONTH PRECEDING AND INTERVAL 1 MONTH PRECEDING) AS level_1m,
        max(ln(scripts + 1)) OVER (series RANGE BETWEEN INTERVAL 2 MONTH PRECEDING AND INTERVAL 2 MONTH PRECEDING) AS level_2m,
        max(ln(scripts + 1)) OVER (series RANGE BETWEEN INTERVAL 3 MONTH PRECEDING AND INTERVAL 3 MONTH PRECEDING) AS level_3m,
        max(ln(scripts + 1)) OVER (series RANGE BETWEEN INTERVAL 11 MONTH PRECEDING AND INTERVAL 11 MONTH PRECEDING) AS level_11m,
        max(ln(scripts + 1)) OVER (series RANGE BETWEEN INTERVAL 12 MONTH PRECEDING AND INTERVAL 12 MONTH PRECEDING) AS level_12m,
        max(ln(scripts + 1)) OVER (series RANGE BETWEEN INTERVAL 23 MONTH PRECEDING AND INTERVAL 23 MONTH PRECEDING) AS level_23m,
        max(ln(scripts + 1)) OVER (series RANGE BETWEEN INTERVAL 24 MONTH PRECEDING AND INTERVAL 24 MONTH PRECEDING) AS level_24m
    FROM pbs_scripts
    WINDOW series AS (PARTITION BY concession, type, atc2 ORDER BY month)
)
SELECT
    concession,
    type,
    atc2,
    month,
    concession AS patient_group,
    type AS payment_group,
    level AS log_scripts,
    level - level_1m AS growth_1m,
    level - level_2m AS growth_2m,
    level - level_3m AS growth_3m,
    level - level_12m AS growth_12m,
    level_11m - level_12m AS next_growth_last_year,
    level_23m - level_24m AS next_growth_two_years_ago,
    month(month) AS month_of_year
FROM lagged
