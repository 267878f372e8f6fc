"""What people and CI run besides the `harness` command."""
