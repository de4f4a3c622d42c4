"""Run migrations beside players: with timeouts, retries and safe equivalents."""
