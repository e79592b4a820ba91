"""What this machine can do, measured: `make bench`."""
