"""Kafka and RocksDB: the Faust app, its transport, the cycle, the customer table, timers, restore."""
