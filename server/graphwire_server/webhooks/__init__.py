"""Webhooks: where they may go, how they are sent, and who sees that they are (ADR 14)."""
