"""What a run tells others: Grafana annotations as it goes on, Prometheus remote write at its end. Off unless harness.toml asks."""
