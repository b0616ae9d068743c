"""What people start: checks, plans, ingestion, backfills, replays, trainings, migrations, verifications."""
