"""The workloads, a file each."""
