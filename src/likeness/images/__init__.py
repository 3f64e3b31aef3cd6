"""Pictures as files: their headers, decoding, colour spaces and encoding."""
