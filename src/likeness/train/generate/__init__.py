"""Sets that training reads and a program makes: rendered faces and morphs between people."""
