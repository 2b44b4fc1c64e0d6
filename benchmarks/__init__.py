"""Ours and others on the same work, measured in one run: `make bench`, or `python -m benchmarks --help`.

Tried for speed and rejected, with what was measured on Python 3.11:

- mypyc 2.4 drops the keywords of a class statement (`frozen`, `array_like`, `gc`), so every msgspec Struct in a module that it
  compiles comes out as another one: TypeErrors at best, a crash at worst.
- Cython 3.3 over the engine, the encoders and the partition as they are: three minutes to compile, 1.0 to 1.1 times as fast.
- `Producer.produce_batch`: 1.3 to 1.4 us a record instead of 1.5, and it takes no headers.
- RocksDB without its own log: 4.7 to 5.7 us a document instead of 4.2 to 5.2, which is noise.
- SHA-1 of Python's own `_sha1` instead of OpenSSL's: 0.53 us instead of 0.47.
"""
