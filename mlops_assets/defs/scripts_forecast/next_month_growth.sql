SELECT
    this.concession,
    this.type,
    this.atc2,
    this.month,
    ln(following.scripts / this.scripts) AS growth
FROM pbs_scripts AS this
JOIN pbs_scripts AS following
    ON following.concession = this.concession
    AND following.type = this.type
    AND following.atc2 = this.atc2
    AND following.month = this.month + INTERVAL 1 MONTH
WHERE this.scripts > 0 AND following.scripts > 0
