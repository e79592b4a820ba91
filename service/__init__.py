"""HTTP around the model: media in and out, the engine, the command line, the web page."""
