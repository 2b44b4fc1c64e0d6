"""Who may do what: Kafka over TLS with passwords, tokens and certificates, and its ACLs."""
