"""The service under load, beside what it is compared with: `python -m benchmarks.serving`.

Each server runs in a process of its own, pinned to one core; the load comes from another core.
"""
