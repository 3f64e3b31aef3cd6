"""Face models: identity codes and expressions to vertices, their files and other people's formats."""
