// Builds W1's topology and runs it until it is told to end: exactly once, a commit every 100 ms, as many threads as it is told.
package w1;

import java.io.IOException;
import java.nio.file.Path;
import java.security.NoSuchAlgorithmException;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.state.Stores;

final class Main {
    /** Takes the broker's address, the topic, the job's name, a folder for state, the folder of schemas and a number of threads. */
    public static void main(String[] arguments) throws Exception {
        String topic = arguments[1];
        String name = arguments[2];
        Path schemas = Path.of(arguments[4]);
        Properties settings = settings(arguments[0], name, arguments[3]);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, Integer.parseInt(arguments[5]));
        KafkaStreams streams = new KafkaStreams(topology(topic, name + ".actions", schemas), settings);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }

    private static Topology topology(String topic, String actions, Path schemas) {
        var bytes = Serdes.ByteArray();
        // Cached, so that a customer's state is written once a commit, as the others do.
        var rocksdb = Stores.persistentKeyValueStore(Moves.STORE);
        var store = Stores.keyValueStoreBuilder(rocksdb, Serdes.String(), bytes).withCachingEnabled();
        return new Topology()
            .addSource("events", Serdes.String().deserializer(), bytes.deserializer(), topic)
            .addProcessor("moves", () -> new Moves(read(schemas)), "events")
            .addStateStore(store, "moves")
            .addSink("actions", actions, Serdes.String().serializer(), bytes.serializer(), "moves");
    }

    /** For each partition anew: readers and decoders are one thread's. */
    private static Schemas read(Path folder) {
        try {
            return new Schemas(folder);
        } catch (IOException | NoSuchAlgorithmException error) {
            throw new IllegalStateException(error);
        }
    }

    private static Properties settings(String bootstrap, String name, String folder) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, name);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, folder);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 5000);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 5);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 1 << 18);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        return settings;
    }
}
