"""Prefect only: it schedules, retries and reports; no science lives here."""
