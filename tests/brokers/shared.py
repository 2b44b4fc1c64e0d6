"""One real Kafka for all processes of a test run: the process that leads them starts it when one first asks, and ends it.

Rejected: a lock file and a count of users. A killed process would never be counted out, and who starts the broker may be done
with it before the others are.
"""

from __future__ import annotations

from multiprocessing.connection import Client, Listener
from threading import Lock, Thread

from tests.brokers.choice import Broker, GivenBroker, start_kafka
from tests.brokers.download import KafkaUnavailable


class SharedKafka:
    """In the leading process: answers whoever connects to `address` with the broker's address, or with why there is none."""

    def __init__(self) -> None:
        self._listener = Listener(family="AF_UNIX")
        self.address = str(self._listener.address)
        self.broker: Broker | None = None
        self._missing = ""
        # Held while the broker starts, so that it cannot come up behind the back of `remove`.
        self._lock = Lock()
        self._closed = False
        Thread(target=self._serve, name="shared-kafka", daemon=True).start()

    def remove(self) -> None:
        """End the broker, if there is one; nobody is answered any more."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._listener.close()
            if self.broker is not None:
                self.broker.remove()

    def _serve(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except OSError:  # closed
                return
            with connection, self._lock:
                if self._closed:
                    return
                self._start_once()
                connection.send((self.broker.bootstrap if self.broker else "", self._missing))

    def _start_once(self) -> None:
        if self.broker is not None or self._missing:
            return
        try:
            self.broker = start_kafka()
        except (KafkaUnavailable, AssertionError) as error:
            self._missing = str(error)


def ask_for_kafka(address: str) -> Broker:
    """In another process: the broker of the one that leads. Raises KafkaUnavailable with the reason when it has none."""
    with Client(address, family="AF_UNIX") as connection:
        bootstrap, missing = connection.recv()
    if missing:
        raise KafkaUnavailable(missing)
    return GivenBroker(bootstrap)
