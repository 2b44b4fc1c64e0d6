// Reads the events that the job hears of: Avro single objects, their schemas found by fingerprint.
package w1;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.NoSuchAlgorithmException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;

final class Schemas {
    private static final int FRAME = 10;
    private static final short MARK = (short) 0xC301;

    private final Map<Long, Reader> readers = new HashMap<>();
    private BinaryDecoder decoder;

    record Event(String type, String id) {}

    private record Reader(String type, GenericDatumReader<GenericRecord> records) {}

    Schemas(Path folder) throws IOException, NoSuchAlgorithmException {
        List<Path> paths;
        try (var found = Files.walk(folder)) {
            paths = found.filter(path -> path.toString().endsWith(".avsc")).toList();
        }
        for (Path path : paths) {
            Schema schema = new Schema.Parser().parse(path.toFile());
            String type = schema.getProp("event_type");
            if (Moves.HEARD.contains(type)) {
                byte[] fingerprint = SchemaNormalization.parsingFingerprint("CRC-64-AVRO", schema);
                readers.put(little(fingerprint, 0), new Reader(type, new GenericDatumReader<>(schema)));
            }
        }
    }

    /** Gives the event in a record's value, null for a type that the job leaves alone. */
    Event read(byte[] value) throws IOException {
        if (value.length < FRAME || ByteBuffer.wrap(value).getShort() != MARK) {
            return null;
        }
        Reader reader = readers.get(little(value, 2));
        if (reader == null) {
            return null;
        }
        decoder = DecoderFactory.get().binaryDecoder(value, FRAME, value.length - FRAME, decoder);
        return new Event(reader.type, reader.records.read(null, decoder).get("event_id").toString());
    }

    private static long little(byte[] bytes, int offset) {
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong(offset);
    }
}
