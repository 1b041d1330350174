"""Protobuf in, protobuf out: servicers, interceptors, the table of errors."""
