"""A server in a container: the engine, the image, and the first process in it."""
