"""The generated code of the contract `graphwire.v1` (see protos/)."""
