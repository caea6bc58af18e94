import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

/**
 * One node of OpenSearch: its own classes from Maven Central, started without the launcher of a distribution, which wants the
 * distribution's folders and refuses to run as root.
 *
 * <p>java -cp '.cache/opensearch/lib/*' scripts/opensearch/Peer.java FOLDER HTTP_PORT TRANSPORT_PORT
 */
public class Peer {
    static class Single extends Node {
        Single(Environment e) {
            super(e, List.of(Netty4Plugin.class), false);
        }
    }

    public static void main(String[] arguments) throws Exception {
        Settings settings = Settings.builder()
            .put("path.home", Path.of(arguments[0]).toAbsolutePath().toString())
            .put("node.name", "peer")
            .put("cluster.name", "peer")
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("http.port", arguments[1])
            .put("transport.port", arguments[2])
            .put("http.type", "netty4")
            .put("transport.type", "netty4")
            // Small, so that a test can go beyond it.
            .put("http.max_content_length", "2mb")
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .build();
        Environment environment = InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "peer");
        new Single(environment).start();
        Thread.currentThread().join();
    }
}
