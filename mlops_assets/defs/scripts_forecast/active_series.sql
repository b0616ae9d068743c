SELECT concession, type, atc2, month
FROM pbs_scripts
WHERE scripts > 500
