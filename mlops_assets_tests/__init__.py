"""The tests mirror the package; a test's name says what it proves."""
