// A customer's state, and its bytes in the store: state, count of changes, the last ids.
package w1;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;

final class Customer {
    private static final int REMEMBERED = 16;

    String state = "";
    int changes;
    private final ArrayDeque<String> ids = new ArrayDeque<>(REMEMBERED + 1);

    /** Says whether the id is new, and remembers it if so. */
    boolean remember(String id) {
        if (ids.contains(id)) {
            return false;
        }
        if (ids.size() == REMEMBERED) {
            ids.removeFirst();
        }
        ids.addLast(id);
        return true;
    }

    static Customer decode(byte[] stored) {
        Customer customer = new Customer();
        if (stored != null) {
            ByteBuffer from = ByteBuffer.wrap(stored);
            customer.changes = from.getInt();
            customer.state = text(from);
            while (from.hasRemaining()) {
                customer.ids.addLast(text(from));
            }
        }
        return customer;
    }

    byte[] encode() {
        byte[][] texts = new byte[ids.size() + 1][];
        texts[0] = state.getBytes(StandardCharsets.UTF_8);
        int number = 1;
        int size = Integer.BYTES + Short.BYTES + texts[0].length;
        for (String id : ids) {
            texts[number] = id.getBytes(StandardCharsets.UTF_8);
            size += Short.BYTES + texts[number++].length;
        }
        ByteBuffer to = ByteBuffer.allocate(size).putInt(changes);
        for (byte[] text : texts) {
            to.putShort((short) text.length).put(text);
        }
        return to.array();
    }

    private static String text(ByteBuffer from) {
        int length = from.getShort();
        String text = new String(from.array(), from.position(), length, StandardCharsets.UTF_8);
        from.position(from.position() + length);
        return text;
    }
}
