"""Redis (or Valkey): fast repeats. Never the truth; away, it is only missed."""
