WITH class AS (
    SELECT
        atc2,
        month,
        sum(scripts) AS scripts,
        sum(cost) AS cost,
        sum(scripts) FILTER (WHERE type = 'Safety net') AS safety_net_scripts
    FROM pbs_scripts
    GROUP BY atc2, month
),
priced AS (
    SELECT *, cost / nullif(scripts, 0) AS cost_per_script
    FROM class
)
SELECT
    atc2,
    month,
    cost_per_script,
    ln((cost_per_script + 0.01) / (
        max(cost_per_script) OVER (class RANGE BETWEEN INTERVAL 3 MONTH PRECEDING AND INTERVAL 3 MONTH PRECEDING) + 0.01
    )) AS cost_per_script_change_3m,
    ln((scripts + 1) / (
        max(scripts) OVER (class RANGE BETWEEN INTERVAL 1 MONTH PRECEDING AND INTERVAL 1 MONTH PRECEDING) + 1
    )) AS class_growth_1m,
    coalesce(safety_net_scripts, 0) / nullif(scripts, 0) AS safety_net_share
FROM priced
WINDOW class AS (PARTITION BY atc2 ORDER BY month)
