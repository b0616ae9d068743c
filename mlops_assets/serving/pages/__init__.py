"""Pages for people: rendered by the server, one look, whole without JavaScript and without any other file."""
