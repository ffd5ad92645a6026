"""Benchmarks that compare the agent with real peers; `bench/run` prints the table."""
