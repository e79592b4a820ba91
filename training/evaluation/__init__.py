"""Judging models: judges, protocols, and what they find, of each dataset."""
