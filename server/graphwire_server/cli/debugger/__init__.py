"""The prompt at a pause: what a thread is paused at, and how it is to go on."""
