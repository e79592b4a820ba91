"""Clips from and to bytes: hostile files are decoded in processes that can be killed, clips are encoded in place.

It needs neither torch nor a model, so that a decoding process starts fast and stays small.
"""
