"""What the paper compares R-WAE with, trained by the same loop on the same data; never served."""
