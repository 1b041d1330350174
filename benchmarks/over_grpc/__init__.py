"""The client's side: a worker that drives a server through the generated stubs."""
