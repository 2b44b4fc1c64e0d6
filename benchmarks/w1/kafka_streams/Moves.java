// The job itself: drop repeated ids, follow the customer from state to state, send a message at each change.
package w1;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

final class Moves implements Processor<String, byte[], String, byte[]> {
    static final String STORE = "customers";

    private record When(String type, String state) {}

    private record Move(String state, String template) {}

    record Action(String customer, String template, int changes, long at) {}

    private static final Map<When, Move> MOVES = Map.of(
        new When("signup.created", ""), new Move("not_activated", "welcome"),
        new When("auth.login", "not_activated"), new Move("activated", "activated"),
        new When("payment.failed", "activated"), new Move("payment_pending", "dunning"),
        new When("payment.failed", "paid"), new Move("payment_pending", "dunning"),
        new When("payment.succeeded", "payment_pending"), new Move("paid", "receipt"));

    static final Set<String> HEARD = MOVES.keySet().stream().map(When::type).collect(Collectors.toSet());

    private final Schemas schemas;
    private final ObjectMapper json = new ObjectMapper();
    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, byte[]> store;

    Moves(Schemas schemas) {
        this.schemas = schemas;
    }

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
        this.context = context;
        store = context.getStateStore(STORE);
    }

    @Override
    public void process(Record<String, byte[]> record) {
        try {
            Schemas.Event event = schemas.read(record.value());
            if (event != null) {
                handle(record, event);
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private void handle(Record<String, byte[]> record, Schemas.Event event) throws JsonProcessingException {
        Customer customer = Customer.decode(store.get(record.key()));
        if (!customer.remember(event.id())) {
            return;
        }
        Move move = MOVES.get(new When(event.type(), customer.state));
        if (move != null) {
            customer.state = move.state();
            customer.changes++;
            Action action = new Action(record.key(), move.template(), customer.changes, record.timestamp());
            context.forward(record.withValue(json.writeValueAsBytes(action)));
        }
        store.put(record.key(), customer.encode());
    }
}
