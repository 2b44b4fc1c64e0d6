// A channel service in one file: reads commands, carries each out once, reports what became of it. Start yours from this.
//
//     mvn -f examples/java dependency:copy-dependencies -DoutputDirectory=jars
//     java -cp 'examples/java/jars/*' examples/java/ChannelService.java \
//         localhost:9092 journeys.actions.email journeys.outcomes channel-service.log schemas/avro
//
// Its duties are those of docs/channels.md. Needs Java 17, kafka-clients, avro and the two schemas; nothing of the orchestrator.

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

final class ChannelService {
    // Avro single-object encoding: C3 01, then which schema it was written with (CRC-64-AVRO, 8 bytes little-endian).
    private static final byte[] MARK = {(byte) 0xC3, 0x01};
    private static final int FRAME_BYTES = 10;

    private final Schema actions;
    private final Schema outcomes;
    private final byte[] fingerprint;

    /** What became of a command: delivered, bounced or failed, and for a failure your code, else "". */
    record Result(String status, String code) {}

    private ChannelService(Path schemas) throws IOException, NoSuchAlgorithmException {
        actions = new Schema.Parser().parse(schemas.resolve("journeys/Action.avsc").toFile());
        outcomes = new Schema.Parser().parse(schemas.resolve("events/action.outcome.avsc").toFile());
        fingerprint = SchemaNormalization.parsingFingerprint("CRC-64-AVRO", outcomes);
    }

    /** Takes the brokers, the topic of commands, that of outcomes, the file of what was carried out, and the schemas' folder. */
    public static void main(String[] arguments) throws Exception {
        ChannelService service = new ChannelService(Path.of(arguments[4]));
        // With a key and no partitioner set, Java hashes by murmur2: the report lands in the partition of its customer.
        Map<String, Object> producing = Map.of("bootstrap.servers", arguments[0], "acks", "all");
        Map<String, Object> consuming = Map.of(
            "bootstrap.servers", arguments[0],
            "group.id", "example-java-" + arguments[1],
            "isolation.level", "read_committed",
            "auto.offset.reset", "earliest",
            "enable.auto.commit", false);
        try (var memory = new Memory(Path.of(arguments[3]));
                var producer = new KafkaProducer<>(producing, new StringSerializer(), new ByteArraySerializer());
                var consumer = new KafkaConsumer<>(consuming, new StringDeserializer(), new ByteArrayDeserializer())) {
            Thread main = Thread.currentThread();
            Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(consumer, main)));
            consumer.subscribe(List.of(arguments[1]));
            System.err.println("serving " + arguments[1]);
            while (true) {
                for (ConsumerRecord<String, byte[]> each : consumer.poll(Duration.ofMillis(200))) {
                    GenericRecord command = service.read(each.value());
                    Result result = serve(command, memory);
                    if (result != null) {
                        // get() waits until Kafka has it, and throws where it does not: then nothing below is committed.
                        producer.send(service.report(arguments[2], command, result)).get();
                        System.out.println(command.get("customer") + " " + result.status() + " " + result.code());
                    }
                }
                consumer.commitSync(); // only now: a crash before repeats the commands, never loses them
            }
        } catch (WakeupException stopped) {
            System.err.println("stopped");
        }
    }

    /**
     * Carries a command out unless that was done before; gives what to report, null for nothing.
     *
     * A crash after carryOut and before keep carries it out again: hand action_id on to your gateway, if it knows such ids.
     */
    private static Result serve(GenericRecord command, Memory memory) throws IOException {
        if (!command.get("kind").toString().equals("send")) {
            return null; // a cancel has nothing to take back, since this service has no queue; others are of a later version
        }
        Result known = memory.recall(identity(command));
        if (known == null) {
            known = carryOut(command);
            memory.keep(identity(command), known);
        }
        return known;
    }

    /** Sends the message, really. */
    private static Result carryOut(GenericRecord command) {
        if ((Long) command.get("expires_at") <= System.currentTimeMillis()) {
            return new Result("failed", "expired");
        }
        return new Result("delivered", "");
    }

    private GenericRecord read(byte[] value) throws IOException {
        var decoder = DecoderFactory.get().binaryDecoder(value, FRAME_BYTES, value.length - FRAME_BYTES, null);
        return new GenericDatumReader<GenericRecord>(actions).read(null, decoder);
    }

    /** Tells the journeys. The event id comes from the command, so that a report sent twice counts once. */
    private ProducerRecord<String, byte[]> report(String topic, GenericRecord command, Result result) throws IOException {
        GenericRecord outcome = new GenericData.Record(outcomes);
        outcome.put("event_id", "outcome-" + identity(command));
        outcome.put("customer_id", command.get("customer"));
        outcome.put("occurred_at", System.currentTimeMillis());
        outcome.put("action_id", command.get("action_id"));
        outcome.put("status", new GenericData.EnumSymbol(outcomes.getField("status").schema(), result.status()));
        outcome.put("code", result.code().isEmpty() ? null : result.code());
        outcome.put("data", Map.of());
        var body = new ByteArrayOutputStream();
        body.write(MARK);
        body.write(fingerprint);
        var encoder = EncoderFactory.get().directBinaryEncoder(body, null);
        new GenericDatumWriter<GenericRecord>(outcomes).write(outcome, encoder);
        return new ProducerRecord<>(topic, command.get("customer").toString(), body.toByteArray());
    }

    private static String identity(GenericRecord command) {
        return command.get("action_id") + "-" + command.get("attempt");
    }

    private static void stop(KafkaConsumer<?, ?> consumer, Thread main) {
        consumer.wakeup();
        try {
            main.join(Duration.ofSeconds(10).toMillis());
        } catch (InterruptedException ignored) {
            Thread.currentThread().interrupt();
        }
    }

    /** What was carried out, and what came of it: a line each in a file, so that it outlives this process. */
    private static final class Memory implements AutoCloseable {
        private final Map<String, Result> done = new HashMap<>();
        private final FileChannel file;

        Memory(Path path) throws IOException {
            file = FileChannel.open(path, StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.READ);
            String text = Files.readString(path);
            // A crash may have left half a line at the end: that command was not remembered.
            String whole = text.substring(0, text.lastIndexOf('\n') + 1);
            for (String line : whole.lines().toList()) {
                String[] words = line.split("\t", -1);
                done.put(words[0], new Result(words[1], words[2]));
            }
            file.truncate(whole.getBytes(StandardCharsets.UTF_8).length);
            file.position(file.size());
        }

        Result recall(String identity) {
            return done.get(identity);
        }

        void keep(String identity, Result result) throws IOException {
            String line = identity + "\t" + result.status() + "\t" + result.code() + "\n";
            ByteBuffer bytes = ByteBuffer.wrap(line.getBytes(StandardCharsets.UTF_8));
            while (bytes.hasRemaining()) {
                file.write(bytes);
            }
            file.force(false);
            done.put(identity, result);
        }

        @Override
        public void close() throws IOException {
            file.close();
        }
    }
}
