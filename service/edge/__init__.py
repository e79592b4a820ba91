"""What every request passes on its way in and out, one noun a file. Pure ASGI, but for `connection`."""
