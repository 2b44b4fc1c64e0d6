"""Avro on the wire: schemas, framing, the gate that decides record or incident, and what the engine says in return."""
