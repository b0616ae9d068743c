SELECT
    this.concession,
    this.type,
    this.atc2,
    this.month,
    following.scripts < 0.85 * this.scripts AS falls
FROM pbs_scripts AS this
JOIN pbs_scripts AS following
    ON following.concession = this.concession
    AND following.type = this.type
    AND following.atc2 = this.atc2
    AND following.month = this.month + INTERVAL 1 MONTH
