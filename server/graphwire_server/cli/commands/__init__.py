"""The commands' names, arguments and help.

Nothing here imports the client or the server: what a command does is imported when it is
called, so that help, completion and mistakes come at once.
"""
