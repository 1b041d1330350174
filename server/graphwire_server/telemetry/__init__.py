"""What the server says about itself: metrics, traces, and the fields of its log lines.

Nothing here knows of gRPC, LangGraph or the database; and nothing elsewhere knows of
OpenTelemetry or Prometheus, which are imported only where their setting is on. Docs: adr/0013.
"""
