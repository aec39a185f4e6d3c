"""Figures in Prometheus' terms that every process of ours tells, whatever else it does."""
