"""What a journey means: (customer, record, time) in, (customer, decisions, actions) out. Pure."""
