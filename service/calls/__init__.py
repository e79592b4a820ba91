"""The four calls for each modality: each checks what its models take, asks the engine once, and says what it answered.

`service.routes` says which model, and so which modality, a request is for; `reading` says it for one with uploads.
"""
